"""What the tests of the places share: the programs, and the table that they read.

    test_NAME.py PLACES_SERVER PLACES_CLIENT PLACES_TOUR HAWSER
"""

import pathlib
import subprocess
import sys

PLACES_SERVER, PLACES_CLIENT, PLACES_TOUR, HAWSER = sys.argv[1:]

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'tools'))
# pylint: disable=wrong-import-position,unused-import
from support import (PATIENCE, Process, Server, Stream, check, contains, environment, equal, main,
                     matches, run, silent_listener, temporary_directory)

NOWHERE = 'tcp:127.0.0.1:0'
WORLD = ('-90', '-180', '90', '180')


def serve(*options, address=NOWHERE):
    return Server(PLACES_SERVER, *options, address)


def ask(address, *arguments, lines=''):
    """A client that gets these lines: its exit code, stdout and stderr."""
    done = subprocess.run([PLACES_CLIENT, '--address', address, *arguments], env=environment(),
                          input=lines, text=True, capture_output=True, timeout=PATIENCE,
                          check=False)
    return done.returncode, done.stdout, done.stderr


def answer(address, *arguments, lines=''):
    """What a client prints that has to succeed."""
    code, out, err = ask(address, *arguments, lines=lines)
    check((code, err) == (0, ''), f'exit code {code}: {out}{err}')
    return out


class Talking(Process):
    """A program that is given lines while it runs."""

    def __init__(self, *command):  # pylint: disable=super-init-not-called
        self.popen = subprocess.Popen(command, env=environment(), stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.streams = {'stdout': Stream(self.popen.stdout), 'stderr': Stream(self.popen.stderr)}

    def __exit__(self, *error):
        self.end()
        super().__exit__(*error)

    def tell(self, *lines):
        self.popen.stdin.write(''.join(line + '\n' for line in lines).encode())
        self.popen.stdin.flush()

    def end(self):
        """The program's stdin is at its end."""
        try:
            self.popen.stdin.close()
        except BrokenPipeError:
            pass

    def expect(self, *lines):
        """It has to print these, and no other."""
        for line in lines:
            equal(self.streams['stdout'].next(), line + '\n')


class Client(Talking):
    def __init__(self, address, *arguments):
        super().__init__(PLACES_CLIENT, '--address', address, *arguments)


def meet(one, other, place):
    """Both leave a note there. Whoever was first, each gets that of the other."""
    one.tell(f'{place} one')
    other.tell(f'{place} other')
    one.expect(f'{place} other')
    other.expect(f'{place} one')


def visit(client, address):
    """The client has a note at Zurich for sure: it gets that of a stranger."""
    client.tell('Europe/Zurich hello')
    answer(address, 'notes', lines='Europe/Zurich stranger\n')
    client.expect('Europe/Zurich stranger')


class Proxy(Talking):
    """`hawser proxy` on its way to a server; it takes commands."""

    def __init__(self, target, *options):
        super().__init__(HAWSER, 'proxy', *options, NOWHERE, target)
        try:
            self.address = self.line(r'^listening on (\S+)')[1]
        except BaseException:
            self.__exit__()
            raise

    def do(self, command):
        """Returns what it prints when it is done."""
        self.tell(command)
        said = []
        while (line := self.streams['stdout'].next()) != 'ok\n':
            check(line and not line.startswith('error'), f'{command}: {line}')
            said.append(line)
        return ''.join(said)

    def stat(self, name):
        return int(matches(self.do('stats'), rf'^{name} +(\d+)$')[1])


def table():
    """Name, latitude, longitude and countries of each place, by name."""
    places = []
    with open('/usr/share/zoneinfo/zone1970.tab', encoding='utf-8') as file:
        for line in file:
            if not line.startswith('#'):
                countries, coordinates, name = line.rstrip('\n').split('\t')[:3]
                middle = max(coordinates.rfind('+'), coordinates.rfind('-'))
                places.append((name, degrees(coordinates[:middle], 2),
                               degrees(coordinates[middle:], 3), countries.split(',')))
    return sorted(places)


def degrees(text, digits):
    parts = [text[1:1 + digits], text[1 + digits:3 + digits], text[3 + digits:] or '0']
    angle = sum(int(part) / 60 ** power for power, part in enumerate(parts))
    return -angle if text[0] == '-' else angle


def listed(places):
    return ''.join(f'{latitude:8.4f} {longitude:9.4f}  {name} ({" ".join(countries)})\n'
                   for name, latitude, longitude, countries in places)
