#!/usr/bin/env python3
"""A fleet whose programs are killed and stopped, and whose network fails: who is away, back and
gone; who comes again by itself, and who ends by itself."""

import contextlib
import signal
import time

from programs import (Central, Proxy, check, contains, ended, equal, joined, main, remote,
                      temporary_directory)

# Remotes that miss central soon.
HASTY = ('--heartbeat', '50', '--alone', '1500')


@contextlib.contextmanager
def central_that_may_die(*options):
    """A central, and what starts another one in its place."""
    with temporary_directory() as directory:
        def start():
            return Central(*options, addresses=(f'unix:{directory}/central',))
        with start() as central:
            yield central, start


def kill(process):
    process.signal(signal.SIGKILL)
    equal(process.finish()[0], -signal.SIGKILL)


# ---- remotes that die ----

def test_remote_that_is_killed_is_away_and_after_its_window_gone():
    with Central('--window', '700') as central, joined(central) as victim:
        kill(victim)
        central.line('^away r$')
        begun = time.monotonic()
        contains(central.listed()['r'], ' away ')
        # Nobody calls who is away, unless he says so; who does waits for the window.
        central.tell('run-all x', 'status r', 'run r x')
        central.line('^done: 0 answered, 0 failed')
        central.line(r'^failed r: UNAVAILABLE \(not sent\): .*')
        central.see('failed r: UNAVAILABLE (not sent): fleet.Remote/Run: session expired')
        check(time.monotonic() - begun > 0.5, 'too early')
        central.line('^gone r$')
        equal(central.listed(), {})


def test_new_remote_takes_the_place_of_one_that_was_killed():
    with Central() as central, joined(central) as victim:
        kill(victim)
        central.line('^away r$')
        with joined(central) as heir:
            central.tell('run r one two')
            central.line('^result r: 2 words, job 1$')
            lines = central.listed()
            equal(list(lines), ['r'])
            contains(lines['r'], ' here ')
            central.tell('shutdown r')
            ended(heir)


def test_killed_process_of_many_remotes_comes_again_at_once():
    names = [f'r-{i}' for i in range(1, 31)]
    with Central() as central:
        for _ in range(3):
            with remote(central.address, '--count', '30') as victim:
                central.see(*(f'joined {name}' for name in names))
                kill(victim)
                central.see(*(f'away {name}' for name in names))
        with remote(central.address, '--count', '30') as heirs:
            central.see(*(f'joined {name}' for name in names))
            central.tell('run-all x')
            central.see(*(f'result {name}: 1 words, job 1' for name in names))
            equal(sorted(central.listed()), sorted(names))
            central.tell('shutdown all')
            ended(heirs)


def test_remote_that_is_stopped_is_away_until_it_goes_on():
    with Central('--heartbeat', '50') as central, joined(central) as stopped:
        stopped.signal(signal.SIGSTOP)
        central.line('^away r$')
        central.tell('run r one two three')
        contains(central.listed()['r'], ' away ')
        stopped.signal(signal.SIGCONT)
        central.see('back r', 'result r: 3 words, job 1')
        contains(central.listed()['r'], ' here ')


# ---- central that dies ----

def test_remotes_come_again_by_themselves_when_central_was_killed():
    names = [f'r-{i}' for i in range(1, 21)]
    with central_that_may_die() as (first, start):
        with remote(first.address, '--count', '20') as remotes:
            first.see(*(f'joined {name}' for name in names))
            central = first
            for round_ in range(1, 4):
                central.tell('run-all x')
                central.see(*(f'result {name}: 1 words, job {round_}' for name in names))
                kill(central)
                central = start()
                try:
                    central.see(*(f'joined {name}' for name in names))
                except BaseException:
                    central.__exit__()
                    raise
            with central:
                central.tell('shutdown all')
                equal(ended(remotes), '')


def test_job_that_runs_when_central_is_killed_is_given_up():
    with central_that_may_die() as (first, start), joined(first, '--work', '60000') as working:
        first.tell('log r', 'run r x')
        first.see('log r: a job has come: "x"')
        kill(first)
        with start() as second:
            second.see('joined r')
            second.tell('status r')
            second.see('status r: 0 jobs run, 0 are done')
            second.tell('shutdown r')
            ended(working)


def test_remotes_of_a_central_that_is_stopped_end_after_the_stated_time():
    with Central('--window', '300') as central:
        with joined(central, '--alone', '60000', name='patient') as patient, \
                remote(central.address, '--count', '5', *HASTY) as lonely:
            central.see(*(f'joined r-{i}' for i in range(1, 6)))
            begun = time.monotonic()
            central.signal(signal.SIGSTOP)
            said = ended(lonely, 3)
            check(time.monotonic() - begun >= 1.2, 'too early')
            for i in range(1, 6):
                contains(said, f'r-{i}: nothing was heard of central for 1500 ms\n')
            central.signal(signal.SIGCONT)
            central.see(*(f'gone r-{i}' for i in range(1, 6)))
            equal(list(central.listed()), ['patient'])
            central.tell('shutdown patient')
            ended(patient)


def test_remotes_of_a_central_that_stays_away_end_after_the_stated_time():
    with Central() as central, joined(central, *HASTY) as lonely:
        kill(central)
        contains(ended(lonely, 3), 'r: nothing was heard of central for 1500 ms\n')


def test_remote_that_never_found_central_ends_after_the_stated_time():
    with temporary_directory() as directory:
        with remote(f'unix:{directory}/nobody', *HASTY) as lonely:
            contains(ended(lonely, 3), 'trying again',
                     'r: nothing was heard of central for 1500 ms\n')


def test_heartbeats_keep_a_remote_that_has_nothing_to_do():
    with Central() as central, joined(central, '--heartbeat', '50', '--alone', '400'):
        # The other one, with as much patience and no central, ends; twice over.
        for _ in range(2):
            with remote('unix:/nowhere/at-all', '--heartbeat', '50', '--alone', '400',
                        name='x') as lonely:
                ended(lonely, 3)
        central.tell('run r x')
        central.line('^result r: 1 words, job 1$')


# ---- the network ----

def test_work_goes_on_over_a_network_that_breaks():
    with Central() as central, Proxy(central.address) as proxy:
        with joined(central, address=proxy.address) as working:
            for job in range(1, 11):
                proxy.do('cut ' + ('fin', 'rst', 'rst mid')[job % 3])
                central.tell(f'run r {job}')
                central.see(f'result r: 1 words, job {job}')
            central.tell('shutdown r')
            ended(working)


def test_remote_that_is_cut_off_finishes_its_jobs_and_is_told_of_others_when_it_is_back():
    with Central() as central, Proxy(central.address) as proxy:
        with joined(central, '--work', '300', address=proxy.address) as working:
            central.tell('log r', 'run r one two')
            central.see('log r: a job has come: "one two"')
            proxy.do('refuse on')
            proxy.do('cut rst')
            central.line('^away r$')
            central.tell('run r three', 'shutdown r')
            proxy.do('refuse off')
            # Both may be done at the same moment.
            results = central.lines('^result r: (.*), job .$', 2)
            equal(sorted(each[1] for each in results), ['1 words', '2 words'])
            central.see('report r: leaving after 2 jobs', 'gone r')
            ended(working)


main(globals())
