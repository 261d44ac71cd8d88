#!/usr/bin/env python3
"""Every .proto with a service below the given directories generates, and what
comes out compiles without a warning.

Directories that are absent are skipped with a message: which packages bring them
stands in fetch-corpus.sh. What protoc itself refuses (usually an import that its
package does not bring along) is counted and shown, not failed. Generated code may
be refused only for names that collide in protobuf-c's own code; those files are
listed in corpus-refused.txt with the reason."""

import collections
import concurrent.futures
import os
import re
import sys
import tempfile

import harness

SERVICE = re.compile(rb"^\s*service\s+\w+", re.M)
IMPORT = re.compile(rb'^\s*import\s+(?:public\s+|weak\s+)?"([^"]+)"', re.M)


def find_protos(roots):
    for root in roots:
        for directory, _, names in os.walk(root):
            for name in sorted(names):
                if name.endswith(".proto"):
                    yield os.path.join(directory, name)


class Corpus:
    """Knows where each import may be found: a package keeps its .proto files
    below some directory, and only the imports tell which."""

    def __init__(self, roots):
        self.text = {}
        self.by_name = collections.defaultdict(list)
        for path in find_protos(roots):
            with open(path, "rb") as file:
                self.text[path] = file.read()
            self.by_name[os.path.basename(path)].append(path)

    def services(self):
        return sorted(path for path, text in self.text.items() if SERVICE.search(text))

    def find(self, importer, name):
        """The file meant by an import: of those whose path ends so, the nearest."""
        found = [p for p in self.by_name[os.path.basename(name)] if p.endswith("/" + name)]
        if not found:
            return None
        return max(found, key=lambda p: (len(os.path.commonprefix([p, importer])), p))

    def roots(self, path):
        """Import directories for a file: its imports' roots, in order, then its own."""
        roots, seen, queue = [], {path}, [path]
        while queue:
            current = queue.pop(0)
            for raw in IMPORT.findall(self.text[current]):
                name = raw.decode(errors="replace")
                if name.startswith("google/protobuf/"):
                    continue
                target = self.find(current, name)
                if target and target not in seen:
                    seen.add(target)
                    queue.append(target)
                    root = target[: -len(name) - 1]
                    if root not in roots:
                        roots.append(root)
        own = os.path.dirname(path)
        return roots if any(path.startswith(r + "/") for r in roots) else roots + [own]


def check(args, corpus, path):
    """(kind, text) of one file: "ok", "protoc", "refused" or "broken"."""
    roots = corpus.roots(path)
    packed, complaint = harness.descriptors(args, [path], roots)
    if packed is None:
        return "protoc", complaint
    names = [harness.file_name(p) for p in packed]
    ours = [n for n in names if not os.path.exists(f"{args.wkt}/{n[:-6]}.pb-c.h")]
    with tempfile.TemporaryDirectory() as directory:
        result = harness.generate(args, directory, ours, roots)
        if result.returncode != 0:
            return "refused", result.stderr
        complaints = []
        stem = names[-1][:-6]
        complaints = harness.compile_all(args, directory, stem)
        if complaints:
            return "broken", "\n".join(complaints)
    return "ok", ""


def main():
    parser = harness.arguments(__doc__)
    parser.add_argument("--wkt", required=True, help="where the well-known types' headers are")
    parser.add_argument("--refused", help="file of path endings that may be refused")
    args = parser.parse_args()
    args.include.append(args.wkt)
    roots = []
    for root in args.rest + os.environ.get("HAWSER_CORPUS", "").split(":"):
        if root and os.path.isdir(root):
            roots.append(os.path.abspath(root))
        elif root:
            print(f"skipped: {root} is not there")
    if not roots:
        print("no corpus: install grpc-proto, or run fetch-corpus.sh and set HAWSER_CORPUS")
        sys.exit(77)
    expected = {}
    if args.refused:
        with open(args.refused, encoding="utf-8") as file:
            for line in file:
                if line.strip() and not line.startswith("#"):
                    name, text = line.rstrip("\n").split(None, 1)
                    expected[name] = text
    corpus = Corpus(roots)
    results = collections.defaultdict(list)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        paths = corpus.services()
        for path, (kind, text) in zip(paths, pool.map(lambda p: check(args, corpus, p), paths)):
            if kind == "refused":
                known = [t for n, t in expected.items() if path.endswith(n)]
                if known and known[0] in text:
                    kind = "known"
            results[kind].append((path, text))
    for kind in ("protoc", "known", "refused", "broken"):
        for path, text in results[kind]:
            print(f"{kind}: {path}\n    " + text.strip().replace("\n", "\n    "))
    total = sum(map(len, results.values()))
    print(
        f"{total} files with services: {len(results['ok'])} generate and compile, "
        f"{len(results['protoc'])} protoc refuses, {len(results['known'])} known collisions, "
        f"{len(results['refused']) + len(results['broken'])} wrong"
    )
    if results["refused"] or results["broken"] or not results["ok"]:
        sys.exit(1)


if __name__ == "__main__":
    main()
