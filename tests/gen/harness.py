"""What the tests of the generator share: running protoc, reading and writing the
few bits of wire format that a request needs, compiling what came out."""

import argparse
import os
import subprocess
import sys
import tempfile

WARNINGS = ["-Wall", "-Wextra", "-Werror"]
# protoc-gen-c's output is not ours to keep free of warnings.
QUIET = ["-w"]


def arguments(description):
    """The arguments that meson.build gives every test."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--generator", required=True, help="protoc-gen-hawser")
    parser.add_argument("--protoc", default="protoc")
    parser.add_argument("--include", action="append", default=[], help="for protoc and compilers")
    parser.add_argument("--cc", action="append", default=[], help="a C compiler (several times)")
    parser.add_argument("--cxx", action="append", default=[], help="a C++ compiler")
    parser.add_argument("--update", action="store_true", help="write what is expected anew")
    parser.add_argument("rest", nargs="*")
    return parser


def run(command, **more):
    return subprocess.run(command, capture_output=True, check=False, **more)


def generate(args, directory, files, roots, parameter="", more=()):
    """Runs protoc with the generator; the result of the process."""
    out = f"{parameter}:{directory}" if parameter else directory
    command = [args.protoc, "--plugin", args.generator, f"--hawser_out={out}"]
    command += [f"-I{root}" for root in roots] + list(more) + list(files)
    return run(command, text=True, errors="replace")


# ---- wire format ----


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, value):
    """A varint or a length-delimited field."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, str):
        value = value.encode()
    return varint(number << 3 | 2) + varint(len(value)) + value


def read_varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
        shift += 7


def fields(data):
    """Number and value of each field; bytes for length-delimited ones."""
    at = 0
    while at < len(data):
        tag, at = read_varint(data, at)
        if tag & 7 == 0:
            value, at = read_varint(data, at)
        elif tag & 7 == 2:
            length, at = read_varint(data, at)
            value, at = data[at : at + length], at + length
        else:
            length = 8 if tag & 7 == 1 else 4
            value, at = data[at : at + length], at + length
        yield tag >> 3, value


def descriptors(args, files, roots):
    """The FileDescriptorProtos of the files and all that they import, packed; or
    None and protoc's complaint."""
    with tempfile.NamedTemporaryFile() as out:
        command = [args.protoc, f"--descriptor_set_out={out.name}"]
        command += ["--include_imports", "--include_source_info"]
        command += [f"-I{root}" for root in roots] + list(files)
        result = run(command, text=True, errors="replace")
        if result.returncode != 0:
            return None, result.stderr
        return [value for number, value in fields(out.read()) if number == 1], ""


def file_name(descriptor):
    return next(value.decode() for number, value in fields(descriptor) if number == 1)


def request(names, packed_files, parameter=None):
    """A CodeGeneratorRequest."""
    out = b"".join(field(1, name) for name in names)
    if parameter is not None:
        out += field(2, parameter)
    return out + b"".join(field(15, packed) for packed in packed_files)


def response(data):
    """The error of a CodeGeneratorResponse (or None), and its files by name."""
    error, files = None, {}
    for number, value in fields(data):
        if number == 1:
            error = value.decode(errors="replace")
        elif number == 15:
            parts = dict(fields(value))
            files[parts[1].decode()] = parts.get(15, b"")
    return error, files


# ---- compiling ----


def compile_all(args, directory, stem, compilers=None):
    """Compiles x.hawser.c strictly as C11, x.pb-c.c loosely, and the header from
    C++; with `compilers`, by the first so many C compilers alone. Returns the
    complaints."""
    complaints = []
    include = [f"-I{directory}"] + [f"-I{path}" for path in args.include]

    def attempt(command):
        result = run(command, text=True, errors="replace")
        if result.returncode != 0:
            complaints.append(" ".join(command) + "\n" + result.stdout + result.stderr)

    for compiler in args.cc[:compilers]:
        common = compiler.split() + ["-std=c11", "-c", "-o", os.devnull] + include
        attempt(common + WARNINGS + [f"{directory}/{stem}.hawser.c"])
        if os.path.exists(f"{directory}/{stem}.pb-c.c"):
            attempt(common + QUIET + [f"{directory}/{stem}.pb-c.c"])
    for compiler in args.cxx if compilers is None else []:
        with tempfile.NamedTemporaryFile("w", suffix=".cc") as source:
            source.write(f'#include "{stem}.hawser.h"\n')
            source.flush()
            attempt(
                compiler.split()
                + ["-std=c++17", "-fsyntax-only"]
                + WARNINGS
                + include
                + [source.name]
            )
    return complaints


def fail(text):
    print(text)
    sys.exit(1)
