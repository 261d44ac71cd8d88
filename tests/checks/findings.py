"""What the checks of the house share: reading C files, and reporting file:line."""

import pathlib
import re
import sys

SKIP = 77


class Findings:
    """Collects what is wrong; finish() prints it and ends the program."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.count = 0
        self.looked_at = 0

    def add(self, path, line, message):
        try:
            path = pathlib.Path(path).relative_to(self.root)
        except ValueError:
            pass
        print(f"{path}:{line}: {message}")
        self.count += 1

    def finish(self, what):
        if not self.looked_at:
            sys.exit(f"found nothing to look at below {self.root}; is that the source root?")
        if self.count:
            sys.exit(f"{self.count} found")
        print(f"{self.looked_at} {what}, nothing found")


def c_files(root, folders, suffixes=(".c", ".h")):
    """The C files below root's folders, in order."""
    for folder in folders:
        for path in sorted((pathlib.Path(root) / folder).rglob("*")):
            if path.suffix in suffixes and path.is_file():
                yield path


COMMENT_OR_STRING = re.compile(
    r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def without_comments(text, strings=False):
    """C without its comments, and without its strings' contents; lines stay where they are."""

    def blank(match):
        found = match.group()
        if found[0] == "/":
            return "\n" * found.count("\n") or " "
        return found if strings else found[0] * 2

    return COMMENT_OR_STRING.sub(blank, text)


INCLUDE = re.compile(r'\s*#\s*include\s*([<"])([^>"]+)[>"]')


def includes(path):
    """(line, whether in angle brackets, name) for each #include."""
    text = without_comments(path.read_text(encoding="utf-8"), strings=True)
    for number, line in enumerate(text.split("\n"), 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1) == "<", match.group(2)
