#!/usr/bin/env python3
"""The telescope is used by one observer at a time, whatever becomes of the others; and `hawser lease` sees
and says so.

    test_telescope.py TELESCOPE_SERVER TELESCOPE_CLIENT HAWSER
"""

import contextlib
import pathlib
import re
import signal
import sys

TELESCOPE, OBSERVER, HAWSER = sys.argv[1:]

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'tools'))
# pylint: disable=wrong-import-position
from support import Process, Server, check, contains, equal, main, matches, run, temporary_directory

FAST = '100000'
# So slow that nobody gets there within a test.
SLOW = '1'


@contextlib.contextmanager
def telescope(degrees_per_s, unix=False):
    with temporary_directory() as folder:
        address = f'unix:{folder}/s' if unix else 'tcp:127.0.0.1:0'
        with Server(TELESCOPE, address, degrees_per_s) as server:
            yield server


def observe(server, name, *stars):
    return Process(OBSERVER, server.address, name, *stars)


def fencing(found):
    return int(found[1])


HAS_IT = r': has the telescope \((\d+)\)$'


def test_three_observers_have_it_one_after_the_other():
    stars = {'ada': ['Vega', 'Deneb', 'Altair'], 'grace': ['Sirius', 'Rigel'], 'edith': ['Polaris', 'Vega']}
    with telescope(FAST) as server:
        with contextlib.ExitStack() as stack:
            observers = [stack.enter_context(observe(server, *item[:1], *item[1])) for item in stars.items()]
            numbers = {}
            for observer, name in zip(observers, stars):
                numbers[name] = fencing(observer.line(name + HAS_IT))
                code, out, err = observer.finish()
                equal((code, err), (0, ''))
                for star in stars[name]:
                    contains(out, f'{name}: {star}, at ')
        code, out, _ = server.terminate()
        equal(code, 0)
    # Whoever was first: all of one number, then all of the next.
    pointed = re.findall(r'points at (\w+) \((\d+)\)', out)
    expected = [(star, str(number)) for number, name in sorted((n, name) for name, n in numbers.items())
                for star in stars[name]]
    equal(pointed, expected)


def test_observers_are_told_where_in_line_they_stand():
    with telescope(SLOW) as server, observe(server, 'ada', 'Vega') as ada:
        ada.line(HAS_IT)
        with observe(server, 'grace', 'Deneb') as grace:
            grace.line('number 1 in line')
            with observe(server, 'edith', 'Deneb') as edith:
                edith.line('number 2 in line')
                grace.signal(signal.SIGKILL)
                # When it has not come back.
                edith.line('number 1 in line')


def test_telescope_of_an_observer_who_is_killed_goes_to_the_next():
    with telescope(SLOW) as server, observe(server, 'ada', 'Vega') as ada:
        before = fencing(ada.line(HAS_IT))
        with observe(server, 'grace', 'Deneb') as grace:
            grace.line('number 1 in line')
            ada.signal(signal.SIGKILL)
            server.line('stops')
            check(fencing(grace.line(HAS_IT)) > before, 'the fencing number is no higher')


def test_command_lists_who_holds_it_and_who_waits():
    with telescope(SLOW) as server:
        done = run(HAWSER, 'lease', server.address)
        equal((done.returncode, done.stdout), (0, 'demo.Telescope: 0 of 1 held, 0 wait\n'))
        with observe(server, 'ada', 'Vega') as ada:
            ada.line(HAS_IT)
            with observe(server, 'grace', 'Deneb') as grace:
                grace.line('number 1 in line')
                done = run(HAWSER, 'lease', server.address, 'demo.Telescope')
                equal((done.returncode, done.stderr), (0, ''))
                matches(done.stdout, r'^demo\.Telescope: 1 of 1 held, 1 wait$')
                matches(done.stdout, r'^  held by    ada tcp:[\d.:]+, ticket 1, for [\d.]+ s, '
                                     r'fencing number \d+(, 1 call)?$')
                matches(done.stdout, r'^  waits 1    grace tcp:[\d.:]+, ticket 2, for [\d.]+ s$')
        done = run(HAWSER, 'lease', server.address, 'demo.Microscope')
        equal((done.returncode, done.stdout), (1, ''))
        contains(done.stderr, 'nothing of that name is exclusive here; there is demo.Telescope')


def test_command_takes_it_away_if_the_server_lets():
    with telescope(SLOW, unix=True) as server, observe(server, 'ada', 'Vega', 'Deneb') as ada:
        ada.line(HAS_IT)
        with observe(server, 'grace', 'Deneb') as grace:
            grace.line('number 1 in line')
            done = run(HAWSER, 'lease', server.address, 'demo.Telescope', '--force', '--ticket', '7')
            equal(done.returncode, 1)
            contains(done.stderr, 'nobody holds demo.Telescope with ticket 7')
            done = run(HAWSER, 'lease', server.address, 'demo.Telescope', '--force', '--reason', 'clouds')
            equal((done.returncode, done.stdout), (0, 'demo.Telescope: taken away\n'))
            grace.line(HAS_IT)
        code, _, err = ada.finish()
        equal(code, 1)
        contains(err, 'the lease of demo.Telescope was taken away by force: clouds')
    with telescope(SLOW) as server:
        done = run(HAWSER, 'lease', server.address, 'demo.Telescope', '--force')
        equal(done.returncode, 1)
        contains(done.stderr, 'allow_force_release')


def test_command_knows_what_goes_together():
    for arguments in (['--force'], ['--reason', 'x'], ['--ticket', '1', 'demo.Telescope']):
        done = run(HAWSER, 'lease', 'tcp:127.0.0.1:1', *arguments)
        equal((done.returncode, done.stdout), (2, ''))
        contains(done.stderr, '--force')


def test_command_says_when_nothing_is_exclusive():
    with Server(HAWSER, 'echo', 'tcp:127.0.0.1:0') as server:
        done = run(HAWSER, 'lease', server.address)
        equal((done.returncode, done.stdout), (0, f'nothing is exclusive on {server.address}\n'))


main(globals())
