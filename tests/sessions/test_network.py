#!/usr/bin/env python3
"""Clients and servers with a real network between them: two network namespaces, each
with its own TCP, joined by a cable that loses, delays and is pulled out. What is
under way then, calls and streams, has to come through, once.

All networks exist at the same time, each for itself, because some of them take 40 s. They are gone
with the process that made them, however that ends."""

import concurrent.futures
import contextlib
import os
import shutil
import subprocess
import sys

from ledgers import (LedgerClient, LedgerServer, Told, check, compare, contains, equal, main, seed,
                     slowness, tell, tell_kinds, temporary_directory)

CABLE = sys.argv[3]


def skip(why):
    print(f'1..0 # SKIP {why}')
    sys.exit(0)


def root_here():
    """Makes namespaces; whoever is not root becomes it in a user namespace of its own."""
    if not shutil.which('nsenter'):
        skip('there is no nsenter, of util-linux')
    if os.geteuid() != 0 and 'IN_USER_NAMESPACE' not in os.environ:
        os.environ['IN_USER_NAMESPACE'] = '1'
        try:
            os.execvp('unshare', ['unshare', '--user', '--map-root-user', sys.executable,
                                  *sys.argv])
        except OSError:
            pass
    found = subprocess.run([CABLE, '1'], input='', capture_output=True, text=True, check=False)
    if found.returncode == 77:
        skip(found.stderr.strip())
    equal((found.returncode, found.stderr), (0, ''))


root_here()
SEED = seed()
# Silence is noticed after three seconds, where a test does not say otherwise.
MANNERS = {'heartbeat': 1000, 'silence': 3000}
LOOPED, THREADS = 8, 8
CLIENTS = LOOPED + THREADS // 2


class Network(Told):
    """Two places and the cable between them."""

    def __init__(self, number):
        super().__init__(r'^ready (\d+) (\d+) (\d+)$', CABLE, str(number))
        # nsenter becomes the program that it starts.
        self.near, self.far = (['nsenter', f'--net=/proc/{self.begun[1]}/fd/{self.begun[i]}']
                               for i in (2, 3))

    def tell_and_wait(self, command, end):
        """Of what lasts a while, and tells when it is over."""
        self.tell(command)
        self.line(f'^{end}$')


class Scenario:
    """A server at the far end, clients at the near one, and a story of the network."""

    def __init__(self, story, server=(), client=()):
        self.story = story
        self.server_options = {**MANNERS, **dict(server)}
        self.client_options = {**MANNERS, 'timeout': 90000, 'streams': 15, 'hurried': 5,
                               'pause': 40 * slowness(), 'looped': LOOPED, 'threads': THREADS,
                               'in_flight': 2, 'tell_every': 50, **dict(client)}

    def calls(self, count):
        """Waits until so many more have ended."""
        self.client.calls(max(2, count // 50 // slowness()))

    def run(self, number, directory):
        """The figures of both ends, and what became of the calls."""
        with contextlib.ExitStack() as stack:
            self.network = stack.enter_context(Network(SEED + number))
            server = stack.enter_context(
                LedgerServer('tcp:10.99.0.1:0', f'{directory}/record', prefix=self.network.far,
                             **self.server_options))
            self.client = stack.enter_context(
                LedgerClient(server.address, f'{directory}/notes', prefix=self.network.near,
                             seed=SEED + number, **self.client_options))
            self.client.warm()
            self.story(self)
            figures = self.client.finish_calls()
            served = server.end(may_say='expired after|are cancelled')
        return figures, served, self.client


STORIES = {}
FUTURES = {}


def story(**options):
    def take(function):
        STORIES[function.__name__] = Scenario(function, **options)
        return function
    return take


# ---- the stories ----

@story()
def loss(scenario):
    scenario.network.tell('loss 5')
    scenario.calls(3000)


@story()
def delay(scenario):
    scenario.network.tell('delay 50 20')
    scenario.calls(2000)


@story()
def loss_and_delay(scenario):
    scenario.network.tell('loss 5')
    scenario.network.tell('delay 50 20')
    scenario.calls(1000)


# The default heartbeat would take longer than that.
@story(server={'heartbeat': 15000, 'silence': 45000}, client={'heartbeat': 15000,
                                                               'silence': 45000})
def pause(scenario):
    scenario.calls(300)
    scenario.network.tell_and_wait('cut both 5000', 'joined')
    scenario.calls(300)


@story()
def outage(scenario):
    scenario.calls(300)
    scenario.network.tell_and_wait('cut both 5000', 'joined')
    scenario.calls(300)


@story()
def deaf_client(scenario):
    scenario.calls(300)
    scenario.network.tell_and_wait('cut near 5000', 'joined')
    scenario.calls(300)


@story()
def mute_client(scenario):
    scenario.calls(300)
    scenario.network.tell_and_wait('cut far 5000', 'joined')
    scenario.calls(300)


@story()
def device_down(scenario):
    for _ in range(2):
        scenario.calls(300)
        scenario.network.tell_and_wait('down 5000', 'up')
    scenario.calls(300)


@story(server={'window': 60000}, client={'timeout': 120000})
def long_outage(scenario):
    scenario.calls(300)
    scenario.network.tell_and_wait('cut both 40000', 'joined')
    scenario.calls(300)


@story()
def new_addresses(scenario):
    for host in (3, 4, 5):
        scenario.calls(300)
        scenario.network.tell(f'address 10.99.0.{host}')
    scenario.calls(300)


# Noticed after three seconds; three more, and the server forgets. Clients that knock then are
# sent away, and still later they give up by themselves.
@story(server={'window': 3000}, client={'connect_timeout': 500, 'backoff': 200})
def beyond_the_window(scenario):
    scenario.calls(300)
    scenario.network.tell_and_wait('cut both 7000', 'joined')
    scenario.calls(300)


@story(server={'window': 1000})
def far_beyond_the_window(scenario):
    scenario.calls(300)
    scenario.network.tell_and_wait('cut both 9000', 'joined')
    scenario.calls(300)


# ---- what has to come of them ----

def expect(name, everything_ends_well=True):
    figures, served, client, directory = FUTURES[name].result()
    kinds = compare([f'{directory}/record'], [client.notes], everything_ends_well)
    tell(f'{figures["calls"]} calls, {figures["items"]} items of streams; '
         f'{served["resumed"]} times a session went on, {served["taken_over"]} times beside the '
         f'old connection; the longest call took {figures["longest_ms"]} ms')
    equal((figures['wrong'], served['protocol_errors'], served['evicted']), (0, 0, 0))
    if everything_ends_well:
        equal((client.said, figures['lost'], figures['retried'], served['expired']),
              ('', 0, 0, 0))
    return figures, served, client, kinds


def test_lost_packets_lose_no_call():
    expect('loss')


def test_late_packets_in_any_order_lose_no_call():
    figures = expect('delay')[0]
    check(figures['longest_ms'] >= 60, 'no packet was late')


def test_lost_and_late_packets_lose_no_call():
    expect('loss_and_delay')


def test_short_silence_is_left_to_tcp():
    figures, served = expect('pause')[:2]
    equal((served['resumed'], figures['connections']), (0, CLIENTS))
    check(figures['longest_ms'] >= 4000, 'no call met the silence')


def test_five_seconds_without_a_network_are_a_delay():
    served = expect('outage')[1]
    check(served['resumed'] >= CLIENTS, 'not every client had to come back')


def test_replies_that_do_not_arrive_are_sent_again():
    served = expect('deaf_client')[1]
    check(served['resumed'] >= CLIENTS, 'not every client had to come back')


def test_calls_that_do_not_arrive_are_sent_again():
    served = expect('mute_client')[1]
    check(served['resumed'] >= CLIENTS, 'not every client had to come back')


def test_device_that_is_down_twice_is_a_delay():
    served = expect('device_down')[1]
    check(served['resumed'] >= CLIENTS, 'not every client had to come back')


def test_forty_seconds_without_a_network_are_a_delay():
    figures, served = expect('long_outage')[:2]
    check(served['resumed'] >= CLIENTS, 'not every client had to come back')
    check(figures['longest_ms'] >= 37000, 'no call met the outage')


def test_clients_whose_address_changes_go_on_from_the_new_one():
    served = expect('new_addresses')[1]
    check(served['resumed'] >= 3 * CLIENTS, 'not every client had to come back each time')


def expect_expired(name, *words):
    figures, served, client, kinds = expect(name, everything_ends_well=False)
    tell_kinds(kinds)
    equal((figures['lost'], served['resumed']), (CLIENTS, 0))
    # A client may have begun another one and not have heard of it.
    check(served['expired'] >= CLIENTS, f'only {served["expired"]} sessions expired')
    check(kinds['UNAVAILABLE', 'unknown'], 'no call was in flight')
    contains(client.said, 'UNAVAILABLE (unknown)', 'session expired', *words)


def test_clients_away_for_longer_than_the_window_are_told_by_the_server():
    expect_expired('beyond_the_window', 'this server does not know it')


def test_clients_away_for_much_longer_know_by_themselves():
    expect_expired('far_beyond_the_window', 'could not be reached within its window')


def start(stack):
    pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(len(STORIES)))
    for number, (name, scenario) in enumerate(STORIES.items()):
        directory = stack.enter_context(temporary_directory())

        def run(scenario=scenario, number=number, directory=directory):
            return *scenario.run(number, directory), directory
        FUTURES[name] = pool.submit(run)


with contextlib.ExitStack() as everything:
    start(everything)
    main(globals())
