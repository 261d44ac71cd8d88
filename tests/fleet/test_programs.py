#!/usr/bin/env python3
"""A fleet in the hands of a person: what lines do, what is printed, and how programs end."""

import os
import signal

from programs import (FLEET_CENTRAL, FLEET_REMOTE, HAWSER, NOWHERE, Central, check, contains, ended,
                      equal, joined, main, matches, remote, run, temporary_directory)


# ---- who is there ----

def test_list_tells_what_is_known_of_each_remote():
    with Central() as central:
        equal(central.listed(), {})
        with joined(central, '--label', 'site=lab-2', '--label', 'rack=7', name='ada'), \
                joined(central, '--listen', NOWHERE, name='bob'):
            lines = central.listed()
            equal(sorted(lines), ['ada', 'bob'])
            matches(lines['ada'], r'^ada +here tcp:127\.0\.0\.1:\d+, \d+\.\d s, rtt \d+\.\d{3} ms, '
                    r'heard \d+\.\d s ago, site=lab-2, rack=7, offers fleet\.Remote$')
            found = matches(lines['bob'], r' listens on (tcp:127\.0\.0\.1:\d+), offers')
            # It does.
            equal(run(HAWSER, 'ping', '--count', '1', found[1]).returncode, 0)


def test_central_listens_on_several_addresses():
    with temporary_directory() as directory:
        with Central(addresses=(f'unix:{directory}/central', NOWHERE)) as central:
            with joined(central, '--listen', f'unix:{directory}/ada', name='ada') as ada, \
                    joined(central, name='bob', address=central.addresses[1]) as bob:
                lines = central.listed()
                contains(lines['ada'], f' here unix:pid={ada.popen.pid},uid=',
                         f' listens on unix:{directory}/ada,')
                contains(lines['bob'], ' here tcp:127.0.0.1:')
                central.tell('shutdown all')
                ended(ada)
                ended(bob)
            central.quit()
        equal(os.listdir(directory), [])


def test_many_remotes_in_one_process_have_each_their_name():
    with Central() as central, remote(central.address, '--count', '5') as remotes:
        central.see(*(f'joined r-{i}' for i in range(1, 6)))
        equal(sorted(central.listed()), [f'r-{i}' for i in range(1, 6)])
        central.tell('shutdown r-2')
        central.see('gone r-2')
        equal(sorted(central.listed()), ['r-1', 'r-3', 'r-4', 'r-5'])
        central.tell('shutdown all')
        ended(remotes)


def test_remote_waits_for_central_and_joins_when_it_comes():
    with temporary_directory() as directory:
        address = f'unix:{directory}/central'
        with remote(address) as early:
            early.line('connect .*no such file.*; trying again', 'stderr')
            with Central(addresses=(address,)) as central:
                central.see('joined r', 'report r: 0 jobs are done, 0 run')
                central.tell('shutdown r')
                equal(ended(early), '')


# ---- names ----

def test_remote_of_a_name_that_is_taken_waits_until_it_is_free():
    with Central() as central, joined(central) as first, remote(central.address) as second:
        second.line('a peer of the name "r" is connected already; .*; trying again', 'stderr')
        equal(len(central.listed()), 1)
        central.tell('shutdown r')
        ended(first)
        central.see('gone r', 'joined r')
        check(second.popen.poll() is None, 'the second has ended, too')


def test_remote_of_a_name_that_is_taken_may_replace_the_other():
    with Central('--replace') as central, joined(central, '--alone', '4000') as first:
        with remote(central.address) as second:
            central.see('gone r', 'joined r')
            # It does not come back, which would only throw out the other.
            contains(ended(first, 3), 'another peer of the same name has taken its place',
                     'r: nothing was heard of central for 4000 ms')
            central.tell('shutdown r')
            ended(second)


def test_names_and_texts_do_not_play_with_the_terminal():
    with Central() as central, remote(central.address, '--label', 'a=\x1b[2J', name='x\x1by'):
        central.see('joined x?y')
        contains(central.listed()['x?y'], 'a=?[2J')
        central.tell('log x\x1by', 'run x\x1by a\x1bb')
        central.see('log x?y: a job has come: "a?b"', 'result x?y: 1 words, job 1')


# ---- work ----

def test_one_is_called():
    with Central() as central, joined(central, name='ada'), joined(central, name='bob'):
        central.tell('run ada')
        central.line('^result ada: 0 words, job 1$')
        central.tell('run ada one')
        central.line('^result ada: 1 words, job 2$')
        central.tell('run bob   one  two   three ')
        central.line('^result bob: 3 words, job 1$')
        central.tell('run ada ' + 60000 * 'x ')
        central.line('^error: the line is too long$')
        central.tell('run ada ' + 30000 * 'x ')
        central.line('^result ada: 30000 words, job 3$')


def test_all_are_called():
    with Central() as central, remote(central.address, '--count', '20') as remotes:
        central.see(*(f'joined r-{i}' for i in range(1, 21)))
        for job in (1, 2):
            central.tell('run-all three short words')
            central.see(*(f'result r-{i}: 3 words, job {job}' for i in range(1, 21)))
            central.line(r'^done: 20 answered, 0 failed, \d+ ms$')
        central.tell('shutdown all')
        ended(remotes)
        central.see(*(f'gone r-{i}' for i in range(1, 21)))
        central.tell('run-all x')
        central.line(r'^done: 0 answered, 0 failed, \d+ ms$')


def test_some_are_called_by_their_label():
    with Central() as central:
        with joined(central, '--label', 'site=east', name='ada'), \
                joined(central, '--label', 'site=west', name='bob'), joined(central, name='cid'):
            central.tell('run-where site=west x')
            central.line('^result bob: 1 words, job 1$')
            central.line('^done: 1 answered, 0 failed')
            central.tell('run-where site=north x')
            central.line('^done: 0 answered, 0 failed')
            central.tell('run-where site x')
            central.line('^error: give a label of the form KEY=VALUE$')


def test_remote_takes_as_many_jobs_as_it_can_do():
    with Central() as central, joined(central, '--jobs', '2', '--work', '60000'):
        central.tell('log r', 'run r x', 'run r x', 'run r x', 'status r')
        central.line(r'^failed r: RESOURCE_EXHAUSTED \(executed\): r has 2 jobs already; try again')
        central.line('^status r: 2 jobs run, 0 are done$')


def test_job_that_takes_too_long_is_given_up_at_both_ends():
    with Central('--timeout', '300') as central, joined(central, '--work', '60000'):
        central.tell('log r', 'run r x')
        central.see('log r: a job has come: "x"',
                    'log r: a job was given up: nobody waits for it any more')
        central.tell('status r')
        central.line('^status r: 0 jobs run, 0 are done$')
        central.tell('run-all x')
        central.line(r'^failed r: DEADLINE_EXCEEDED')
        central.line(r'^done: 0 answered, 1 failed')


def test_log_is_followed_until_the_remote_goes():
    with Central() as central, joined(central):
        central.tell('log r', 'run r one two', 'shutdown r')
        for line in ('a job has come: "one two"', 'leaving, with 1 jobs to finish',
                     'job 1 is done', 'that was all'):
            central.line(f'^log r: {line}$')


def test_remotes_report_to_central():
    with Central() as central, joined(central, '--report', '20'):
        central.lines('^report r: 0 jobs are done, 0 run$', 3)
        central.tell('run r x')
        central.lines('^report r: 1 jobs are done, 0 run$', 3)


# ---- the end ----

def test_shutdown_lets_a_remote_finish_its_jobs():
    with Central() as central, joined(central, '--work', '500') as leaving:
        central.tell('run r one two', 'run r three', 'shutdown r', 'shutdown r', 'run r late')
        central.line('^leaving r: finishes 2 jobs$')
        central.line('^leaving r: finishes 2 jobs$')
        central.line(r'^failed r: UNAVAILABLE \(executed\): r is leaving$')
        central.lines(r'^result r: [12] words, job [12]$', 2)
        central.line('^report r: leaving after 2 jobs$')
        central.line('^gone r$')
        equal(ended(leaving), '')


def test_signal_lets_a_remote_finish_its_jobs_and_a_second_one_does_not():
    with Central() as central, joined(central, '--work', '500') as leaving:
        central.tell('log r', 'run r x')
        central.see('log r: a job has come: "x"')
        leaving.signal(signal.SIGTERM)
        central.see('log r: leaving, with 1 jobs to finish', 'result r: 1 words, job 1', 'gone r')
        equal(ended(leaving), '')
    with Central() as central, joined(central, '--work', '60000') as leaving:
        central.tell('log r', 'run r x')
        central.see('log r: a job has come: "x"')
        leaving.signal(signal.SIGINT)
        central.see('log r: leaving, with 1 jobs to finish')
        leaving.signal(signal.SIGINT)
        central.line('^failed r: UNAVAILABLE')
        ended(leaving, 1)


def test_quit_ends_central_and_the_remotes_wait_for_another():
    with temporary_directory() as directory:
        address = f'unix:{directory}/central'
        with Central(addresses=(address,)) as central, joined(central) as waiting:
            contains(central.quit(), 'gone r\n')
            with Central(addresses=(address,)) as other:
                other.see('joined r')
                other.tell('run r one two')
                other.see('result r: 2 words, job 1')
                equal((other.popen.poll(), waiting.popen.poll()), (None, None))
                # So does a signal.
                other.signal(signal.SIGTERM)
                equal(other.finish()[0], 0)


def test_central_serves_on_without_standard_input():
    with Central() as central:
        central.popen.stdin.close()
        with joined(central):
            central.signal(signal.SIGINT)
            equal(central.finish()[0], 0)


# ---- words ----

def test_wrong_lines_are_answered():
    with Central() as central:
        for line, answer in (('', None), ('dance', 'error: try "help"; there is no command dance'),
                             ('run', 'error: give the name of a remote'),
                             ('run nobody x', 'error: there is no remote nobody'),
                             ('status  nobody', 'error: there is no remote nobody'),
                             ('log', 'error: give the name of a remote'),
                             ('shutdown', 'error: give the name of a remote'),
                             ('shutdown nobody', 'error: there is no remote nobody')):
            central.tell(line)
            if answer:
                equal(central.streams['stdout'].next(), answer + '\n')
        central.tell('help')
        central.line('^run-where KEY=VALUE TEXT +have those do it')


def test_wrong_arguments_are_explained():
    for program, arguments, words in (
            (FLEET_CENTRAL, ['--window', '0'], '--window "0": give a whole number from 1 to'),
            (FLEET_CENTRAL, ['--at-once', 'x'], '--at-once "x": give a whole number'),
            (FLEET_CENTRAL, ['tcp:nowhere'], 'tcp:nowhere'),
            (FLEET_CENTRAL, ['--no-such'], "Try 'fleet-central --help'."),
            (FLEET_REMOTE, [], 'give one address'),
            (FLEET_REMOTE, [NOWHERE, NOWHERE], 'give one address'),
            (FLEET_REMOTE, ['nowhere'], 'nowhere'),
            (FLEET_REMOTE, ['--count', '-1', NOWHERE], '--count "-1": give a whole number'),
            (FLEET_REMOTE, ['--label', '=x', NOWHERE], 'of the form KEY=VALUE'),
            (FLEET_REMOTE, ['--label', 'x', NOWHERE], 'of the form KEY=VALUE'),
            (FLEET_REMOTE, 9 * ['--label', 'x=y'] + [NOWHERE], 'up to 8'),
            (FLEET_REMOTE, ['--alone', '3999', NOWHERE], 'give 4000 or more'),
            (FLEET_REMOTE, ['--listen', 'nowhere', 'unix:/nowhere'], 'nowhere'),
            (FLEET_REMOTE, ['--no-such', NOWHERE], "Try 'fleet-remote --help'.")):
        done = run(program, *arguments)
        equal((done.returncode, done.stdout), (2, ''))
        contains(done.stderr, words)


def test_address_that_is_taken_is_told():
    with Central() as central:
        done = run(FLEET_CENTRAL, central.address)
        equal(done.returncode, 1)
        contains(done.stderr, f'fleet-central: listen {central.address}: ')
        done = run(FLEET_REMOTE, '--listen', central.address, central.address)
        equal(done.returncode, 1)
        contains(done.stderr, f'fleet-remote: listen {central.address}: ')


def test_help_fits_on_a_terminal():
    for program in (FLEET_CENTRAL, FLEET_REMOTE):
        done = run(program, '--help')
        equal((done.returncode, done.stderr), (0, ''))
        check(all(len(line) <= 84 for line in done.stdout.splitlines()), done.stdout)


main(globals())
