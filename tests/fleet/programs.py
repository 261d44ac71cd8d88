"""What the tests of the fleet share: central, its remotes, and the proxy between them.

    test_NAME.py FLEET_CENTRAL FLEET_REMOTE HAWSER SANITIZER
"""

import contextlib
import pathlib
import re
import subprocess
import sys

FLEET_CENTRAL, FLEET_REMOTE, HAWSER, SANITIZER = sys.argv[1:]

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'tools'))
# pylint: disable=wrong-import-position,unused-import
from support import (PATIENCE, Process, Stream, check, contains, environment, equal, main,
                     matches, run, temporary_directory)

NOWHERE = 'tcp:127.0.0.1:0'


class Talking(Process):
    """A program that is given lines while it runs."""

    def __init__(self, *command):  # pylint: disable=super-init-not-called
        self.popen = subprocess.Popen(command, env=environment(), stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.streams = {'stdout': Stream(self.popen.stdout), 'stderr': Stream(self.popen.stderr)}

    def __exit__(self, *error):
        with contextlib.suppress(BrokenPipeError):
            self.popen.stdin.close()
        super().__exit__(*error)

    def tell(self, *lines):
        self.popen.stdin.write(''.join(line + '\n' for line in lines).encode())
        self.popen.stdin.flush()


class Central(Talking):
    """It listens on each address; the first one is where remotes go, unless told otherwise."""

    def __init__(self, *options, addresses=(NOWHERE,)):
        super().__init__(FLEET_CENTRAL, *options, *addresses)
        try:
            self.addresses = [self.line(r'^listening on (\S+)')[1] for _ in addresses]
            self.address = self.addresses[0]
        except BaseException:
            self.__exit__()
            raise

    def lines(self, pattern, count):
        """Waits for so many lines that match; what comes between them does not matter."""
        return [self.line(pattern) for _ in range(count)]

    def see(self, *events):
        """Waits for lines such as "joined r", in whichever order they come."""
        wanted, seen = set(events), ''
        while wanted:
            try:
                line = self.streams['stdout'].next()
            except AssertionError:
                line = None
            check(line is not None, f'{sorted(wanted)} did not come, but:\n{seen}')
            wanted.discard(line.rstrip('\n'))
            seen += line

    def listed(self):
        """What `list` prints of each remote: a dictionary of lines by name."""
        self.tell('list')
        lines = []
        while not (end := re.match(r'(\d+) remotes, (\d+) of them here$',
                                   line := self.streams['stdout'].next())):
            if re.search(' (here|away) ', line):
                lines.append(line.rstrip('\n'))
        equal(len(lines), int(end[1]))
        equal(sum(' here ' in line for line in lines), int(end[2]))
        return {line.split()[0]: line for line in lines}

    def quit(self):
        """Ends it; what is left of its stdout."""
        self.tell('quit')
        code, out, err = self.finish()
        equal((code, err), (0, ''))
        return out


def remote(address, *options, name='r'):
    """A remote, or several, which nobody has seen yet."""
    return Process(FLEET_REMOTE, '--name', name, *options, address)


@contextlib.contextmanager
def joined(central, *options, name='r', address=None):
    """A remote that has joined, and has made its first report."""
    with remote(address or central.address, *options, name=name) as process:
        central.see(f'joined {name}', f'report {name}: 0 jobs are done, 0 run')
        yield process


def same(came, wanted):
    """Two sets, which may be large."""
    check(came == wanted, f'too much: {sorted(came - wanted)[:10]}; '
          f'missing: {sorted(wanted - came)[:10]}')


def ended(process, code=0):
    """Waits for the end of a remote, and checks it; what it had to say."""
    came, out, err = process.finish()
    check((came, out) == (code, ''), f'exit code {came} instead of {code}: {out}{err}')
    return err


class Proxy(Talking):
    """`hawser proxy` on its way to central; it takes commands."""

    def __init__(self, target):
        super().__init__(HAWSER, 'proxy', NOWHERE, target)
        try:
            self.address = self.line(r'^listening on (\S+)')[1]
        except BaseException:
            self.__exit__()
            raise

    def do(self, command):
        self.tell(command)
        while (line := self.streams['stdout'].next()) != 'ok\n':
            check(line and not line.startswith('error'), f'{command}: {line}')
