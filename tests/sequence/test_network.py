#!/usr/bin/env python3
"""The sequence over a network that fails: cut now and then, silent, away for a while or
for too long; and a server that is killed. Nothing may be lost, doubled or out of order,
and what cannot be mended has to be told."""

import contextlib
import itertools
import signal

from programs import (SEQUENCE_CLIENT, Proxy, check, client, contains, equal, expect_all,
                      expect_failure, main, numbers_in, run, serve, temporary_directory)

COUNT = 300
RESUMED = 'the session goes on'  # in a client's log


@contextlib.contextmanager
def through_proxy(count, *server_options, client_options=()):
    """A server, a client, and the proxy between them."""
    with serve(*server_options) as server, Proxy(server.address) as proxy:
        with client(proxy.address, count, *client_options) as asking:
            yield server, proxy, asking


def take(asking, index):
    """Waits until the client has that number."""
    asking.line(rf' number {index} is ', 'stderr')


def take_sent(server, index):
    """Waits until the server has sent that number, whether anybody got it or not."""
    server.line(rf' number {index} sent', 'stderr')


def cut_often(every, least, *kinds, options=()):
    """Cuts each connection when so many numbers have come through it. Pauses between tries
    to connect grow when cuts follow each other fast; at least so many cuts there must be."""
    kind, indexes, here, cuts, resumed = itertools.cycle(kinds), [], 0, 0, 0
    with through_proxy(COUNT, '--interval', '5', *options,
                       client_options=options) as (_, proxy, asking):
        while (line := asking.streams['stderr'].next()) is not None:
            if RESUMED in line:
                resumed += 1
                here = 0
            for index in numbers_in(line):
                indexes.append(index)
                here += 1
                if here == every:
                    proxy.tell(f'cut {next(kind)}')
                    cuts += 1
        expect_all(asking.finish(), COUNT)
    equal(indexes, list(range(COUNT)))
    # The last one may have come when there was no more to lose.
    check(resumed >= cuts - 1 >= least, f'{cuts} cuts, {resumed} times resumed')


# ---- cuts ----

def test_orderly_cuts_lose_nothing():
    cut_often(25, 8, 'fin')


def test_resets_lose_nothing():
    cut_often(25, 8, 'rst')


def test_cuts_within_a_frame_lose_nothing():
    cut_often(25, 8, 'mid')


def test_cuts_in_quick_succession_lose_nothing():
    cut_often(4, 3, 'fin', 'rst', 'mid')


def test_silence_is_noticed_by_the_heartbeat():
    cut_often(60, 2, 'silent', options=('--heartbeat', '50'))


def test_many_clients_are_cut_at_once():
    with serve('--interval', '5') as server, Proxy(server.address) as proxy:
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(client(proxy.address, 100)) for _ in range(8)]
            for each in clients:
                take(each, 0)
            proxy.tell('cut rst')
            for each in clients:
                each.line(RESUMED, 'stderr')
            checksums = {expect_all(each.finish(), 100) for each in clients}
    equal(len(checksums), 8)


def test_stall_is_waited_out_on_the_same_connection():
    with through_proxy(COUNT, '--interval', '5') as (server, proxy, asking):
        take(asking, 0)
        proxy.tell('stall both')
        take_sent(server, 100)
        proxy.tell('go')
        done = asking.finish()
        expect_all(done, COUNT)
        check(RESUMED not in done[2], done[2])


# ---- away ----

def test_stream_goes_on_while_its_client_is_away():
    with through_proxy(COUNT, '--interval', '5') as (server, proxy, asking):
        take(asking, 10)
        proxy.tell('refuse on')
        proxy.tell('cut rst')
        take_sent(server, 200)
        check(asking.popen.poll() is None, 'the client did not wait')
        proxy.tell('refuse off')
        asking.line(RESUMED, 'stderr')
        expect_all(asking.finish(), COUNT)


def test_stream_waits_for_its_client_when_the_log_is_full():
    with through_proxy(65535, '--interval', '0') as (server, proxy, asking):
        take(asking, 0)
        proxy.tell('refuse on')
        proxy.tell('cut rst')
        server.line(r'no room after \d+ numbers', 'stderr')
        proxy.tell('refuse off')
        expect_all(asking.finish(), 65535)
        server.line('all 65535 numbers sent', 'stderr')


def test_client_that_was_away_too_long_is_told():
    with through_proxy(COUNT, '--interval', '5', '--window', '200') as (server, proxy, asking):
        take(asking, 10)
        proxy.tell('refuse on')
        proxy.tell('cut rst')
        server.line('nobody waits for them any more', 'stderr')
        proxy.tell('refuse off')
        expect_failure(asking.finish(), COUNT, 'UNAVAILABLE', 'session expired')


# ---- the server's end ----

def test_server_that_is_told_to_end_does_not_wait_for_a_client_that_is_away():
    with through_proxy(COUNT, '--interval', '60000') as (server, proxy, asking):
        take(asking, 0)
        proxy.tell('refuse on')
        proxy.tell('cut rst')
        server.line(r'session [0-9a-f]{16}: away', 'stderr')
        code, _, log = server.terminate()
        equal(code, 1)
        contains(log, 'given up after 1 of 300 numbers: nobody waits')


def test_client_of_a_server_that_was_killed_and_started_again_is_told():
    with temporary_directory() as directory:
        address = f'unix:{directory}/s'
        with serve('--interval', '5', address=address) as server:
            with client(address, COUNT) as asking:
                take(asking, 10)
                server.signal(signal.SIGKILL)
                equal(server.finish()[0], -signal.SIGKILL)
                with serve('--interval', '0', address=address):
                    expect_failure(asking.finish(), COUNT, 'UNAVAILABLE')
                    # Who asks anew is served.
                    done = run(SEQUENCE_CLIENT, address, '20')
                    expect_all((done.returncode, done.stdout, done.stderr), 20)


def test_client_of_a_server_that_stays_away_waits_for_its_window():
    with temporary_directory() as directory:
        address = f'unix:{directory}/s'
        with serve('--interval', '5', '--window', '300', '--heartbeat', '50',
                   address=address) as server:
            with client(address, COUNT) as asking:
                take(asking, 10)
                server.signal(signal.SIGKILL)
                equal(server.finish()[0], -signal.SIGKILL)
                expect_failure(asking.finish(), COUNT, 'UNAVAILABLE', 'session expired')


def test_client_of_a_server_that_stays_away_does_not_wait_beyond_its_timeout():
    with temporary_directory() as directory:
        address = f'unix:{directory}/s'
        with serve('--interval', '5', address=address) as server:
            with client(address, COUNT, '--timeout', '1000') as asking:
                take(asking, 10)
                server.signal(signal.SIGKILL)
                equal(server.finish()[0], -signal.SIGKILL)
                expect_failure(asking.finish(), COUNT, 'DEADLINE_EXCEEDED')


main(globals())
