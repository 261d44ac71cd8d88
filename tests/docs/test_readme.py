#!/usr/bin/env python3
"""What the README shows is what happens: its blocks are written to files, compared with the
files that they claim to be, compiled, and run in an empty directory against an installed
Hawser, in the order of the page.

    test_readme.py SOURCE_ROOT BUILD_ROOT MESON

A comment before a block, which readers do not see, says what becomes of it:

    <!-- file NAME -->                 it is written there
    <!-- file NAME, same as PATH -->   and is that file of the source tree
    <!-- run -->                       a shell runs it, and it succeeds
    <!-- run quietly -->               the same; what it prints is of no interest
    <!-- output -->                    what the block before printed
    <!-- output like -->               the same, but for the numbers
    <!-- serve -->                     a server, which runs until the page ends
    <!-- compile -->                   C that uses greeter.proto
    <!-- proto -->                     a .proto that generates

With UPDATE=1 in the environment, blocks that are a file's, or output, are brought up to date.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT, BUILD, MESON = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
sys.path.insert(0, str(ROOT / 'tests/tools'))
# pylint: disable=wrong-import-position
from support import PATIENCE, Process, check, equal, main

README = ROOT / 'README.md'
BLOCK = re.compile(r'^<!-- ([^>]*) -->\n```(\w*)\n(.*?)^```$', re.MULTILINE | re.DOTALL)
PRELUDE = '#include "greeter.hawser.h"\n#include <pthread.h>\n#include <stdio.h>\n#include <stdlib.h>\n'
WARNINGS = ['-std=c11', '-Wall', '-Wextra', '-Werror', '-Wno-unused-parameter',
            '-Wno-unused-function']


def install(folder):
    """Hawser in a folder of its own; returns the environment that finds it there."""
    subprocess.run([MESON, 'install', '-C', BUILD, '--no-rebuild', '--quiet', '--destdir', folder],
                   check=True, stdout=subprocess.DEVNULL)
    pc = next(pathlib.Path(folder).rglob('hawser.pc'))
    text = pc.read_text(encoding='utf-8')
    prefix = folder + re.search(r'^prefix=(.*)$', text, re.MULTILINE)[1]
    pc.write_text(re.sub(r'^prefix=.*$', f'prefix={prefix}', text, flags=re.MULTILINE),
                  encoding='utf-8')
    return {'PATH': f'{prefix}/bin:{os.environ["PATH"]}', 'PKG_CONFIG_PATH': str(pc.parent),
            'LD_LIBRARY_PATH': str(pc.parent.parent), 'LC_ALL': 'C.UTF-8'}


def without_numbers(text):
    return re.sub(r'\d+', '0', text)


class Page:
    """The README, read from top to bottom in one directory."""

    def __init__(self, folder, variables):
        self.folder, self.variables = pathlib.Path(folder), variables
        self.printed, self.server, self.fragments = None, None, 0

    def shell(self, script):
        environment = {k: v for k, v in os.environ.items() if not k.startswith('HAWSER_')}
        done = subprocess.run(['bash', '-euo', 'pipefail', '-c', script], cwd=self.folder,
                              env=environment | self.variables, text=True, timeout=PATIENCE,
                              stdin=subprocess.DEVNULL, capture_output=True, check=False)
        check(done.returncode == 0, f'{script}\nfailed:\n{done.stdout}{done.stderr}')
        return done

    def take(self, what, text):
        """Deals with one block; returns what it should say."""
        if found := re.fullmatch(r'file ([\w.]+)(?:, same as (\S+))?', what):
            if found[2]:
                text = (ROOT / found[2]).read_text(encoding='utf-8')
            (self.folder / found[1]).write_text(text, encoding='utf-8')
        elif what in ('run', 'run quietly'):
            done = self.shell(text)
            self.printed = done.stdout
            if what == 'run':
                equal(done.stderr, '')
        elif what == 'output':
            return self.printed
        elif what == 'output like':
            return text if without_numbers(text) == without_numbers(self.printed) else self.printed
        elif what == 'serve':
            os.chdir(self.folder)
            self.server = Process('bash', '-c', 'exec ' + text, HAWSER_LOG='info',
                                  **self.variables)
            self.server.line('listening on', 'stderr')
        elif what == 'compile':
            self.fragments += 1
            name = f'fragment-{self.fragments}.c'
            (self.folder / name).write_text(PRELUDE + text, encoding='utf-8')
            self.shell(f'cc {" ".join(WARNINGS)} -Igen -c {name} $(pkg-config --cflags hawser)')
        elif what == 'proto':
            (self.folder / 'other.proto').write_text(text, encoding='utf-8')
            self.shell('protoc -I. -I$(pkg-config --variable=protodir hawser) '
                       '--hawser_out=gen other.proto && '
                       'cc -Igen -c gen/other.hawser.c $(pkg-config --cflags hawser)')
        else:
            raise AssertionError(f'nobody knows what to do with <!-- {what} -->')
        return text


def test_every_block_of_the_readme_is_true():
    text = README.read_text(encoding='utf-8')
    differences, counts = [], {}
    with tempfile.TemporaryDirectory(prefix='hw') as folder:
        os.mkdir(folder + '/work')
        page = Page(folder + '/work', install(folder + '/installed'))

        def look_at(match):
            what, language, block = match.groups()
            counts[what.split()[0]] = counts.get(what.split()[0], 0) + 1
            wanted = page.take(what, block)
            if wanted != block:
                line = text.count('\n', 0, match.start()) + 2
                differences.append(f'README.md:{line}: {what}: should be\n{wanted}')
            return f'<!-- {what} -->\n```{language}\n{wanted}```'

        try:
            updated = BLOCK.sub(look_at, text)
            page.server.signal(15)
            equal(page.server.finish()[0], 0)
            check(not (page.folder / 'hello.sock').exists(), 'the server left its socket behind')
        finally:
            os.chdir(ROOT)
            if page.server:
                page.server.__exit__()
    if os.environ.get('UPDATE'):
        README.write_text(updated, encoding='utf-8')
    elif differences:
        raise AssertionError('\n'.join(differences))
    # A pattern that matches nothing would prove nothing.
    equal(counts, {'file': 5, 'run': 6, 'serve': 1, 'output': 4, 'compile': 5, 'proto': 1})
    comments = len(re.findall(r'^<!--', text, re.MULTILINE))
    equal(comments, sum(counts.values()))


def test_each_link_leads_to_a_file():
    pages = [README, *(ROOT / 'docs').glob('*.md'), *(ROOT / 'proto').rglob('*.md')]
    links = 0
    for page in pages:
        for target in re.findall(r'\]\(([^)#\s]+)[^)]*\)', page.read_text(encoding='utf-8')):
            if not target.startswith('http'):
                links += 1
                check((page.parent / target).exists(), f'{page.name}: no {target}')
    check(links >= 8, f'{links} links')


DEFAULT = re.compile(r'^\| ((?:`\w+`(?:, )?)+) \| ([^|]+) \|')
NUMBER = re.compile(r'[\d,]+')


def test_the_defaults_are_those_of_the_headers():
    """The number after the last ';' of an option's comment is its default."""
    text, checked = README.read_text(encoding='utf-8'), 0
    for side in ('server', 'client'):
        header = (ROOT / f'include/hawser/{side}.h').read_text(encoding='utf-8')
        table = text.split(f'| `struct hawser_{side}_options` |')[1].split('\n\n')[0]
        for row in table.split('\n')[2:]:
            names, stated = DEFAULT.match(row).groups()
            for name in re.findall(r'\w+', names):
                comment = re.search(r'/\*\*((?:(?!\*/).)*)\*/\s*[\w ]+\b' + name + ';', header,
                                    re.DOTALL)[1]
                said = ' '.join(comment.replace('*', ' ').split())
                number = NUMBER.search(stated)
                if number:
                    check(re.search(rf'(?:^|[; ]){number[0]}\b', said),
                          f'{side} {name}: the README says {stated}, the header: {said}')
                else:
                    check(stated.strip('`') in said, f'{side} {name}: {stated} is not in: {said}')
                checked += 1
    equal(checked, 36)


main(globals())
