#!/usr/bin/env python3
"""The places over a network that fails: calls of all four kinds are cut in the middle, and
end as if nothing had been. What cannot go on has to be told."""

import contextlib
import signal

from programs import (PLACES_CLIENT, PLACES_TOUR, WORLD, Client, Process, Proxy, answer, ask,
                      check, contains, equal, listed, main, meet, run, serve, table,
                      temporary_directory, visit)

PLACES = table()
NAMES = [each[0] for each in PLACES]
HOWS = (['--cut-how', 'fin'], ['--cut-how', 'rst'], ['--cut-how', 'fin', '--cut-mid-frame'])


@contextlib.contextmanager
def through_proxy(*options, window='262144'):
    with serve('--window', window) as server, Proxy(server.address, *options) as proxy:
        yield server, proxy


# ---- each kind ----

def test_unary_call_goes_on():
    for how in ('fin', 'rst'):
        # The delay keeps the reply away until the connection is cut.
        with through_proxy('--delay', '50') as (_, proxy):
            with Process(PLACES_CLIENT, '-a', proxy.address, '-t', '60000', 'nearest', '47.37',
                         '8.54', HAWSER_TRACE='1') as client:
                client.line(' call #1 demo.Places/Nearest', 'stderr')
                proxy.do('cut ' + how)
                client.line(' -> .* open .*"session":{"id"', 'stderr')
                equal(client.finish()[:2], (0, 'Europe/Zurich, 1.6 km\n'))


def test_stream_of_replies_goes_on():
    for how in HOWS:
        with through_proxy('--cut-after', '3000', *how) as (_, proxy):
            equal(answer(proxy.address, 'within', *WORLD), listed(PLACES))
            check(proxy.stat('accepted') >= 4, 'not cut')


def test_stream_of_requests_goes_on():
    stops = ''.join(name + '\n' for name in NAMES * 3)
    for how in HOWS:
        with through_proxy('--cut-after', '4000', *how, window='500') as (server, proxy):
            length = answer(server.address, 'route', '-', lines=stops)
            equal(answer(proxy.address, 'route', '-', lines=stops), length)
            check(proxy.stat('accepted') >= 4, 'not cut')


def test_both_streams_of_a_tour_go_on():
    for how in HOWS:
        with through_proxy('--cut-after', '3000', *how, window='500') as (server, proxy):
            length = answer(server.address, 'route', '-',
                            lines=''.join(name + '\n' for name in NAMES))
            done = run(PLACES_TOUR, proxy.address, *WORLD)
            equal((done.returncode, done.stdout, done.stderr), (0, length, ''))
            check(proxy.stat('accepted') >= 4, 'not cut')


def test_notes_come_once_and_in_order():
    with through_proxy() as (_, proxy):
        with Client(proxy.address, 'notes') as ada, Client(proxy.address, 'notes') as bob:
            meet(ada, bob, 'Europe/Zurich')
            for i in range(1, 16):
                proxy.do('cut ' + ('fin', 'rst', 'rst mid')[i % 3])
                ada.tell(f'Europe/Zurich {i}', f'Europe/Zurich {i} again')
                bob.tell(f'Europe/Zurich {i} as well')
                bob.expect(f'Europe/Zurich {i}', f'Europe/Zurich {i} again')
                ada.expect(f'Europe/Zurich {i} as well')
            for each in (ada, bob):
                each.end()
                equal(each.finish(), (0, '', ''))
            # One of them may have been away already when the next cut came.
            check(proxy.stat('accepted') >= 2 + 15, 'not cut')


# ---- away ----

def test_notes_wait_for_a_visitor_that_is_away():
    with through_proxy() as (server, proxy):
        with Client(proxy.address, 'notes') as away:
            visit(away, server.address)
            proxy.do('refuse on')
            proxy.do('cut rst')
            for i in range(20):
                answer(server.address, 'notes', lines=f'Europe/Zurich {i}\n')
            away.tell('Europe/Zurich still here')
            proxy.do('refuse off')
            away.expect(*(f'Europe/Zurich {i}' for i in range(20)))
            away.end()
            equal(away.finish(), (0, '', ''))
        contains(answer(server.address, 'notes', lines='Europe/Zurich y\n'),
                 'Europe/Zurich 19\nEurope/Zurich still here\n')


def test_deadline_ends_a_call_on_a_connection_that_is_silent():
    with through_proxy() as (_, proxy):
        proxy.do('stall both')
        for arguments in (('nearest', '0', '0'), ('within', *WORLD), ('notes',)):
            code, out, err = ask(proxy.address, '--timeout', '300', *arguments)
            equal((code, out), (1, ''))
            contains(err, 'DEADLINE_EXCEEDED')


# ---- the server's end ----

def test_client_of_a_server_that_was_killed_and_started_again_is_told():
    with temporary_directory() as directory:
        address = f'unix:{directory}/s'
        with serve(address=address) as server, Client(address, 'notes') as client:
            visit(client, address)
            server.signal(signal.SIGKILL)
            equal(server.finish()[0], -signal.SIGKILL)
            with serve(address=address):
                code, out, err = client.finish()
                equal((code, out), (1, ''))
                contains(err, 'UNAVAILABLE (unknown)')
                # Notes are kept by the server, no longer.
                equal(answer(address, 'notes', lines='Europe/Zurich x\n'), '')


main(globals())
