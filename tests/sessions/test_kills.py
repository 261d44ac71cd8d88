#!/usr/bin/env python3
"""A server that is killed again and again, at any moment, while clients work: what each
client was told of each of its calls has to agree with what the servers recorded. And
servers that are asked to end: then there is nothing that a client would not know.

Whether the kill comes from outside or from within, the mark is in the file before
anybody can hear of the execution; so the file is the truth."""

import contextlib
import random
import signal
import socket
import sys

from ledgers import (Figures, LedgerClient, LedgerServer, Proxy, Skip, check, compare, equal, main,
                     seconds, seed, slowness, tell, tell_kinds, temporary_directory)

HAWSER = sys.argv[3] if len(sys.argv) > 3 else None
KILLS = seconds(30)  # several a second; but who wants longer tests wants more of them
DRAINS = max(1, KILLS // 3)
SEED = seed()


@contextlib.contextmanager
def taken_port():
    """An address that every server can have, and nobody else: the holder never listens."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(('127.0.0.1', 0))
        yield f'tcp:127.0.0.1:{holder.getsockname()[1]}'


class Servers:
    """One after the other at the same address, and the clients that work with them."""

    def __init__(self, stack, address, directory, number):
        self.stack = stack
        self.address = address
        self.record = f'{directory}/record'
        self.directory = directory
        self.chance = random.Random(SEED + number)
        self.clients = []
        self.server = None
        self.dies = False

    def start(self, may_die):
        """The next one. If it may, it perhaps kills itself at a chosen place."""
        options = {'loops': self.chance.choice((1, 1, 3))}
        self.dies = may_die and self.chance.random() < 0.5
        if self.dies:
            options['die_at'] = self.chance.randrange(1, 400 // slowness())
            options['die_when'] = self.chance.choice(('before', 'marked', 'answered'))
        self.server = self.stack.enter_context(LedgerServer(self.address, self.record, **options))

    def start_clients(self, address, **manners):
        common = {'pause': 10 * slowness(), 'timeout': 20000, 'streams': 10, 'hurried': 10,
                  'tell_every': 20, 'backoff': 200, **manners}
        for number, who in enumerate(({'looped': 20, 'in_flight': 2}, {'threads': 20})):
            self.clients.append(self.stack.enter_context(LedgerClient(
                address, f'{self.directory}/notes{number}', first=100 * number,
                seed=SEED + number, **who, **common)))

    def let_work(self):
        """Until some more calls have ended, whose number is left to chance."""
        self.chance.choice(self.clients).calls(self.chance.randrange(1, 6))

    def kill(self):
        """Or waits until it has done so itself."""
        if not self.dies:
            self.let_work()
            self.server.signal(signal.SIGKILL)
        code, _, err = self.server.finish()
        equal((code, err), (-signal.SIGKILL, ''))

    def drain(self):
        self.let_work()
        equal(self.server.end()['result'], 0)

    def finish(self):
        """The last one lives, and everyone must find it. Returns how the calls have ended."""
        totals = Figures('ended')
        for client in self.clients:
            client.calls(1)
            totals += client.finish_calls()
        served = self.server.end()
        tell(f'{totals["calls"]} calls, {totals["lost"]} sessions lost, {totals["resumed"]} times '
             f'one went on, {totals["retried"]} calls made again')
        kinds = compare([self.record], [client.notes for client in self.clients])
        tell_kinds(kinds)
        equal((served['protocol_errors'], served['in_flight'], totals['wrong']), (0, 0, 0))
        return kinds


def check_kills(address, directory, number, *proxy_options, **manners):
    """Through a proxy, if there are options for it."""
    with contextlib.ExitStack() as stack:
        servers = Servers(stack, address, directory, number)
        if proxy_options:
            address = stack.enter_context(Proxy(HAWSER, address, *proxy_options)).address
        servers.start(may_die=True)
        servers.start_clients(address, **manners)
        for left in reversed(range(KILLS)):
            servers.kill()
            servers.start(may_die=left > 0)
        kinds = servers.finish()
        check(kinds['UNAVAILABLE', 'unknown'], 'no kill has met a call')


def test_outcomes_agree_with_the_record_of_killed_servers_over_tcp():
    with temporary_directory() as directory, taken_port() as address:
        check_kills(address, directory, 0)


def test_outcomes_agree_with_the_record_of_killed_servers_over_unix():
    with temporary_directory() as directory:
        check_kills(f'unix:{directory}/s', directory, 1)


def test_outcomes_agree_with_the_record_when_connections_are_cut_as_well():
    if not HAWSER:
        raise Skip('the hawser command is not built')
    with temporary_directory() as directory:
        check_kills(f'unix:{directory}/s', directory, 2, '--seed', str(SEED + 1), '--cut-how',
                    'random', '--cut-every', '200', heartbeat=200, silence=700,
                    connect_timeout=600)


def test_servers_that_drain_leave_nothing_unknown():
    with temporary_directory() as directory, taken_port() as address, \
         contextlib.ExitStack() as stack:
        servers = Servers(stack, address, directory, 3)
        servers.start(may_die=False)
        servers.start_clients(address)
        for _ in range(DRAINS):
            servers.drain()
            servers.start(may_die=False)
        equal(servers.finish()['UNAVAILABLE', 'unknown'], 0)


main(globals())
