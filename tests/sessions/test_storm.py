#!/usr/bin/env python3
"""A thousand clients, each of whose connections is cut about once a second, in every way
there is: orderly, by a reset, without a word, in the middle of a frame. No call and no
item of a stream may be lost, and none executed twice.

SESSIONS_SECONDS says how long the storm lasts, HAWSER_TEST_SEED which one it is."""

import contextlib
import sys
import threading

from ledgers import (Figures, LedgerClient, LedgerServer, Proxy, allow_many_files, check, compare,
                     equal, main, seconds, seed, slowness, tell, tell_kinds, temporary_directory)

HAWSER = sys.argv[3]
SEED = seed()
SECONDS = seconds(15)
# Some of those that wait share a client.
LOOPED, THREADS = 470 // slowness(), 120 // slowness()
MANNERS = {'heartbeat': 400, 'silence': 1200}
# Between the frames of one half, within those of the other.
PROXIES = ((), ('--cut-mid-frame',))


def start_clients(stack, proxies, directory):
    common = {**MANNERS, 'timeout': 120000, 'streams': 10, 'backoff': 500,
              'connect_timeout': 1500, 'pause': 150 * slowness()}
    clients = []
    for number, proxy in enumerate(proxies):
        for kind, count in (('looped', LOOPED), ('threads', THREADS // 2)):
            clients.append(stack.enter_context(LedgerClient(
                proxy.address, f'{directory}/{kind}{number}', **{kind: count}, **common,
                in_flight=2, seed=SEED + number, first=1000 * len(clients), hurried=5)))
    return clients


def storm(clients, proxies):
    """The figures of all clients together, and of the proxies."""
    for client in clients:
        client.warm()
    for proxy in proxies:
        proxy.tell('cut-every 1000')
    # This is the test: nothing is waited for but its end.
    threading.Event().wait(SECONDS)
    for proxy in proxies:
        proxy.tell('cut-every 0')
    totals = Figures('ended')
    for client in clients:
        totals += client.finish_calls()
    return totals, [proxy.end() for proxy in proxies]


def test_storm_of_cuts_loses_nothing_and_doubles_nothing():
    allow_many_files()
    with temporary_directory() as directory, contextlib.ExitStack() as stack:
        server = stack.enter_context(LedgerServer('tcp:127.0.0.1:0', f'{directory}/record',
                                                  loops=2, **MANNERS))
        proxies = [stack.enter_context(Proxy(HAWSER, server.address, '--seed', str(SEED + number),
                                             '--cut-how', 'random', *options))
                   for number, options in enumerate(PROXIES)]
        clients = start_clients(stack, proxies, directory)
        totals, cuts = storm(clients, proxies)
        served = server.end()
        kinds = compare([f'{directory}/record'], [client.notes for client in clients],
                        everything_ends_well=True)
    n_cuts = sum(figures[kind] for figures in cuts for kind in ('cut-fin', 'cut-rst', 'cut-silent'))
    tell(f'{SECONDS} s, {totals["clients"]} clients, {totals["calls"]} calls, {totals["items"]} '
         f'items of streams; {n_cuts} cuts, {sum(figures["cut-mid-frame"] for figures in cuts)} of '
         f'them within a frame; {served["resumed"]} times a session went on, '
         f'{served["taken_over"]} times beside the old connection; the longest call took '
         f'{totals["longest_ms"]} ms')
    tell_kinds(kinds)
    for client in clients:
        equal(client.said, '')
    for figures in cuts:
        check(all(figures['cut-' + kind] for kind in ('fin', 'rst', 'silent')), 'a kind is missing')
    # A cut may meet a client that is about to come back, and silence is noticed later.
    check(n_cuts > totals['clients'] * SECONDS // 4, f'only {n_cuts} cuts')
    equal((totals['lost'], totals['retried'], totals['wrong']), (0, 0, 0))
    equal((served['evicted'], served['protocol_errors'], served['in_flight']), (0, 0, 0))
    # Whoever was cut before `opened` came never knew that session, and began another.
    check(served['expired'] <= totals['clients'] // 50, f'{served["expired"]} sessions expired')


main(globals())
