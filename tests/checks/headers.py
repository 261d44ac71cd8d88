#!/usr/bin/env python3
"""Each header compiles alone: the public ones as strict C11 and as C++17, with every
compiler there is, the library's own as the C that it is written in.

    headers.py SOURCE_ROOT [FOLDER_WITH_GENERATED_HEADERS …]
"""

import pathlib
import re
import shutil
import subprocess
import sys

from findings import SKIP, Findings, c_files

WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"]
C = [(name, ["-std=c11", "-x", "c"]) for name in ("gcc", "clang", "cc")]
CXX = [(name, ["-std=c++17", "-x", "c++"]) for name in ("g++", "clang++", "c++")]
PLACE = re.compile(r"(?:In file included from )?([^\s:]+\.h):(\d+)")


def available(compilers):
    found = [(name, options) for name, options in compilers if shutil.which(name)]
    # cc and c++ are only for where none of the others is.
    return found[:2]


def flags(*packages):
    try:
        output = subprocess.run(["pkg-config", "--cflags", *packages], stdout=subprocess.PIPE,
                                text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    return output.split()


def compile_source(compiler, options, source):
    return subprocess.run([compiler, *options, "-"], input=source, text=True,
                          stderr=subprocess.PIPE, check=False)


def report(findings, path, compiler, options, stderr):
    for line in stderr.split("\n"):
        match = PLACE.search(line)
        if match and "error" in line:
            findings.add(match.group(1), match.group(2), line.split("error: ")[-1]
                         + f" ({compiler} {options[0]})")
            return
    findings.add(path, 1, f"does not compile alone ({compiler} {options[0]}):\n{stderr}")


# The initialisers are macros, which nothing compiles unless it is used.
INITIALISERS = """
struct hawser_context context = HAWSER_CONTEXT_INIT;
struct hawser_client_options client_options = HAWSER_CLIENT_OPTIONS_INIT;
struct hawser_server_options server_options = HAWSER_SERVER_OPTIONS_INIT;
struct hawser_exclusive exclusive = HAWSER_EXCLUSIVE_INIT;
"""


def main():
    root = pathlib.Path(sys.argv[1])
    findings = Findings(root)
    compilers = available(C) + available(CXX)
    if not compilers:
        print("skipped: no gcc, clang, g++ or clang++ in PATH")
        sys.exit(SKIP)
    public = [f"-I{root}/include", *flags("libprotobuf-c")]
    for path in c_files(root, ["include"], suffixes=(".h",)):
        findings.looked_at += 1
        source = f"#include <{path.relative_to(root / 'include')}>\n" * 2
        if path.name == "hawser.h":
            source += INITIALISERS
        for compiler, options in compilers:
            result = compile_source(compiler, options + WARNINGS + public, source)
            if result.returncode:
                report(findings, path, compiler, options, result.stderr)
    generated = [f"-I{folder}" for folder in sys.argv[2:]]
    internal = [f"-I{root}/src", *generated, *public, *flags("libevent"), "-D_GNU_SOURCE"]
    for path in c_files(root, [f"src/{layer}" for layer in ("util", "wire", "net", "rpc")],
                        suffixes=(".h",)):
        findings.looked_at += 1
        source = f'#include "{path.relative_to(root / "src")}"\n' * 2
        options = ["-std=gnu11", "-x", "c"]
        for compiler, _ in available(C):
            result = compile_source(compiler, [*options, "-Wall", "-Wextra", "-Werror",
                                               "-Wno-unused-parameter", "-fsyntax-only",
                                               *internal], source)
            if result.returncode:
                report(findings, path, compiler, options, result.stderr)
    findings.finish(f"headers with {', '.join(name for name, _ in compilers)}")


main()
