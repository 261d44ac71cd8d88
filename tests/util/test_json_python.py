#!/usr/bin/env python3
"""Random messages, as Hawser shows them and as protobuf's own json_format does.

    test_json_python.py JSON_PRINT PROTOC JSON_PROTO
"""

import json
import math
import os
import random
import struct
import subprocess
import sys
import tempfile

SKIP = 77

try:
    from google.protobuf import json_format
except ImportError:
    print("skipped: needs python3-protobuf")
    sys.exit(SKIP)

INTEGERS = {
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint32": (0, 2**32 - 1),
    "uint64": (0, 2**64 - 1),
}
CHARACTERS = 'az09 _-/\\"\'\n\t\r\b\f\x00\x1b\x7f\x9büßλЖ中ℋ🜁\u2028\ufeff\U0010ffff'


def random_float(rng, is_double):
    choice = rng.randrange(8)
    if choice == 0:
        return rng.choice([math.inf, -math.inf, math.nan, -0.0])
    if choice == 1:
        return float(rng.randrange(-1000, 1000))
    if choice == 2:
        return rng.choice([0.1, 1e20, 1e21, 1e-7, 1.5, 3.3333333, 16777217.0, 1e-5, 123456789.0])
    if is_double:
        return struct.unpack("<d", rng.randbytes(8))[0]
    return struct.unpack("<f", rng.randbytes(4))[0]


def random_value(rng, field, depth):
    kinds = {field.CPPTYPE_INT32: "int32", field.CPPTYPE_INT64: "int64",
             field.CPPTYPE_UINT32: "uint32", field.CPPTYPE_UINT64: "uint64"}
    if field.cpp_type in kinds:
        low, high = INTEGERS[kinds[field.cpp_type]]
        return rng.choice([low, high, rng.randint(low, high), rng.randint(max(low, -9), 9)])
    if field.cpp_type == field.CPPTYPE_BOOL:
        return rng.random() < 0.5
    if field.cpp_type == field.CPPTYPE_ENUM:
        return rng.choice([0, 1, 2, -1, 77, -(2**31)])
    if field.cpp_type == field.CPPTYPE_FLOAT:
        return random_float(rng, False)
    if field.cpp_type == field.CPPTYPE_DOUBLE:
        return random_float(rng, True)
    if field.type == field.TYPE_BYTES:
        return rng.randbytes(rng.randrange(10))
    return "".join(rng.choice(CHARACTERS) for _ in range(rng.randrange(12)))


def fill(rng, message, depth=0):
    for field in message.DESCRIPTOR.fields:
        if rng.random() < 0.3 or (field.message_type and depth > 4):
            continue
        if field.label == field.LABEL_REPEATED:
            for _ in range(rng.randrange(4)):
                if field.message_type:
                    fill(rng, getattr(message, field.name).add(), depth + 1)
                else:
                    getattr(message, field.name).append(random_value(rng, field, depth))
        elif field.message_type:
            getattr(message, field.name).SetInParent()
            fill(rng, getattr(message, field.name), depth + 1)
        else:
            setattr(message, field.name, random_value(rng, field, depth))


def number_as_is(text):
    """Floats are compared by their value, 1.0 and 1 being the same number."""
    return float(text)


def main():
    json_print, protoc, proto = sys.argv[1:4]
    seed = int(os.environ.get("HAWSER_TEST_SEED", "1"), 0)
    rounds = max(1, 3000 // int(os.environ.get("HAWSER_TEST_DIVISOR", "1")))
    rng = random.Random(seed)
    print(f"random seed {seed} (HAWSER_TEST_SEED sets it)")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([protoc, "--proto_path", os.path.dirname(proto) or ".",
                        "--python_out", folder, proto], check=True)
        sys.path.insert(0, folder)
        import json_pb2
    messages, request = [], b""
    for _ in range(rounds):
        message = getattr(json_pb2, rng.choice(["Scalars", "Lists", "Tree", "Names"]))()
        fill(rng, message)
        packed = message.SerializeToString()
        messages.append(message)
        request += f"{message.DESCRIPTOR.name} {len(packed)}\n".encode() + packed
    reply = subprocess.run([json_print], input=request, stdout=subprocess.PIPE, check=True).stdout
    lines = reply.decode("utf-8").splitlines()
    if len(lines) != len(messages):
        sys.exit(f"{len(messages)} messages gave {len(lines)} lines")
    for line, message in zip(lines, messages):
        expected = json.loads(json_format.MessageToJson(message), parse_int=number_as_is)
        if json.loads(line, parse_int=number_as_is) != expected:
            sys.exit(f"differs:\n  hawser {line}\n  python {json.dumps(expected)}\n  of {message!r}")
    print(f"{len(messages)} messages read the same")


main()
