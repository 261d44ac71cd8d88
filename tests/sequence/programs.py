"""What the tests of the sequence share: the programs, and the proxy between them.

    test_NAME.py SEQUENCE_SERVER SEQUENCE_CLIENT HAWSER LIAR
"""

import pathlib
import re
import subprocess
import sys

SEQUENCE_SERVER, SEQUENCE_CLIENT, HAWSER, LIAR = sys.argv[1:]

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'tools'))
# pylint: disable=wrong-import-position,unused-import
from support import (PATIENCE, Process, Server, Stream, check, contains, environment, equal, main,
                     matches, run, temporary_directory)

NOWHERE = 'tcp:127.0.0.1:0'
OK = r'^ok: (\d+) numbers, checksum ([0-9a-f]{16})$'


def serve(*options, address=NOWHERE):
    """A server; it tells in its log (stderr) what becomes of each sequence."""
    return Server(SEQUENCE_SERVER, address, '--log-level', 'debug', *options)


def client(address, count, *options, **variables):
    """A client that runs beside the test; it tells each number in its log."""
    return Process(SEQUENCE_CLIENT, address, str(count), '--log-level', 'debug', *options,
                   **variables)


def expect_all(done, count):
    """What a client has to end with when everything came; returns the checksum."""
    code, out, err = done
    check(code == 0, f'exit code {code}: {out}{err}')
    equal(len(out.splitlines()), 1)
    found = matches(out, OK)
    equal(found[1], str(count))
    return found[2]


def expect_failure(done, count, *words):
    """What a client has to end with when something was wrong."""
    code, out, err = done
    equal((code, out), (1, ''))
    # Log lines may follow: the client goes on connecting until it is freed.
    said = matches(err, rf'^sequence-client: failed after \d+ of {count} numbers: .*$')[0]
    contains(said, *words)


class Proxy(Process):
    """`hawser proxy` on its way to a server; it takes commands."""

    def __init__(self, target):  # pylint: disable=super-init-not-called
        self.popen = subprocess.Popen([HAWSER, 'proxy', NOWHERE, target], env=environment(),
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE)
        self.streams = {'stdout': Stream(self.popen.stdout), 'stderr': Stream(self.popen.stderr)}
        try:
            self.address = self.line(r'^listening on (\S+)')[1]
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *error):
        self.popen.stdin.close()
        super().__exit__(*error)

    def tell(self, command):
        self.popen.stdin.write(command.encode() + b'\n')
        self.popen.stdin.flush()


def numbers_in(log):
    """The indexes of the numbers in a client's log, in the order of arrival."""
    return [int(index) for index in re.findall(r' debug: number (\d+) is ', log)]
