#!/usr/bin/env python3
"""Counts the tests in meson's logs, case by case.

    tools/count_tests.py TESTLOG.json...

A test program can hold many cases; it tells how many in the words of Check, of
Python's unittest, or of TAP, and counts as one if it speaks none of them. Prints
"PASSED FAILED SKIPPED" and, below, the name of each program that failed.
"""

import json
import re
import sys

CHECK = re.compile(r"^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)$", re.M)
UNITTEST = re.compile(r"^Ran (\d+) tests? in .*\n\n(?:OK|FAILED)(?: \((.*)\))?$", re.M)
TAP = re.compile(r"^(not )?ok\b([^\n]*)$", re.M)


def cases(test):
    """(passed, failed, skipped) of one test program."""
    if test["result"] in ("SKIP", "IGNORED"):
        return 0, 0, 1
    output = test.get("stdout", "") + "\n" + test.get("stderr", "")
    passed = failed = skipped = 0
    for total, failures, errors in CHECK.findall(output):
        failed += int(failures) + int(errors)
        passed += int(total) - int(failures) - int(errors)
    for total, remarks in UNITTEST.findall(output):
        counts = dict(part.split("=") for part in remarks.split(", ")) if remarks else {}
        bad = int(counts.get("failures", 0)) + int(counts.get("errors", 0))
        failed += bad
        skipped += int(counts.get("skipped", 0))
        passed += int(total) - bad - int(counts.get("skipped", 0))
    if output.lstrip().startswith(("TAP version", "1..")):
        for bad, rest in TAP.findall(output):
            if re.search(r"#\s*skip", rest, re.I):
                skipped += 1
            elif bad:
                failed += 1
            else:
                passed += 1
    good = test["result"] in ("OK", "EXPECTEDFAIL")
    if good and passed + failed + skipped == 0:
        passed = 1
    # It crashed, ran out of time, or was reported by a sanitizer at its end.
    if not good and failed == 0:
        failed = 1
    return passed, failed, skipped


def main(paths):
    totals, bad = [0, 0, 0], []
    for path in paths:
        with open(path, encoding="utf-8") as log:
            for line in log:
                test = json.loads(line)
                counts = cases(test)
                totals = [total + count for total, count in zip(totals, counts)]
                if counts[1]:
                    bad.append(f"{path}: {test['name']}")
    print(*totals)
    for name in bad:
        print(name)


if __name__ == "__main__":
    main(sys.argv[1:])
