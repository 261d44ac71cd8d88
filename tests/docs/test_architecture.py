#!/usr/bin/env python3
"""The architecture page speaks of functions, structs and files that there are, and the
manual page is one that man can read.

    test_architecture.py SOURCE_ROOT
"""

import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(sys.argv[1])
sys.path.insert(0, str(ROOT / 'tests/tools'))
# pylint: disable=wrong-import-position
from support import Skip, check, equal, main

PAGE = (ROOT / 'docs/architecture.md').read_text(encoding='utf-8')
C = {path: path.read_text(encoding='utf-8')
     for folder in ('src', 'include', 'gen', 'tests/gen/golden', 'tools/examples/greeter')
     for path in (ROOT / folder).rglob('*.[ch]')}


def all_there(names, pattern, least):
    check(len(names) >= least, f'only {sorted(names)}')
    text = '\n'.join(C.values())
    missing = [name for name in sorted(names) if not re.search(pattern % name, text)]
    equal(missing, [])


def test_its_functions_are_there():
    all_there(set(re.findall(r'\b(\w+)\(\)', PAGE)), r'\b%s\(', 20)


def test_its_structs_are_there():
    all_there(set(re.findall(r'`(hawser_\w+)`', PAGE)), r'struct %s \{', 9)


def test_its_files_are_there():
    names = {path.name for path in C} | {str(path.relative_to(ROOT / 'src')) for path in C
                                         if (ROOT / 'src') in path.parents}
    named = set(re.findall(r'(?<![.\w])((?:wire/|net/)?\w+\.[ch])\b', PAGE))
    check(len(named) >= 12, f'only {sorted(named)}')
    equal(sorted(named - names), [])


def test_its_layers_are_those_of_the_tree():
    for layer, parts in re.findall(r'^  src/(\w+) .*?  +((?:\w+ · )+\w+)$', PAGE, re.MULTILINE):
        for part in parts.split(' · '):
            check(any((ROOT / 'src' / layer).glob(f'{part}*.[ch]')), f'no {layer}/{part}')


def test_the_manual_page_has_no_errors():
    if not shutil.which('mandoc') and not shutil.which('groff'):
        raise Skip('neither mandoc nor groff is installed')
    page = str(ROOT / 'docs/hawser.7')
    command = ['groff', '-man', '-ww', '-z', page] if shutil.which('groff') else [
        'mandoc', '-T', 'lint', '-W', 'warning', page]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    equal((done.returncode, done.stdout, done.stderr), (0, '', ''))


main(globals())
