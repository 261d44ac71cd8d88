#!/usr/bin/env python3
"""Every trouble at once, drawn by lot: how connections are cut and how often, stalls,
delays, small pieces; loops, windows and logs that are too small; calls that are given
up early. Sessions may be lost then. But what a client is told of a call has to be true,
and no call may be left hanging.

HAWSER_TEST_SEED repeats a run, SESSIONS_SECONDS makes it longer."""

import contextlib
import random
import sys
import threading

from ledgers import (RESOURCE_EXHAUSTED, UNAVAILABLE, LedgerClient, LedgerServer, Proxy,
                     allow_many_files, compare, equal, main, seconds, seed, slowness, tell,
                     tell_kinds, temporary_directory)

HAWSER = sys.argv[3]
SEED = seed()
SECONDS = seconds(16) / 4  # each


class Weather:
    """What is drawn; each option is as the programs have it."""

    def __init__(self, number):
        chance = self.chance = random.Random(SEED + number)
        self.is_unix = chance.random() < 0.5
        heartbeat = chance.choice((100, 400))
        self.manners = {'heartbeat': heartbeat, 'silence': 3 * heartbeat}
        self.server = {'loops': chance.choice((1, 2, 4)), 'window': chance.choice((60, 30000))}
        self.client = {'in_flight': chance.choice((1, 3, 10)),
                       'pause': chance.choice((5, 20, 100)) * slowness(),
                       'streams': chance.choice((0, 10, 50)), 'hurried': chance.choice((0, 5, 30)),
                       'backoff': chance.choice((50, 200, 1000)),
                       'connect_timeout': chance.choice((300, 1500))}
        if chance.random() < 0.3:
            self.server['max_log_kib'] = chance.choice((64, 300))
        if chance.random() < 0.3:
            self.client['max_log_kib'] = chance.choice((120, 500))
        self.proxy = ['--cut-how', chance.choice(('fin', 'rst', 'silent', 'random'))]
        for odds, options in ((0.5, ['--cut-mid-frame']), (0.3, ['--segment', '1000']),
                              (0.3, ['--delay', '20', '--jitter', '10']),
                              (0.2, ['--stall-every', '500', '--stall-for', '300'])):
            if chance.random() < odds:
                self.proxy += options
        self.cut_every_ms = chance.choice((60, 150, 400, 1000))

    def __str__(self):
        return (f'cut every {self.cut_every_ms} ms, {" ".join(self.proxy)}; {self.manners}; '
                f'server {self.server}; client {self.client}')


def check_weather(number):
    allow_many_files()
    weather = Weather(number)
    tell(str(weather))
    with temporary_directory() as directory, contextlib.ExitStack() as stack:
        server = stack.enter_context(LedgerServer(
            f'unix:{directory}/s' if weather.is_unix else 'tcp:127.0.0.1:0',
            f'{directory}/record', **weather.server, **weather.manners))
        proxy = stack.enter_context(Proxy(HAWSER, server.address, '--seed',
                                          str(SEED + number + 1), *weather.proxy))
        client = stack.enter_context(LedgerClient(
            proxy.address, f'{directory}/notes', looped=40 // slowness(), threads=16 // slowness(),
            timeout=60000, seed=SEED + number, **weather.client,
            **weather.manners))
        client.warm()
        proxy.tell(f'cut-every {weather.cut_every_ms}')
        # This is the test: nothing is waited for but its end.
        threading.Event().wait(SECONDS)
        proxy.tell('cut-every 0')
        figures = client.finish_calls()
        served = server.end(may_say='expired after|are cancelled')
        kinds = compare([f'{directory}/record'], [client.notes],
                        reasons=(UNAVAILABLE, RESOURCE_EXHAUSTED))
    tell(f'{figures["resumed"]} times a session went on, {figures["lost"]} were lost')
    tell_kinds(kinds)
    equal((figures['wrong'], served['protocol_errors'], served['in_flight']), (0, 0, 0))


def test_first_weather_is_told_truly():
    check_weather(0)


def test_second_weather_is_told_truly():
    check_weather(1000)


def test_third_weather_is_told_truly():
    check_weather(2000)


def test_fourth_weather_is_told_truly():
    check_weather(3000)


main(globals())
