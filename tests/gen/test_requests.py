#!/usr/bin/env python3
"""Requests that no protoc would send: truncated, damaged, absurd. The generator
answers each with status 0 and a response, or with status 1 and a sentence on
stderr; it never crashes, and under its sanitizers it leaks nothing."""

import os
import random
import re
import sys

import harness

HERE = os.path.dirname(os.path.abspath(__file__))
INVALID = (
    "protoc-gen-hawser: stdin holds no valid CodeGeneratorRequest; protoc starts this program, "
    "see --help\n"
)
ENVIRONMENT = dict(
    os.environ, ASAN_OPTIONS="exitcode=99:detect_leaks=1", UBSAN_OPTIONS="halt_on_error=1"
)

SEED = 20261121
DAMAGED = int(os.environ.get("HAWSER_DAMAGED", "600"))


class Tester:
    def __init__(self, args):
        self.args = args
        self.wrong = 0
        self.count = 0

    def expect(self, claim, is_true, detail=""):
        self.count += 1
        if not is_true:
            self.wrong += 1
            print(f"wrong: {claim}\n    {detail}")

    def send(self, data, arguments=()):
        return harness.run([self.args.generator, *arguments], input=data, env=ENVIRONMENT)

    def survives(self, claim, data):
        result = self.send(data)
        if result.returncode == 0:
            error, files = harness.response(result.stdout)
            good = not result.stderr and (error is not None or files is not None)
        else:
            good = result.returncode == 1 and not result.stdout
            good = good and re.fullmatch(rb"protoc-gen-hawser: [^\n]+\n", result.stderr)
        self.expect(claim, good, f"status {result.returncode}\n{result.stderr.decode()}")
        return result

    def refuses(self, claim, data, text):
        """A response with exactly this error."""
        result = self.send(data)
        error, files = harness.response(result.stdout) if result.returncode == 0 else (None, {})
        self.expect(claim, error == text and not files, f"got {error} {result.stderr.decode()}")


def file_proto(name, *parts):
    return harness.field(1, name) + b"".join(harness.field(n, v) for n, v in parts)


def one_file(*parts, parameter="messages=off", name="x.proto"):
    return harness.request([name], [file_proto(name, *parts)], parameter)


def test_command(t):
    result = t.send(b"", ["--version"])
    t.expect("--version", result.stdout == b"protoc-gen-hawser 0.1.0\n" and not result.returncode)
    result = t.send(b"", ["--help"])
    t.expect("--help", result.stdout.startswith(b"Usage: protoc") and not result.returncode)
    result = t.send(b"", ["--colour"])
    t.expect("an unknown argument", result.returncode == 1 and b"--colour" in result.stderr)


def test_invalid(t):
    for claim, data in [
        ("an empty request", b""),
        ("text", b"hello\n"),
        ("a wrong wire type", b"\x0f\x01"),
        ("a length beyond the end", b"\x7a\xff\xff\xff\xff\x0f"),
    ]:
        result = t.survives(claim, data)
        t.expect(claim, result.stderr.decode() == INVALID, result.stderr.decode())


def test_absurd(t):
    field, request = harness.field, harness.request
    message = field(1, "M")
    rpc = field(1, "Call") + field(2, ".M") + field(3, ".M")
    t.refuses(
        "a file that is not there",
        request(["y.proto"], [file_proto("x.proto")], "messages=off"),
        "file y.proto is not in the request; run protoc again",
    )
    t.refuses(
        "a file twice",
        request(["x.proto"], [file_proto("x.proto")] * 2, "messages=off"),
        "x.proto: the request holds this file twice; run protoc again",
    )
    t.refuses(
        "a file without a name",
        request([], [b""], "messages=off"),
        "a file of the request has no usable name; rename it without quotes, backslashes and "
        "control characters",
    )
    t.refuses(
        "a quote in a file's name",
        one_file(name='a".proto'),
        "a file of the request has no usable name; rename it without quotes, backslashes and "
        "control characters",
    )
    t.refuses(
        "editions",
        one_file((12, "editions")),
        'x.proto: syntax "editions" is not supported; use "proto2" or "proto3"',
    )
    t.refuses(
        "a newline in a message's name",
        one_file((4, field(1, "M\nint x;"))),
        "x.proto: a message without a valid name; run protoc again",
    )
    t.refuses(
        "a service named like code",
        one_file((6, field(1, "S{}"))),
        "x.proto: a service without a valid name; run protoc again",
    )
    t.refuses(
        "a method without a name",
        one_file((4, message), (6, field(1, "S") + field(2, b""))),
        "x.proto: a method without a valid name; run protoc again",
    )
    t.refuses(
        "a package named like code",
        one_file((2, "a; b")),
        "x.proto: the package has no valid name; run protoc again",
    )
    t.refuses(
        "a message of no file",
        one_file((6, field(1, "S") + field(2, rpc))),
        "x.proto: message .M is in no file of the request; run protoc again",
    )
    t.refuses(
        "a message twice",
        one_file((4, message), (4, message)),
        "x.proto: message M is defined twice; rename one",
    )
    # Without source info no line is known.
    t.refuses(
        "a collision without source info",
        one_file((4, message), (4, field(1, "m"))),
        "x.proto: message m and message M (x.proto) would both be named M in C; rename one of them",
    )
    deep = message
    for _ in range(20000):
        deep = message + field(3, deep)
    result = t.survives("messages nested without end", one_file((4, deep)))
    t.expect("messages nested without end", result.stderr.decode() == INVALID)
    deep = message
    for _ in range(63):
        deep = message + field(3, deep)
    t.expect("messages nested 64 deep", t.send(one_file((4, deep))).returncode == 0)


def test_good(t, base):
    """The undamaged request, so that the damage below is known to be the reason."""
    error, files = harness.response(t.send(base).stdout)
    t.expect("the undamaged request", error is None and len(files) == 4, str(error))


def test_truncated(t, base):
    step = max(1, len(base) // 200)
    for length in range(0, len(base), step):
        t.survives(f"the first {length} bytes", base[:length])


def test_damaged(t, base):
    rng = random.Random(SEED)
    for i in range(DAMAGED):
        data = bytearray(base)
        for _ in range(rng.choice([1, 1, 2, 5, 20])):
            at = rng.randrange(len(data))
            kind = rng.randrange(4)
            if kind == 0:
                data[at] ^= 1 << rng.randrange(8)
            elif kind == 1:
                data[at] = rng.randrange(256)
            elif kind == 2:
                del data[at : at + rng.randrange(1, 8)]
            else:
                data[at:at] = data[at : at + rng.randrange(1, 40)]
        t.survives(f"damage {i} of seed {SEED}", bytes(data))


def main():
    parser = harness.arguments(__doc__)
    parser.add_argument("--proto", required=True, help="the project's proto directory")
    args = parser.parse_args()
    roots = [os.path.join(HERE, "golden"), args.proto]
    names = ["options.proto", "names.proto"]
    packed, complaint = harness.descriptors(args, names, roots)
    if packed is None:
        harness.fail(complaint)
    # descriptor.proto would be most of the request and takes no part.
    packed = [p for p in packed if harness.file_name(p) != "google/protobuf/descriptor.proto"]
    base = harness.request(names, packed, "messages=off")
    t = Tester(args)
    test_command(t)
    test_invalid(t)
    test_absurd(t)
    test_good(t, base)
    test_truncated(t, base)
    test_damaged(t, base)
    print(f"{t.count} checks, {t.wrong} wrong")
    sys.exit(1 if t.wrong else 0)


if __name__ == "__main__":
    main()
