"""What the tests of sessions share: the programs, and the comparison of what clients
noted with what servers recorded.

    test_NAME.py LEDGER_SERVER LEDGER_CLIENT [MORE]...
"""

import collections
import os
import pathlib
import random
import re
import resource
import signal
import struct
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'tools'))
# pylint: disable=wrong-import-position,unused-import
from support import (Process, Server, Skip, Stream, check, contains, environment, equal, main,
                     temporary_directory)

LEDGER_SERVER, LEDGER_CLIENT = sys.argv[1:3]

OK, CANCELLED, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNAVAILABLE = 0, 1, 4, 8, 14
STATUSES = {OK: 'OK', CANCELLED: 'CANCELLED', DEADLINE_EXCEEDED: 'DEADLINE_EXCEEDED',
            RESOURCE_EXHAUSTED: 'RESOURCE_EXHAUSTED', 10: 'ABORTED', UNAVAILABLE: 'UNAVAILABLE'}
UNKNOWN, NOT_SENT, NOT_EXECUTED, EXECUTED = range(4)
OUTCOMES = ['unknown', 'not sent', 'not executed', 'executed']
ENTER, REPEAT, LIST = range(3)
RIGHT, HURRIED, WRONG = 1, 2, 4

NOTE = struct.Struct('=QBBBBI')
MARK = struct.Struct('=Q')


def seed():
    """Of all chance in a run. Fixed, as in tests/support; HAWSER_TEST_SEED takes another number,
    or "random"."""
    wanted = os.environ.get('HAWSER_TEST_SEED') or '1'
    number = random.SystemRandom().randrange(1 << 31) if wanted == 'random' else int(wanted)
    print(f'# HAWSER_TEST_SEED={number}', flush=True)
    return number


def slowness():
    """How much less to do, and more time to have, where everything is slow."""
    return max(1, int(os.environ.get('HAWSER_TEST_DIVISOR') or 1))


def seconds(default):
    """How long to go on; the environment may want longer, or shorter."""
    return int(os.environ.get('SESSIONS_SECONDS') or default)


def allow_many_files():
    """For this process and those that it starts; returns how many."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class Figures(dict):
    """The last line of a program."""

    def __init__(self, line):
        super().__init__((name, int(number)) for name, number in
                         (pair.split('=') for pair in line.split()[1:]))

    def __add__(self, other):
        total = Figures('ended')
        for name in self.keys() | other.keys():
            of_both = self.get(name, 0), other.get(name, 0)
            total[name] = max(of_both) if name.startswith('longest') else sum(of_both)
        return total


def last_figures(name, done):
    """Of a program that has come to its end as it should."""
    code, out, err = done
    check(code == 0, f'{name}: exit code {code}:\n{out}{err}')
    lines = [line for line in out.splitlines() if line.startswith('ended ')]
    check(lines, f'{name} ended without its figures:\n{out}{err}')
    return Figures(lines[-1])


def as_options(options):
    return [word for name, value in options.items()
            for word in ('--' + name.replace('_', '-'), str(value))]


class LedgerServer(Server):
    """`prefix` is a command that runs it somewhere else."""

    has_ended = False

    def __init__(self, address, record, prefix=(), **options):
        super().__init__(*prefix, LEDGER_SERVER, address, '--record', record,
                         *as_options(options))

    def __exit__(self, *error):
        if not self.has_ended and self.popen.poll() is not None:
            code, _, err = self.finish()
            tell(f'the server has ended with {code}:')
            for line in err.splitlines():
                tell(line)
        super().__exit__(*error)

    def finish(self):
        self.has_ended = True
        return super().finish()

    def end(self, may_say='$^'):
        """Asks it to; returns its figures. Each line of its log has to be what it may say."""
        done = self.terminate()
        strange = [line for line in done[2].splitlines() if not re.search(may_say, line)]
        check(not strange, f'the server said:\n{done[2]}')
        return last_figures('the server', done)


class LedgerClient(Process):
    def __init__(self, address, notes, prefix=(), **options):
        super().__init__(*prefix, LEDGER_CLIENT, address, '--notes', notes, *as_options(options))
        self.notes = notes
        self.said = ''

    def warm(self):
        """Waits until each of its clients has had an answer."""
        self.line(r'^warm$')

    def calls(self, times):
        """Waits until it has told so often that some more calls have ended."""
        # A pipe holds lines of the past.
        while self.streams['stdout'].lines:
            self.line('.')
        for _ in range(times):
            self.line('calls have ended')

    def finish_calls(self):
        """No more calls; returns its figures once those in flight have ended."""
        self.signal(signal.SIGTERM)
        done = self.finish()
        self.said = done[2]
        return last_figures('a client', done)


class Told(Process):
    """A program that takes commands on its standard input, and ends with it; its first line
    has to match."""

    def __init__(self, pattern, *command):  # pylint: disable=super-init-not-called
        self.popen = subprocess.Popen(command, env=environment(), stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.streams = {'stdout': Stream(self.popen.stdout), 'stderr': Stream(self.popen.stderr)}
        try:
            self.begun = self.line(pattern)
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *error):
        self.popen.stdin.close()
        super().__exit__(*error)

    def tell(self, command):
        self.popen.stdin.write(command.encode() + b'\n')
        self.popen.stdin.flush()
        equal(self.line(r'^(ok|error: .*)$')[1], 'ok')


class Proxy(Told):
    """`hawser proxy` in front of a server."""

    def __init__(self, hawser, target, *options):
        super().__init__(r'^listening on (\S+)', hawser, 'proxy', 'tcp:127.0.0.1:0', target,
                         *options)
        self.address = self.begun[1]

    def end(self):
        """Its figures."""
        self.signal(signal.SIGTERM)
        code, out, err = self.finish()
        equal((code, err), (0, ''))
        return {name: int(number) for name, number in re.findall(r'^([\w-]+) (\d+)$', out, re.M)}


# ---- the comparison ----

def count_marks(*records):
    """How often each id was executed."""
    counts = collections.Counter()
    for record in records:
        data = pathlib.Path(record).read_bytes()
        check(len(data) % MARK.size == 0, f'{record} ends within a mark')
        counts.update(mark for (mark,) in MARK.iter_unpack(data))
    return counts


def read_notes(*paths):
    for path in paths:
        yield from NOTE.iter_unpack(pathlib.Path(path).read_bytes())


def is_true(method, status, outcome, flags, executed):
    """Whether what the client was told of a call agrees with how often it was executed."""
    once = executed == 1 or (method == REPEAT and executed > 1)
    if flags & WRONG:
        return False
    if status == OK or outcome == EXECUTED:
        return once
    if outcome in (NOT_SENT, NOT_EXECUTED):
        return executed == 0
    return executed == 0 or once


def compare(records, notes, everything_ends_well=False, reasons=(UNAVAILABLE,)):
    """Holds the clients' notes against the servers' records. With everything_ends_well each
    call that was given its time must have ended as it was to."""
    marks = count_marks(*records)
    kinds = collections.Counter()
    seen = set()
    lies, losses = [], []
    for number, method, status, outcome, flags, milliseconds in read_notes(*notes):
        executed = marks[number]
        told = (f'call {number:x}, method {method}, {milliseconds} ms: '
                f'{STATUSES.get(status, status)}, {OUTCOMES[outcome]}, flags {flags}; '
                f'executed {executed} times')
        if number in seen:
            lies.append(told + '; ended twice')
        seen.add(number)
        kinds[STATUSES.get(status, str(status)),
              OUTCOMES[outcome] if status != OK else ''] += 1
        if not is_true(method, status, outcome, flags, executed):
            lies.append(told)
        elif not flags & (RIGHT | HURRIED) and status not in reasons:
            lies.append(told + '; it had no reason to end so')
        elif not flags & (RIGHT | HURRIED):
            losses.append(told)
    lies += [f'call {number:x}: executed {executed} times, and nobody has heard of it'
             for number, executed in marks.items() if executed and number not in seen]
    check(not lies, f'{len(lies)} calls are not what they seem:\n' + '\n'.join(lies[:20]))
    check(not (everything_ends_well and losses),
          f'{len(losses)} calls were lost:\n' + '\n'.join(losses[:20]))
    return kinds


def tell(text):
    print('# ' + text, flush=True)


def tell_kinds(kinds):
    for (status, outcome), count in sorted(kinds.items()):
        tell(f'{count:8} {status} {outcome}')
