#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets into corpus/; they are in the tree, run it to add some. What
a target has found is there as well, under other names.

    make_corpus.py [FOLDER]
"""

import pathlib
import struct
import sys

from conversations import CONVERSATIONS


def varint(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7f | 0x80)
        number >>= 7
    return bytes(out + bytes([number]))


def number(field, value):
    return varint(field << 3) + varint(value)


def fixed32(field, value):
    return varint(field << 3 | 5) + struct.pack("<I", value)


def fixed64(field, value):
    return varint(field << 3 | 1) + struct.pack("<Q", value)


def chunk(field, value):
    value = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(value)) + value


def prefixed(frame):
    return struct.pack(">I", len(frame)) + frame


def call(identity, payload=b"", extra=b""):
    body = number(1, identity) + fixed32(2, 0x02277bfd) + number(3, 5000) + extra
    return chunk(8, body) + (chunk(15, payload) if payload else b"")


ANNOUNCE = chunk(5, fixed32(1, 7) + chunk(2, "demo.Greeter/Hello") + chunk(3, "demo.HelloRequest"))
SESSION = fixed64(1, 0x1122334455667788) + chunk(2, bytes(range(16))) + number(3, 300)
METADATA = chunk(4, chunk(1, "trace-id") + chunk(2, b"\0\1\2\3"))
HELLO = (chunk(1, "demo.Greeter") + chunk(1, "demo.Files") + chunk(2, chunk(1, "site") + chunk(2, "lab-2"))
         + chunk(3, "tcp:10.0.0.7:7000"))

FRAMES = {
    "open": chunk(1, number(1, 1) + chunk(2, "me") + chunk(3, "later") + number(6, 1 << 22)),
    "opened": chunk(2, number(1, 1) + chunk(4, "a problem") + number(5, 1 << 22) + number(6, 100)),
    "open-session": chunk(1, number(1, 1) + chunk(8, SESSION + number(5, 2)) + number(9, 15000)
                          + number(10, 45000)),
    "opened-session": chunk(2, number(1, 1) + chunk(10, SESSION + number(4, 30000))),
    "rejected": chunk(3, number(1, 6) + chunk(2, "no") + number(3, 1) + number(4, 1)),
    "ping": chunk(4, number(1, 2**64 - 1)),
    "pong": chunk(5, number(1, 1)),
    "close": chunk(6, number(1, 2) + chunk(2, "draining") + number(3, 9)),
    "shutdown": chunk(7, chunk(1, "enough")),
    "call": call(1, b"hello"),
    "call-rare": call(3, b"hello", METADATA + ANNOUNCE),
    "message": chunk(9, number(1, 3) + number(2, 1)) + chunk(15, b"part"),
    "message-begun": chunk(9, number(1, 3) + number(3, 1 << 20)) + chunk(15, b"part"),
    "call-begun": call(9, extra=number(6, 1 << 20)),
    "end": chunk(10, number(1, 1)) + chunk(15, b"reply"),
    "end-failed": chunk(10, number(1, 1) + number(2, 5) + number(3, 3) + chunk(4, "not there")
                        + chunk(5, chunk(1, "demo.Why") + chunk(2, b"\x08\x01"))),
    "cancel": chunk(11, number(1, 1)),
    "window": chunk(12, number(1, 3) + number(2, 65536)),
    "ignorable": chunk(17, b"later") + number(14, 1),
    "hello": number(14, 1) + chunk(16, HELLO),
    "hello-unmarked": chunk(16, HELLO) + number(13, 3),
    "hello-with-a-payload": number(14, 1) + chunk(15, b"hello") + chunk(16, b""),
    "open-hello": chunk(1, number(1, 1) + chunk(2, "me") + chunk(12, HELLO)),
    "opened-hello": chunk(2, number(1, 1) + chunk(12, HELLO)),
    "acked": number(13, 300) + call(5, b"x"),
    "acked-last": call(5, b"x") + number(13, 2**64 - 1),
    "acking": call(5) + number(13, 300) + chunk(15, b"x"),
    "acking-message": chunk(9, number(1, 3)) + number(13, 5) + chunk(15, b"part"),
    "ack-alone": number(13, 300) + number(14, 1),
    "ack-cleared": call(5) + b"\x68\x80\x80\x00" + chunk(15, b"x"),
    "taken-back": chunk(11, number(1, 5)) + number(13, 300) + b"\x7a\x81\x80\x80\x00\x15",
    "payload-first": chunk(15, b"hello") + call(7),
}

# To a server: the first byte is which end and limit, the second how it is cut.
# No more of it than its head, which is where it is refused.
HEAD = 4 + 32 * 1024 + 10
OVERSIZED = prefixed(call(9, b"p" * 66000))[:HEAD]
TO_SERVER = ["open", "ping", "call", "call-rare", "cancel", "message", "window", "ignorable", "close"]
TO_CLIENT = ["opened", "pong", "end", "end-failed", "close"]
HELLO_TO_SERVER = ["open-hello", "hello", "call", "hello-unmarked", "end", "close"]
HELLO_TO_CLIENT = ["opened-hello", "hello", "hello-with-a-payload", "end", "hello-unmarked", "close"]
SESSIONS = {
    "to-server": b"\x05\x01" + b"".join(prefixed(FRAMES[name]) for name in TO_SERVER),
    "to-client": b"\x04\x02" + b"".join(prefixed(FRAMES[name]) for name in TO_CLIENT),
    "hello-to-server": b"\x05\x0b" + b"".join(prefixed(FRAMES[name]) for name in HELLO_TO_SERVER)
                       + prefixed(call(9, b"x")),
    "hello-to-client": b"\x04\x0c" + b"".join(prefixed(FRAMES[name]) for name in HELLO_TO_CLIENT),
    "hello-first": b"\x01\x0d" + prefixed(FRAMES["hello"]),
    "hello-oversized": b"\x09\x0e" + prefixed(number(14, 1) + chunk(16, chunk(3, "h" * 70000)))[:HEAD],
    "rejected": b"\x04\x03" + prefixed(FRAMES["rejected"]),
    "oversized": b"\x01\x04" + prefixed(FRAMES["open"]) + OVERSIZED,
    "reply-oversized": b"\x08\x05" + prefixed(chunk(10, number(1, 1)) + chunk(15, b"p" * 66000))[:HEAD],
    "acks": b"\x1d\x09" + b"".join(prefixed(frame) for frame in (
        FRAMES["ack-alone"], call(1) + number(13, 40), number(13, 39) + number(14, 1), FRAMES["acked"],
        number(13, 301) + number(14, 1))),
    "acks-to-client": b"\x1c\x0a" + b"".join(prefixed(frame) for frame in (
        chunk(10, number(1, 1)) + number(13, 1) + chunk(15, b"reply"), FRAMES["acking-message"],
        FRAMES["window"], FRAMES["ping"], number(13, 6) + number(14, 1))),
    "ids": b"\x09\x06" + prefixed(call(5)) + prefixed(call(3)),
    "tls": b"\x01\x07\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "http": b"\x01\x08GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
}

ADDRESSES = {
    "tcp4": b"tcp:127.0.0.1:7070",
    "tcp6": b"tcp:[::1]:0",
    "scoped": b"tcp:[fe80::1%lo]:80",
    "name": b"tcp:localhost:65535",
    "star": b"tcp:*:7070",
    "unix": b"unix:/run/hawser.sock",
    "no-port": b"tcp:localhost",
    "no-brackets": b"tcp:::1:80",
    "too-high": b"tcp:h:65536",
    "too-long": b"unix:" + b"p" * 400,
    "nothing": b"",
}

SCALARS = (number(1, 150) + number(2, 3) + fixed32(3, 5) + number(13, 1) + number(14, 2)
           + varint(11 << 3 | 5) + struct.pack("<f", 0.1)
           + varint(12 << 3 | 1) + struct.pack("<d", -1e300)
           + chunk(15, "船 \"q\" \n") + chunk(16, b"\xff\0\x80"))
TREE = chunk(1, "root") + chunk(2, chunk(1, "left") + number(4, 7)) + chunk(5, "leaf") + number(70000, 1)
MESSAGES = {
    "unknown": b"\x00\x01\x00" + SCALARS,
    "scalars": b"\x01\x01\x00" + SCALARS,
    "lists": b"\x02\x01\x00" + chunk(1, b"\1\2\x96\1") + chunk(8, "a") + chunk(8, "b") + chunk(10, SCALARS),
    "tree": b"\x03\x01\x00" + TREE,
    "deep": b"\x03\x08\x00" + b"".join(varint(2 << 3 | 2) + varint(2 * n) for n in range(40, -1, -1)),
    "names": b"\x04\x01\x00" + b"".join(number(n, n) for n in range(1, 10)),
    "login": b"\x85\x01\x00" + chunk(1, "me") + chunk(2, "secret") + chunk(3, b"key") + chunk(3, b"key"),
    "maps": b"\x06\x01\x00" + chunk(1, chunk(1, "k") + number(2, 9)),
    "frame": b"\x07\x01\x00" + FRAMES["call-rare"],
    "cut": b"\x01\x00\x20" + SCALARS,
    "nothing-fits": b"\x01\x00\x01" + SCALARS,
    "invalid": b"\x01\x01\x00" + SCALARS[:-2],
    "groups": b"\x00\x01\x00\x0b\x13\x08\x01\x14\x0c",
    "not-utf8": b"\x01\x01\x00" + chunk(15, b"a\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80\xe1\x80"),
}


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "corpus"
    for target, seeds in {"frame": FRAMES, "session": SESSIONS, "address": ADDRESSES,
                          "json": MESSAGES, "conversation": CONVERSATIONS}.items():
        (folder / target).mkdir(parents=True, exist_ok=True)
        for name, data in seeds.items():
            (folder / target / name).write_bytes(data)


main()
