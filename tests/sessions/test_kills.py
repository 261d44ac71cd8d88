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

from ledgers import (LedgerClient, LedgerServer, Figures, check, compare, equal, main, seconds,
                     seed, slowness, tell, tell_kinds, temporary_directory)

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


def expect_killed(server):
    code, _, err = server.finish()
    equal((code, err), (-signal.SIGKILL, ''))


def let_work(clients, chance):
    """Until some more calls have ended, whose number is left to chance."""
    # A pipe holds lines of the past; the first that is new is as good as any moment.
    for client in clients:
        while client.streams['stdout'].lines:
            client.line('.')
    for _ in range(chance.randrange(1, 6)):
        chance.choice(clients).line('calls have ended')


def kill_or_wait_for_death(server, clients, chance):
    if not server.dies:
        let_work(clients, chance)
        server.signal(signal.SIGKILL)
    expect_killed(server)


def drain(server, clients, chance):
    let_work(clients, chance)
    equal(server.end()['result'], 0)


def start_server(address, record, chance, may_die):
    options = {'loops': chance.choice((1, 1, 3))}
    dies = may_die and chance.random() < 0.5
    if dies:
        options['die_at'] = chance.randrange(1, 400 // slowness())
        options['die_when'] = chance.choice(('before', 'marked', 'answered'))
    server = LedgerServer(address, record, **options)
    server.dies = dies
    return server


def replace_servers_at(address, record, notes, chance, end=kill_or_wait_for_death):
    """Returns the figures of the clients, and of the last server."""
    are_killed = end == kill_or_wait_for_death
    common = {'pause': 10 * slowness(), 'timeout': 20000, 'streams': 10, 'hurried': 10,
              'tell_every': 20, 'backoff': 200}
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(start_server(address, record, chance, are_killed))
        clients = [stack.enter_context(LedgerClient(address, notes[0], looped=20, in_flight=2,
                                                    seed=SEED, **common)),
                   stack.enter_context(LedgerClient(address, notes[1], threads=20, first=100,
                                                    seed=SEED + 1, **common))]
        count = KILLS if are_killed else DRAINS
        for number in range(count):
            end(server, clients, chance)
            server = stack.enter_context(start_server(
                address, record, chance, are_killed and number < count - 1))
        # The last one lives, and everyone must find it.
        totals = Figures('ended')
        for client in clients:
            client.line('calls have ended')
            totals += client.finish_calls()
        return totals, server.end()


def check_servers(address, directory, chance, end=kill_or_wait_for_death):
    record = f'{directory}/record'
    notes = [f'{directory}/notes{i}' for i in range(2)]
    totals, last = replace_servers_at(address, record, notes, chance, end)
    tell(f'{totals["calls"]} calls, {totals["lost"]} sessions lost, {totals["retried"]} calls made '
         'again')
    kinds = compare([record], notes)
    tell_kinds(kinds)
    equal((last['protocol_errors'], last['in_flight'], totals['wrong']), (0, 0, 0))
    return kinds


def check_kills(address, directory, chance):
    kinds = check_servers(address, directory, chance)
    check(kinds['UNAVAILABLE', 'unknown'], 'no kill has met a call')


def test_outcomes_agree_with_the_record_of_killed_servers_over_tcp():
    with temporary_directory() as directory, taken_port() as address:
        check_kills(address, directory, random.Random(SEED))


def test_outcomes_agree_with_the_record_of_killed_servers_over_unix():
    with temporary_directory() as directory:
        check_kills(f'unix:{directory}/s', directory, random.Random(SEED + 1))


def test_servers_that_drain_leave_nothing_unknown():
    with temporary_directory() as directory, taken_port() as address:
        kinds = check_servers(address, directory, random.Random(SEED + 2), drain)
        equal(kinds['UNAVAILABLE', 'unknown'], 0)


main(globals())
