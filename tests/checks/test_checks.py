#!/usr/bin/env python3
"""The checks find what they are for: each is given a small tree with one thing wrong.

    test_checks.py
"""

import pathlib
import subprocess
import sys
import tempfile

CHECKS = pathlib.Path(__file__).resolve().parent
GOOD = "/* A file. */\n"

# check, file, its text, what must be said ("" for nothing)
CASES = [
    ("layering.py", "src/util/a.c", GOOD + '#include "util/b.h"\n#include <hawser/log.h>\n', ""),
    ("layering.py", "src/util/a.c", GOOD + '#include "wire/frame.h"\n',
     'src/util/a.c:2: src/util must not include "wire/frame.h"'),
    ("layering.py", "src/wire/a.c", GOOD + '#include "rpc/call.h"\n', "src/wire/a.c:2:"),
    ("layering.py", "src/net/a.c", GOOD + '#include "rpc/call.h"\n', "src/net/a.c:2:"),
    ("layering.py", "src/rpc/a.c", GOOD + '#include "util/map.h"\n#include <time.h>\n', ""),
    ("layering.py", "src/rpc/a.c", GOOD + '#include "call.h"\n', 'write "rpc/call.h"'),
    ("layering.py", "src/wire/a.c", GOOD + "#include <event2/event.h>\n", "<event2/event.h>"),
    ("layering.py", "src/util/a.h", GOOD + "#  include <time.h> /* now */\n", "src/util/a.h:2:"),
    ("layering.py", "src/wire/a.c", GOOD + "/* #include <time.h> */\n// time(\n", ""),
    ("layering.py", "src/wire/a.c", GOOD + "\n\tnow = time(NULL);\n", "src/wire/a.c:3:"),
    ("layering.py", "src/wire/a.c", GOOD + "\tx(wheel_time(1));\n", ""),
    ("layering.py", "include/hawser/a.h", GOOD + '#include "util/map.h"\n',
     "include/hawser/a.h:2:"),
    ("layering.py", "include/hawser/a.h", GOOD + "#include <event2/event.h>\n",
     "a public header must not include <event2/event.h>"),
    ("layering.py", "include/hawser/a.h", GOOD + "#include <protobuf-c/protobuf-c.h>\n", ""),
    ("habits.py", "src/net/a.c", GOOD + "\n" * 600, ""),
    ("habits.py", "src/net/a.c", GOOD + "\n" * 700, "src/net/a.c:701: the file has 701 lines"),
    ("habits.py", "tools/a.sh", "\n" * 800, "tools/a.sh:701:"),
    ("habits.py", "src/net/a.c", "#include <stdio.h>\n", "src/net/a.c:1: the file does not open"),
    ("habits.py", "src/net/a.c", GOOD + 'f();\nprintf("x");\n', "src/net/a.c:3: printf()"),
    ("habits.py", "src/net/a.c", GOOD + "\tabort();\n", "src/net/a.c:2: abort()"),
    ("habits.py", "src/net/a.c", GOOD + "\tassert(x);\n", "src/net/a.c:2: assert()"),
    ("habits.py", "src/net/a.c", GOOD + "\tstatic_assert(1, 2);\n\tops->exit(1);\n", ""),
    ("habits.py", "src/net/a.c", GOOD + 'f("abort()"); /* exit() */\nsnprintf(x);\n', ""),
    ("habits.py", "src/net/a.c", GOOD + "\tp = malloc(3);\n", "src/net/a.c:2: malloc()"),
    ("habits.py", "src/util/alloc.c", GOOD + "\tp = malloc(3);\n", ""),
    ("headers.py", "include/hawser/a.h", GOOD + "typedef int number;\n", ""),
    ("headers.py", "include/hawser/a.h", GOOD + "\nextern size_t x;\n", "include/hawser/a.h:3:"),
    ("headers.py", "include/hawser/a.h", GOOD + "extern int class;\n", "include/hawser/a.h:2:"),
    ("headers.py", "include/hawser/a.h", GOOD + "struct empty {};\n", "include/hawser/a.h:2:"),
    ("headers.py", "src/net/a.h", GOOD + "extern size_t x;\n", "src/net/a.h:2:"),
    ("layout.py", "src/net/a.c", GOOD + "int x;\n", ""),
    ("layout.py", "src/net/a.c", GOOD + "int  x;\n", "src/net/a.c:2: not as clang-format"),
]


def run(check, *arguments):
    return subprocess.run([sys.executable, CHECKS / check, *arguments], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)


def write(root, name, text):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def judge(name, result, expected):
    """Whether the check said what it should; expected "" is that nothing is wrong."""
    if result.returncode == 77:
        print(f"skipped {name}: {result.stdout.strip()}")
        return True
    good = result.returncode == 0 if not expected else (
        result.returncode == 1 and expected in result.stdout)
    if not good:
        print(f"{name}\n  expected: {expected or 'nothing'}\n  exit {result.returncode}: "
              f"{result.stdout}")
    return good


def try_case(check, name, text, expected):
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        # Something right for the checks to look at, whatever the case brings.
        write(root, "src/util/good.c", GOOD)
        write(root, ".clang-format", (CHECKS / "../../.clang-format").read_text(encoding="utf-8"))
        write(root, name, text)
        return judge(f"{check} on {name}: {text[:60]!r}", run(check, root), expected)


def try_symbols():
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        source, library = root / "a.c", root / "liba.so"
        write(root, "tests/checks/symbols.txt", "hawser_a\nhawser_gone\n")
        write(root, "include/hawser/a.h", "HAWSER_EXPORT int hawser_a(void);\n"
                                          "HAWSER_EXPORT struct x *\nhawser_missing(int);\n")
        source.write_text("int hawser_a(void){return 0;} int slipped(void){return 0;}\n"
                          "__attribute__((visibility(\"hidden\"))) int hidden(void){return 0;}\n",
                          encoding="utf-8")
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
        result = run("symbols.py", library, root)
        good = True
        for expected in ("tests/checks/symbols.txt:2: hawser_gone is not exported any more",
                         "slipped is exported, and no public header",
                         "include/hawser/a.h:3: hawser_missing is declared here"):
            good = judge("symbols.py", result, expected) and good
        if "hidden is" in result.stdout or "hawser_a " in result.stdout:
            print(f"symbols.py complains of what is right:\n{result.stdout}")
            good = False
        run("symbols.py", library, root, "--update")
        write(root, "include/hawser/a.h", "HAWSER_EXPORT int hawser_a(void);\n")
        return judge("symbols.py after --update", run("symbols.py", library, root), "") and good


def main():
    results = [try_case(*case) for case in CASES] + [try_symbols()]
    print(f"{sum(results)} of {len(results)} right")
    sys.exit(not all(results))


main()
