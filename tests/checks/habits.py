#!/usr/bin/env python3
"""Files that stay readable, and a library that neither prints nor ends the program.

    habits.py SOURCE_ROOT
"""

import pathlib
import re
import sys

from findings import Findings, c_files, without_comments

MOST_LINES = 700
FOLDERS = ["src", "gen", "tools", "include"]
TEXT = {".c", ".h", ".cc", ".py", ".sh", ".build", ".proto", ""}

FORBIDDEN = {
    "printf|vprintf|puts|putchar|fprintf|vfprintf|fputs|fputc|fwrite|perror|dprintf|vdprintf":
        "the library does not print; use hawser__log()",
    "abort|exit|_exit|_Exit|quick_exit|__builtin_trap":
        "the library does not end its user's program; give an error back",
    "assert|__builtin_unreachable": "what a peer sends must not end the program; give an error back",
    "sprintf|vsprintf|gets": "use snprintf()",
    "strerror|strerror_r": "use hawser__errno_text(): lower case and thread-safe",
}
ALLOCATION = re.compile(r"\b(malloc|calloc|realloc|reallocarray|strdup|strndup|asprintf|vasprintf|"
                        r"aligned_alloc|posix_memalign)\s*\(")

# The one place for each of these.
EXCEPTIONS = {
    ("src/util/error.c", "strerror"),
}
ALLOCATOR = "src/util/alloc.c"


def check_calls(findings, root):
    for path in c_files(root, ["src"]):
        relative = path.relative_to(root).as_posix()
        code = without_comments(path.read_text(encoding="utf-8"))
        for number, line in enumerate(code.split("\n"), 1):
            if line.lstrip().startswith("#"):
                continue
            for names, reason in FORBIDDEN.items():
                call = re.search(rf"(?<![\w.>])({names})\s*\(", line)
                if call and (relative, call.group(1)) not in EXCEPTIONS:
                    findings.add(path, number, f"{call.group(1)}(): {reason}")
            call = ALLOCATION.search(line)
            if call and relative != ALLOCATOR:
                findings.add(path, number, f"{call.group(1)}(): allocate through hawser__"
                                           f"{call.group(1)}(), so that tests can make it fail")


def check_lengths(findings, root):
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if not path.is_file() or path.suffix not in TEXT:
                continue
            findings.looked_at += 1
            lines = path.read_text(encoding="utf-8", errors="replace").count("\n")
            if lines > MOST_LINES:
                findings.add(path, MOST_LINES + 1, f"the file has {lines} lines, more than "
                                                   f"{MOST_LINES}; it holds more than one idea")


def check_openings(findings, root):
    for path in c_files(root, FOLDERS):
        if not path.read_text(encoding="utf-8").startswith("/*"):
            findings.add(path, 1, "the file does not open with a comment of what it is and why")


def main():
    root = pathlib.Path(sys.argv[1])
    findings = Findings(root)
    check_lengths(findings, root)
    check_openings(findings, root)
    check_calls(findings, root)
    findings.finish("files")


main()
