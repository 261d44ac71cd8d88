#!/usr/bin/env python3
"""Includes point down, and the lower layers know neither sockets nor clocks.

    layering.py SOURCE_ROOT
"""

import re
import sys

from findings import Findings, c_files, includes, without_comments

# Each layer may include itself and those before it.
LAYERS = ["util", "wire", "net", "rpc"]

# Layers that take bytes and the time as arguments.
PURE = ["util", "wire"]
IMPURE_HEADERS = re.compile(
    r"(event2?/|event\.h|evdns|sys/(socket|time|un|epoll|poll|select|timerfd|eventfd|ioctl)|time\.h|"
    r"poll\.h|netdb\.h|netinet/|arpa/|openssl/)")
IMPURE_CALLS = re.compile(
    r"\b(clock_gettime|gettimeofday|time|nanosleep|clock_nanosleep|usleep|sleep|socket|connect|"
    r"accept4?|bind|listen|sendmsg|recvmsg|sendto|recvfrom|send|recv|poll|epoll_\w+)\s*\(")

PUBLIC = re.compile(r"hawser/\w+\.h")
C_STANDARD = {"stdarg.h", "stdbool.h", "stddef.h", "stdint.h"}


def check_layer(findings, root, layer):
    allowed = LAYERS[: LAYERS.index(layer) + 1]
    for path in c_files(root, [f"src/{layer}"]):
        findings.looked_at += 1
        for line, angled, name in includes(path):
            if angled:
                if layer in PURE and IMPURE_HEADERS.match(name):
                    findings.add(path, line, f"src/{layer} must not include <{name}>: it takes "
                                             "bytes and the time as arguments")
                continue
            first = name.split("/")[0]
            if first in LAYERS and first not in allowed:
                findings.add(path, line, f'src/{layer} must not include "{name}": includes point '
                                         f"down, {' → '.join(LAYERS)}")
            elif "/" not in name:
                findings.add(path, line, f'write "{layer}/{name}": includes name their layer')
        if layer in PURE:
            code = without_comments(path.read_text(encoding="utf-8"))
            for number, text in enumerate(code.split("\n"), 1):
                call = IMPURE_CALLS.search(text)
                if call:
                    findings.add(path, number, f"src/{layer} must not call {call.group(1)}()")


def check_public(findings, root):
    for path in c_files(root, ["include"]):
        findings.looked_at += 1
        for line, angled, name in includes(path):
            if not angled:
                findings.add(path, line, f'write <{name}>: users include installed headers')
            elif not (PUBLIC.fullmatch(name) or name in C_STANDARD
                      or name.startswith("protobuf-c/")):
                findings.add(path, line, f"a public header must not include <{name}>")


def main():
    root = sys.argv[1]
    findings = Findings(root)
    for layer in LAYERS:
        check_layer(findings, root, layer)
    check_public(findings, root)
    findings.finish("files")


main()
