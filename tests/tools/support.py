"""What the tests of programs share: TAP output, the command, servers to talk to.

A test module calls main(globals()) and each of its functions named test_* is one
TAP line; its name is its claim. Tests wait for events, never for time to pass."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback

# Only to end a test that hangs; generous, because sanitizers and valgrind are slow.
PATIENCE = 100


class Skip(Exception):
    pass


def main(names):
    tests = [(name, test) for name, test in names.items() if name.startswith('test_')]
    failed = False
    print(f'1..{len(tests)}')
    for number, (name, test) in enumerate(tests, 1):
        claim = name.removeprefix('test_')
        try:
            test()
        except Skip as reason:
            print(f'ok {number} {claim} # SKIP {reason}', flush=True)
        except Exception:  # pylint: disable=broad-except
            failed = True
            for line in traceback.format_exc().splitlines():
                print('# ' + line)
            print(f'not ok {number} {claim}', flush=True)
        else:
            print(f'ok {number} {claim}', flush=True)
    sys.exit(failed)


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def equal(came, wanted):
    check(came == wanted, f'{came!r} instead of {wanted!r}')


def contains(text, *parts):
    for part in parts:
        check(part in text, f'{part!r} is not in:\n{text}')


def matches(text, pattern):
    found = re.search(pattern, text, re.MULTILINE)
    check(found, f'/{pattern}/ does not match:\n{text}')
    return found


def environment(**variables):
    """The user's own settings must not change what the tests see."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith('HAWSER_')}
    clean.update(variables)
    return clean


def run(program, *arguments, **variables):
    return subprocess.run([program, *arguments], env=environment(**variables), text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE,
                          check=False)


class Stream:
    """The lines of a pipe, read as they come so that the program never waits for us."""

    def __init__(self, pipe):
        self.pipe = pipe
        self.lines = []
        self.ended = False
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        for line in self.pipe:
            with self.changed:
                self.lines.append(line.decode())
                self.changed.notify()
        with self.changed:
            self.ended = True
            self.changed.notify()

    def next(self):
        """The next line, or None at the end."""
        with self.changed:
            if not self.changed.wait_for(lambda: self.lines or self.ended, PATIENCE):
                raise AssertionError('the program has nothing more to say')
            return self.lines.pop(0) if self.lines else None

    def close(self):
        """What nobody asked for."""
        self.thread.join()
        self.pipe.close()
        return ''.join(self.lines)


class Process:
    """A program that runs beside the test; killed with the test if it still runs."""

    def __init__(self, *command, **variables):
        self.popen = subprocess.Popen(command, env=environment(**variables),
                                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE)
        self.streams = {'stdout': Stream(self.popen.stdout), 'stderr': Stream(self.popen.stderr)}

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.popen.poll() is None:
            self.popen.kill()
            self.finish()

    def line(self, pattern, stream='stdout'):
        """Waits for a line that matches."""
        seen = ''
        while True:
            text = self.streams[stream].next()
            check(text is not None, f'{stream} ended without /{pattern}/:\n{seen}')
            found = re.search(pattern, text)
            if found:
                return found
            seen += text

    def signal(self, number):
        self.popen.send_signal(number)

    def finish(self):
        """Waits for its end; returns its exit code and what is left of its output."""
        self.popen.wait(PATIENCE)
        return (self.popen.returncode, self.streams['stdout'].close(), self.streams['stderr'].close())


class Server(Process):
    """One that prints its address; started as `command` and asked to end by SIGTERM."""

    def __init__(self, *command, **variables):
        super().__init__(*command, **variables)
        try:
            self.address = self.line(r'^(?:listening on|READY) (\S+)')[1]
        except BaseException:
            self.__exit__()
            raise

    def terminate(self):
        self.signal(signal.SIGTERM)
        return self.finish()


@contextlib.contextmanager
def temporary_directory():
    # Short, for a socket's path must fit into 108 bytes.
    with tempfile.TemporaryDirectory(prefix='hw') as path:
        yield path


@contextlib.contextmanager
def silent_listener():
    """Takes connections and never says a word; yields its address."""
    with socket.create_server(('127.0.0.1', 0)) as listener:
        yield f'tcp:127.0.0.1:{listener.getsockname()[1]}'


@contextlib.contextmanager
def refused_address():
    """A port that is taken but where nobody listens."""
    with socket.socket() as holder:
        holder.bind(('127.0.0.1', 0))
        yield f'tcp:127.0.0.1:{holder.getsockname()[1]}'
