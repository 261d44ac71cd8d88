"""A proxy with a client and a server at its ends, for the tests of hawser proxy.

The tests themselves are both ends. What must not arrive is looked for after
something else has arrived that was sent later; no test waits for time to pass."""

import contextlib
import os
import random
import re
import select
import socket
import sys
import threading
import time

from support import PATIENCE, Server, check, equal, temporary_directory

HAWSER = sys.argv[1]
NOWHERE = 'tcp:127.0.0.1:0'


class Control:
    """A control connection: one command, its answer."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(path)
        self.lines = self.socket.makefile('r', encoding='utf-8')

    def ask(self, command):
        """Returns the lines of the answer; the last is ok or an error."""
        self.socket.sendall(command.encode() + b'\n')
        answer = []
        while not answer or not re.match('ok$|error: ', answer[-1]):
            line = self.lines.readline()
            check(line, f'{command}: the connection ended after {answer}')
            answer.append(line.rstrip('\n'))
        return answer

    def close(self):
        self.lines.close()
        self.socket.close()


class Proxy(Server):
    def __init__(self, target, *options, listen=NOWHERE, launcher=()):
        self.directory = temporary_directory()
        self.path = self.directory.__enter__() + '/c'
        self.control = None
        try:
            super().__init__(*launcher, HAWSER, 'proxy', listen, target, '--control',
                             f'unix:{self.path}', *options)
            self.control = Control(self.path)
        except BaseException:
            self.directory.__exit__(*sys.exc_info())
            raise

    def __exit__(self, *error):
        if self.control:
            self.control.close()
        try:
            if error[0] is None and self.popen.poll() is None:
                equal(self.terminate()[0], 0)
        finally:
            super().__exit__(*error)
            self.directory.__exit__(*error)

    def do(self, *commands):
        for command in commands:
            equal(self.control.ask(command), ['ok'])

    def stats(self):
        *rows, end = self.control.ask('stats')
        equal(end, 'ok')
        return {name: int(value) for name, value in (row.split() for row in rows)}

    def wait(self, **figures):
        """Until the figures are these: each question is an event that the proxy deals with
        after those that came before."""
        wanted = {name.replace('_', '-'): value for name, value in figures.items()}
        give_up = time.monotonic() + PATIENCE
        while True:
            stats = self.stats()
            if all(stats[name] == value for name, value in wanted.items()):
                return stats
            check(time.monotonic() < give_up, f'{stats} instead of {wanted}')

    def connect(self):
        return connect(self.address)

    def descriptors(self):
        return len(os.listdir(f'/proc/{self.popen.pid}/fd'))


def connect(address):
    if address.startswith('unix:'):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(PATIENCE)
        client.connect(address.removeprefix('unix:'))
        return client
    host, port = address.removeprefix('tcp:').rsplit(':', 1)
    client = socket.create_connection((host.strip('[]'), int(port)), PATIENCE)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


class Target:
    """A listener; the tests themselves are the server."""

    def __init__(self, path=None):
        if path:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(path)
            self.listener.listen()
            self.address = f'unix:{path}'
        else:
            self.listener = socket.create_server(('127.0.0.1', 0), backlog=1000)
            self.address = f'tcp:127.0.0.1:{self.listener.getsockname()[1]}'
        self.listener.settimeout(PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.listener.close()

    def accept(self):
        server, _ = self.listener.accept()
        server.settimeout(PATIENCE)
        if server.family != socket.AF_UNIX:
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return server


@contextlib.contextmanager
def relayed(*options, path=None, **more):
    """A target and a proxy before it."""
    with Target(path) as target, Proxy(target.address, *options, **more) as proxy:
        yield target, proxy


@contextlib.contextmanager
def pair(target, proxy):
    """Both ends of one connection through the proxy."""
    with proxy.connect() as client, target.accept() as server:
        yield client, server


def receive(sock, size):
    """Exactly so many bytes."""
    got = bytearray()
    while len(got) < size:
        part = sock.recv(min(size - len(got), 1 << 20))
        check(part, f'the end came after {len(got)} of {size} bytes')
        got += part
    return bytes(got)


def rest(sock):
    """Everything until the end, and how it ended."""
    got = bytearray()
    try:
        while part := sock.recv(1 << 20):
            got += part
    except ConnectionResetError:
        return bytes(got), 'rst'
    return bytes(got), 'fin'


def same(came, wanted):
    """Like equal(), for bytes that are too many to print."""
    at = next((i for i, (a, b) in enumerate(zip(came, wanted)) if a != b), min(len(came), len(wanted)))
    check(came == wanted, f'{len(came)} bytes instead of {len(wanted)}; different from {at} on')


def works(client, server, times=1):
    """The connection relays, both ways."""
    for number in range(times):
        client.sendall(b'ping%d\n' % number)
        equal(receive(server, len(b'ping%d\n' % number)), b'ping%d\n' % number)
        server.sendall(b'pong%d\n' % number)
        equal(receive(client, len(b'pong%d\n' % number)), b'pong%d\n' % number)


def another_works(target, proxy):
    with pair(target, proxy) as (client, server):
        works(client, server, 5)


def nothing_came(*sockets):
    equal(select.select(sockets, [], [], 0)[0], [])


class Sender(threading.Thread):
    """Sends beside the test, which reads."""

    def __init__(self, sock, data, finish=False, pieces=None):
        super().__init__()
        self.sock, self.data, self.finish, self.pieces = sock, data, finish, pieces
        self.start()

    def run(self):
        size = self.pieces or len(self.data) or 1
        with contextlib.suppress(OSError):  # the reader says what is missing
            for at in range(0, len(self.data), size):
                self.sock.sendall(self.data[at:at + size])
            if self.finish:
                self.sock.shutdown(socket.SHUT_WR)


def exchange(target, proxy, up, down, pieces=None):
    """Sends both ways at once, with an end each; all must arrive."""
    with pair(target, proxy) as (client, server):
        senders = [Sender(client, up, True, pieces), Sender(server, down, True, pieces)]
        got = []
        reader = threading.Thread(target=lambda: got.append(rest(server)))
        reader.start()
        came, how = rest(client)
        reader.join()
        for sender in senders:
            sender.join()
    equal((how, got[0][1]), ('fin', 'fin'))
    same(came, down)
    same(got[0][0], up)


def noise(seed, size):
    return random.Random(seed).randbytes(size)


def frame(body):
    return len(body).to_bytes(4, 'big') + body


def differences(a, b):
    equal(len(a), len(b))
    return sum(x != y for x, y in zip(a, b))
