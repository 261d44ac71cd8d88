#!/usr/bin/env python3
"""Every C file is laid out as clang-format does it with the .clang-format in the root.

    layout.py SOURCE_ROOT [CLANG_FORMAT]

What one version of clang-format writes another would change; so it is checked with
the version that wrote it, Debian 12's.
"""

import pathlib
import re
import subprocess
import sys

from findings import SKIP, Findings, c_files

VERSION = "14"
FOLDERS = ["src", "include", "gen", "tools", "tests", "examples"]
# What the generator wrote, or broke on purpose.
NOT_OURS = ["tests/gen/golden", "tests/gen/errors"]


def main():
    root = pathlib.Path(sys.argv[1])
    tool = sys.argv[2] if len(sys.argv) > 2 else "clang-format"
    try:
        version = subprocess.run([tool, "--version"], stdout=subprocess.PIPE, text=True,
                                 check=True).stdout
    except OSError:
        print(f"skipped: no {tool}")
        sys.exit(SKIP)
    if not re.search(rf"version {VERSION}\.", version):
        print(f"skipped: needs clang-format {VERSION}, this is {version.strip()}")
        sys.exit(SKIP)
    findings = Findings(root)
    files = [path for path in c_files(root, FOLDERS)
             if not any(path.is_relative_to(root / folder) for folder in NOT_OURS)]
    findings.looked_at = len(files)
    result = subprocess.run([tool, "--dry-run", "--Werror", *files], stderr=subprocess.PIPE,
                            text=True, check=False) if files else None
    places = set()
    for line in result.stderr.split("\n") if result else []:
        match = re.match(r"(.+?):(\d+):\d+: error: ", line)
        if match and match.group(1) not in places:
            places.add(match.group(1))
            findings.add(match.group(1), match.group(2),
                         "not as clang-format lays it out; run clang-format -i on the file")
    if result and result.returncode and not places:
        findings.add(".clang-format", 1, f"clang-format failed: {result.stderr}")
    findings.finish("files")


main()
