"""A page of the documentation whose blocks are true.

The blocks are written to files, compared with files that they claim to be or to be taken from,
compiled, and run in a directory of their own against an installed Hawser, in the order of the
page. A comment before a block, which readers do not see, says what becomes of it:

    <!-- file NAME -->                 it is written there
    <!-- file NAME, same as PATH -->   and is that file of the source tree
    <!-- from PATH -->                 it is in that file; what a line "/* … */" stands for was
                                       left out. build/… is a file of the build
    <!-- setup -->                     what a reader types once, in each terminal
    <!-- run -->                       a shell runs it, and it succeeds without complaint
    <!-- run quietly -->               it succeeds; what it prints is of no interest
    <!-- run, fails -->                it fails; it prints on stdout or stderr, no matter
    <!-- output -->                    what the block before printed
    <!-- output like -->               the same, but for the numbers
    <!-- serve -->                     a server, which runs until the page ends
    <!-- compile -->                   C that stands alone, after the page's prelude
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
# pylint: disable=wrong-import-position,unused-import
from support import PATIENCE, Process, check, equal, main

BLOCK = re.compile(r'^<!-- ([^>]*) -->\n```(\w*)\n(.*?)^```$', re.MULTILINE | re.DOTALL)
LEFT_OUT = re.compile(r'^\s*/\* … \*/\n', re.MULTILINE)
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


def is_taken_from(text, whole):
    """Whether the parts of a block are in the file, in that order, as whole lines."""
    at = 0
    for part in LEFT_OUT.split(text):
        if part.strip():
            found = ('\n' + whole).find('\n' + part, at)
            if found < 0:
                return False
            at = found + len(part)
    return True


class Page:
    """Read from top to bottom in one directory: an empty one, or what looks like a clone that
    was built in build/."""

    def __init__(self, path, prelude, is_clone=False):
        self.path, self.prelude, self.is_clone = path, prelude, is_clone
        self.folder, self.variables = None, None
        self.setup, self.printed, self.servers, self.fragments = '', None, [], 0

    def shell(self, script, **options):
        environment = {k: v for k, v in os.environ.items() if not k.startswith('HAWSER_')}
        return subprocess.run(['bash', '-euo', 'pipefail', '-c', self.setup + script],
                              cwd=self.folder, env=environment | self.variables, text=True,
                              timeout=PATIENCE, stdin=subprocess.DEVNULL, check=False,
                              **(options or {'capture_output': True}))

    def succeed(self, script):
        done = self.shell(script)
        check(done.returncode == 0, f'{script}\nfailed:\n{done.stdout}{done.stderr}')
        return done

    def run(self, what, script):
        if what == 'run, fails':
            done = self.shell(script, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            check(done.returncode != 0, f'{script}\ndid not fail:\n{done.stdout}')
        else:
            done = self.succeed(script)
            if what == 'run':
                equal(done.stderr, '')
        self.printed = done.stdout

    def serve(self, command):
        server = Process('bash', '-c', self.setup + 'exec ' + command, HAWSER_LOG='info',
                         **self.variables)
        self.servers.append(server)
        # The library's log has it; what has no server of the library's, such as a proxy, prints it.
        server.line('listening on', 'stdout' if 'proxy' in command else 'stderr')

    def take(self, what, text):
        """Deals with one block; returns what it should say."""
        if found := re.fullmatch(r'file ([\w.]+)(?:, same as (\S+))?', what):
            if found[2]:
                text = (ROOT / found[2]).read_text(encoding='utf-8')
            (self.folder / found[1]).write_text(text, encoding='utf-8')
        elif found := re.fullmatch(r'from (\S+)', what):
            place = self.folder if found[1].startswith('build/') else ROOT
            check(is_taken_from(text, (place / found[1]).read_text(encoding='utf-8')),
                  f'not in {found[1]}:\n{text}')
        elif what == 'setup':
            self.setup += text
        elif what in ('run', 'run quietly', 'run, fails'):
            self.run(what, text)
        elif what == 'output':
            return self.printed
        elif what == 'output like':
            return text if without_numbers(text) == without_numbers(self.printed) else self.printed
        elif what == 'serve':
            self.serve(text)
        elif what == 'compile':
            self.fragments += 1
            name = f'fragment-{self.fragments}.c'
            (self.folder / name).write_text(self.prelude + text, encoding='utf-8')
            self.succeed(f'cc {" ".join(WARNINGS)} -Igen -c {name} $(pkg-config --cflags hawser)')
        elif what == 'proto':
            (self.folder / 'other.proto').write_text(text, encoding='utf-8')
            self.succeed('protoc -I. -I$(pkg-config --variable=protodir hawser) '
                         '--hawser_out=gen other.proto && '
                         'cc -Igen -c gen/other.hawser.c $(pkg-config --cflags hawser)')
        else:
            raise AssertionError(f'nobody knows what to do with <!-- {what} -->')
        return text

    def read_in(self, text):
        """Returns how the page should read, and its differences from that."""
        differences = []

        def look_at(match):
            what, language, block = match.groups()
            wanted = self.take(what, block)
            if wanted != block:
                line = text.count('\n', 0, match.start()) + 2
                differences.append(f'{self.path.name}:{line}: {what}: should be\n{wanted}')
            return f'<!-- {what} -->\n```{language}\n{wanted}```'

        try:
            updated = BLOCK.sub(look_at, text)
            for server in reversed(self.servers):
                server.signal(15)
                equal(server.finish()[0], 0)
            equal([path.name for path in self.folder.iterdir() if path.is_socket()], [])
        finally:
            for server in self.servers:
                server.__exit__()
        return updated, differences

    def read(self):
        """Does all that the page says. Returns how many blocks of each kind it has."""
        text = self.path.read_text(encoding='utf-8')
        kinds = [re.split(r'[ ,]', what)[0] for what, _, _ in BLOCK.findall(text)]
        # Each comment has its block.
        equal(len(re.findall(r'^<!--', text, re.MULTILINE)), len(kinds))
        with tempfile.TemporaryDirectory(prefix='hw') as folder:
            self.variables = install(folder + '/installed')
            self.folder = pathlib.Path(folder + '/work')
            self.folder.mkdir()
            if self.is_clone:
                (self.folder / 'build').symlink_to(BUILD)
                for name in ('proto', 'tools'):
                    (self.folder / name).symlink_to(ROOT / name)
            before = os.getcwd()
            os.chdir(self.folder)
            try:
                updated, differences = self.read_in(text)
            finally:
                os.chdir(before)
        if os.environ.get('UPDATE'):
            self.path.write_text(updated, encoding='utf-8')
        else:
            check(not differences, '\n'.join(differences))
        return {kind: kinds.count(kind) for kind in kinds}
