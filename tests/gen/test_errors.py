#!/usr/bin/env python3
"""Each errors/*.proto is refused with exactly the text beside it, file:line included.

A first line "// parameter: ..." is given to the generator; "// with: ..." names a
file that is generated in the same run; "// part of ..." marks such a file. With
--update, writes the texts."""

import os
import re
import sys
import tempfile

import harness

HERE = os.path.dirname(os.path.abspath(__file__))
PREFIX = "--hawser_out: "


def main():
    parser = harness.arguments(__doc__)
    parser.add_argument("--proto", required=True, help="the project's proto directory")
    args = parser.parse_args()
    errors = os.path.join(HERE, "errors")
    wrong = count = 0
    for name in sorted(n for n in os.listdir(errors) if n.endswith(".proto")):
        with open(os.path.join(errors, name), encoding="utf-8") as file:
            first = file.readline()
        if first.startswith("// part of"):
            continue
        count += 1
        parameter = re.match(r"// parameter: (.*)", first)
        others = re.match(r"// with: (.*)", first)
        files = [name] + (others[1].split() if others else [])
        with tempfile.TemporaryDirectory() as directory:
            result = harness.generate(
                args,
                directory,
                files,
                [errors, args.proto],
                parameter[1] if parameter else "",
            )
            written = os.listdir(directory)
        got = result.stderr.removeprefix(PREFIX)
        expected = os.path.join(errors, name[:-6] + ".txt")
        if args.update:
            with open(expected, "w", encoding="utf-8") as file:
                file.write(got)
            continue
        want = ""
        if os.path.exists(expected):
            with open(expected, encoding="utf-8") as file:
                want = file.read()
        if result.returncode != 1 or written or got != want or not want:
            wrong += 1
            print(f"{name}: status {result.returncode}, wrote {written}")
            print(f"  expected: {want.strip()}\n  got:      {got.strip()}")
    print(f"{count} files, {wrong} wrong")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
