#!/usr/bin/env python3
"""Files of a size or shape that nobody writes by hand: thousands of methods, deep
nesting, long names, one name for many things; and the parameters. What comes out
compiles without a warning."""

import os
import random
import stat
import sys
import tempfile
import time

import harness

PROTO3 = 'syntax = "proto3";\n'


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

    def generate(self, directory, files, parameter="", compilers=None):
        """Writes the files, generates all of them, compiles what came out."""
        for name, text in files.items():
            path = os.path.join(directory, "in", name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        os.makedirs(os.path.join(directory, "out"), exist_ok=True)
        out = os.path.join(directory, "out")
        roots = [os.path.join(directory, "in"), self.args.proto]
        result = harness.generate(self.args, out, list(files), roots, parameter)
        if result.returncode == 0 and compilers != 0:
            for name in files:
                for complaint in harness.compile_all(self.args, out, name[:-6], compilers):
                    result.returncode = 1
                    result.stderr += complaint
        return result

    def works(self, claim, files, parameter=""):
        with tempfile.TemporaryDirectory() as directory:
            result = self.generate(directory, files, parameter)
            self.expect(claim, result.returncode == 0, result.stderr[:4000])


def test_shapes(t):
    message = "message M { int32 x = 1; }\n"
    t.works("no package", {"a.proto": PROTO3 + message + "service S { rpc C(M) returns (M); }"})
    t.works("no syntax line", {"a.proto": 'message M {} service S { rpc C(M) returns (M); }'})
    t.works("no service", {"a.proto": PROTO3 + message})
    t.works("an empty file", {"a.proto": PROTO3})
    t.works("a service without methods", {"a.proto": PROTO3 + "service S {}"})
    t.works(
        "a file in directories",
        {"x/y-z/1.proto": PROTO3 + message + "service S { rpc C(M) returns (M); }"},
    )
    t.works(
        "guards of files with nearly one name",
        {
            "a/b.proto": PROTO3 + "package p1; message M {} service S { rpc C(M) returns (M); }",
            "a_b.proto": PROTO3
            + 'package p2; import "a/b.proto"; import "a-b.proto"; import "A_b.proto";'
            "service S { rpc C(p1.M) returns (p3.M); rpc D(p4.M) returns (p3.M); }",
            "a-b.proto": PROTO3 + "package p3; message M {} service S { rpc C(M) returns (M); }",
            "A_b.proto": PROTO3 + "package p4; message M {} service S { rpc C(M) returns (M); }",
        },
    )
    t.works(
        "imports across packages, public ones too",
        {
            "one.proto": PROTO3 + "package one; message A { message B { enum C { Z = 0; } } }",
            "two.proto": PROTO3
            + 'package two; import public "one.proto"; message A { one.A a = 1; }',
            "three.proto": PROTO3
            + 'package three; import "two.proto"; service S { rpc C(one.A.B) returns (two.A); }',
        },
    )
    t.works(
        "a file whose own messages have no C code",
        {
            "own.proto": PROTO3 + "package own; message A {}",
            "none.proto": PROTO3
            + 'package none; import "protobuf-c/protobuf-c.proto"; import "own.proto";'
            "option (pb_c_file).no_generate = true; message X {}"
            "service S { rpc C(own.A) returns (own.A); }",
        },
    )
    deep = "".join(f"message L{i} {{ " for i in range(25)) + "}" * 25
    path = ".".join(f"L{i}" for i in range(25))
    t.works(
        "deep nesting",
        {"a.proto": PROTO3 + f"package p; {deep} service S {{ rpc C({path}) returns (L0); }}"},
    )
    long = "VeryLongName" * 20
    t.works(
        "long names",
        {"a.proto": PROTO3 + f"package {long}; message M {{}}"
         f"service Long{long} {{ rpc {long}(M) returns (stream M); rpc Short(M) returns (M); }}"},
    )
    t.works(
        "fields named as protobuf-c names its own",
        {"a.proto": "message M { optional int32 base = 1; optional int32 base_ = 2;"
         "message N { optional string Base = 1; } } service S { rpc C(M) returns (M.N); }"},
    )
    t.works(
        "a method named as a static of its file",
        {"a.proto": PROTO3 + "message M {} service Hello { rpc Hello(M) returns (M);"
         "rpc Serve(M) returns (M); rpc Deliver(M) returns (M); rpc Methods(M) returns (M); }"},
    )

def test_many(t):
    """5,000 methods in 50 services, 200 messages, in a few seconds."""
    rng = random.Random(1)
    text = PROTO3 + "package many;\n"
    text += "".join(f"message Message{i} {{ int32 x = 1; }}\n" for i in range(200))
    for s in range(50):
        text += f"// Service number {s}.\nservice Service{s} {{\n"
        for m in range(100):
            ends = [f"{rng.choice(['', 'stream '])}Message{rng.randrange(200)}" for _ in "ab"]
            text += f"  // Does {m}.\n  rpc Method{m}({ends[0]}) returns ({ends[1]});\n"
        text += "}\n"
    with tempfile.TemporaryDirectory() as directory:
        start = time.monotonic()
        result = t.generate(directory, {"many.proto": text}, compilers=0)
        took = time.monotonic() - start
        t.expect("5,000 methods", result.returncode == 0, result.stderr)
        t.expect("5,000 methods take below 20 s", took < 20, f"{took:.1f} s")
        complaints = harness.compile_all(t.args, os.path.join(directory, "out"), "many", 1)
        t.expect("5,000 methods compile", not complaints, "\n".join(complaints)[:4000])


def test_random_names(t):
    """Names from few letters, so that they collide in every way; the output either
    compiles or is refused by a line that names a place."""
    rng = random.Random(2)
    for i in range(t.args.random):
        name = lambda: rng.choice("aAbB_") + "".join(
            rng.choice(["a", "A", "_", "B", "Async", "_reply", "_cb", "Send", "__init"])
            for _ in range(rng.randrange(3))
        )
        taken = set()

        def fresh():
            while (n := name()) in taken:
                pass
            taken.add(n)
            return n

        text = PROTO3 + (f"package {name()};\n" if rng.randrange(2) else "")
        messages = [fresh() for _ in range(2)]
        text += "".join(f"message {m} {{}}\n" for m in messages)
        for _ in range(rng.randrange(1, 3)):
            methods = {name() for _ in range(6)} | {rng.choice(["Register", "service"])}
            text += f"service {fresh()} {{\n"
            for m in sorted(methods):
                ends = [rng.choice(["", "stream "]) + rng.choice(messages) for _ in "ab"]
                text += f"  rpc {m}({ends[0]}) returns ({ends[1]});\n"
            text += "}\n"
        with tempfile.TemporaryDirectory() as directory:
            result = t.generate(directory, {"r.proto": text}, compilers=1)
            refused = "would b" in result.stderr and "r.proto:" in result.stderr
            by_protoc = result.returncode != 0 and "--hawser_out" not in result.stderr and (
                "error:" not in result.stderr)
            t.expect(
                f"random names {i}",
                result.returncode == 0 or refused or by_protoc,
                text + result.stderr[:3000],
            )


FAKE = """#!/usr/bin/env python3
import subprocess, sys
sys.path.insert(0, {here!r})
import harness
request = sys.stdin.buffer.read()
open({seen!r}, "ab").write(request)
out = b""
if any(number == 1 for number, _ in harness.fields(request)):
    for name in [v for n, v in harness.fields(request) if n == 1]:
        for end in (b".pb-c.h", b".pb-c.c"):
            file = harness.field(1, name[:-6] + end) + harness.field(15, "/* fake */")
            out += harness.field(15, file)
sys.stdout.buffer.write(harness.field(2, 1) + out)
"""


def test_newer_protobuf_c(t):
    """A protoc-gen-c that knows proto3 optional gets it as it is."""
    text = PROTO3 + "message M { optional int32 x = 1; }"
    with tempfile.TemporaryDirectory() as directory:
        seen = os.path.join(directory, "seen")
        fake = os.path.join(directory, "protoc-gen-c")
        with open(fake, "w", encoding="utf-8") as file:
            file.write(FAKE.format(here=os.path.dirname(os.path.abspath(__file__)), seen=seen))
        os.chmod(fake, os.stat(fake).st_mode | stat.S_IXUSR)
        parameter = f"protoc_gen_c={fake}"
        result = t.generate(directory, {"a.proto": text}, parameter, compilers=0)
        t.expect("a newer protoc-gen-c", result.returncode == 0, result.stderr)
        with open(seen, "rb") as file:
            files = [v for n, v in harness.fields(file.read()) if n == 15]
        message = dict(harness.fields(files[0]))[4]
        optional = dict(harness.fields(dict(harness.fields(message))[2])).get(17)
        t.expect("proto3_optional reaches it", optional == 1, str(optional))


def test_parameters(t):
    text = PROTO3 + "message M {} service S { rpc C(M) returns (M); }"
    for parameter, expected in [
        ("messages=off", ["a.hawser.c", "a.hawser.h"]),
        ("messages=on", ["a.hawser.c", "a.hawser.h", "a.pb-c.c", "a.pb-c.h"]),
        ("messages=off,messages=on", ["a.hawser.c", "a.hawser.h", "a.pb-c.c", "a.pb-c.h"]),
    ]:
        with tempfile.TemporaryDirectory() as directory:
            result = t.generate(directory, {"a.proto": text}, parameter, compilers=0)
            written = sorted(os.listdir(os.path.join(directory, "out")))
            t.expect(parameter, result.returncode == 0 and written == expected, str(written))
    with tempfile.TemporaryDirectory() as directory:
        t.generate(directory, {"a.proto": text}, compilers=0)
        with open(os.path.join(directory, "out", "a.pb-c.h"), encoding="utf-8") as file:
            t.expect("no service of protobuf-c's own", "ProtobufCService " not in file.read())
        for name in os.listdir(os.path.join(directory, "out")):
            with open(os.path.join(directory, "out", name), encoding="utf-8") as file:
                t.expect(f"no absolute path in {name}", directory not in file.read())


def main():
    parser = harness.arguments(__doc__)
    parser.add_argument("--proto", required=True, help="the project's proto directory")
    parser.add_argument("--random", type=int, default=30, help="files with random names")
    args = parser.parse_args()
    t = Tester(args)
    test_parameters(t)
    test_newer_protobuf_c(t)
    test_shapes(t)
    test_random_names(t)
    test_many(t)
    print(f"{t.count} checks, {t.wrong} wrong")
    sys.exit(1 if t.wrong else 0)


if __name__ == "__main__":
    main()
