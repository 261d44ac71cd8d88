#!/usr/bin/env python3
"""What the generator writes for golden/*.proto and the greeter is, byte for byte,
what stands beside them, whatever the directory it is run from; and it compiles.
With --update, writes it there."""

import difflib
import filecmp
import os
import shutil
import sys
import tempfile

import harness

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    parser = harness.arguments(__doc__)
    parser.add_argument("--proto", required=True, help="the project's proto directory")
    args = parser.parse_args()
    golden = os.path.join(HERE, "golden")
    roots = [golden, os.path.join(args.proto, "examples"), args.proto]
    names = sorted(n for n in os.listdir(golden) if n.endswith(".proto")) + ["greeter.proto"]
    wrong = 0
    with tempfile.TemporaryDirectory() as together, tempfile.TemporaryDirectory() as alone:
        result = harness.generate(args, together, names, roots)
        if result.returncode != 0 or result.stderr:
            harness.fail(result.stderr)
        # A file's output does not depend on what else is generated, nor on the directory.
        for name in names:
            result = harness.generate(args, alone, [name], roots)
            if result.returncode != 0:
                harness.fail(result.stderr)
        for name in sorted(os.listdir(together)):
            if not filecmp.cmp(f"{together}/{name}", f"{alone}/{name}", shallow=False):
                print(f"{name}: differs when its .proto is generated alone")
                wrong += 1
            if ".hawser." not in name:
                continue
            expected = os.path.join(golden, name)
            if args.update:
                shutil.copyfile(f"{together}/{name}", expected)
                continue
            with open(f"{together}/{name}", encoding="utf-8") as file:
                got = file.read().splitlines()
            want = []
            if os.path.exists(expected):
                with open(expected, encoding="utf-8") as file:
                    want = file.read().splitlines()
            for line in difflib.unified_diff(want, got, expected, "generated", lineterm=""):
                print(line)
            wrong += got != want
        if args.update:
            return
        for name in names:
            for complaint in harness.compile_all(args, together, name[:-6]):
                print(complaint)
                wrong += 1
    print(f"{len(names)} files, {wrong} differences")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
