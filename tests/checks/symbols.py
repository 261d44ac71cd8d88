#!/usr/bin/env python3
"""The shared library exports what symbols.txt lists, no more and no less.

    symbols.py LIBRARY SOURCE_ROOT [--update]

A name that disappears breaks programs that are installed already; one that slips
out becomes a promise. --update writes the list anew, for a change that is meant.
"""

import pathlib
import re
import subprocess
import sys

from findings import Findings, c_files, without_comments

LIST = "tests/checks/symbols.txt"
DECLARATION = re.compile(r"HAWSER_EXPORT[^;{]*?\b(hawser_\w+)\s*\(")


def exported(library):
    output = subprocess.run(["nm", "-D", "--defined-only", "--no-demangle", library],
                            stdout=subprocess.PIPE, text=True, check=True).stdout
    symbols = set()
    for line in output.splitlines():
        kind, name = line.split()[-2:]
        # Absolute ones are version nodes, of which the linker makes its own.
        if kind != "A":
            symbols.add(name.split("@")[0])
    return symbols - {"_init", "_fini", "__bss_start", "_edata", "_end"}


def declared(root):
    """Name → (header, line) of every function that a public header promises."""
    result = {}
    for path in c_files(root, ["include"], suffixes=(".h",)):
        code = without_comments(path.read_text(encoding="utf-8"))
        for match in DECLARATION.finditer(code):
            line = code.count("\n", 0, match.start(1)) + 1
            result.setdefault(match.group(1), (path, line))
    return result


def main():
    library, root = sys.argv[1], pathlib.Path(sys.argv[2])
    path = root / LIST
    symbols = exported(library)
    if "--update" in sys.argv[3:]:
        path.write_text("".join(f"{name}\n" for name in sorted(symbols)), encoding="utf-8")
        print(f"{LIST}: {len(symbols)} symbols")
        return
    if not path.exists():
        sys.exit(f"{LIST}:1: there is no list yet; run this script with --update")
    findings = Findings(root)
    findings.looked_at = len(symbols)
    lines = path.read_text(encoding="utf-8").split()
    promised = declared(root)
    for number, name in enumerate(lines, 1):
        if name not in symbols:
            findings.add(path, number, f"{name} is not exported any more; installed programs "
                                       "may need it (run with --update if that is meant)")
    for name in sorted(symbols - set(lines)):
        where = promised.get(name)
        if where:
            findings.add(*where, f"{name} is exported and not in {LIST}; run with --update")
        else:
            findings.add(path, len(lines) + 1, f"{name} is exported, and no public header "
                                               "declares it; make it static or hidden")
    for name, (header, line) in sorted(promised.items()):
        if name not in symbols:
            findings.add(header, line, f"{name} is declared here and not exported; "
                                       "nobody could link with it")
    findings.finish("symbols")


main()
