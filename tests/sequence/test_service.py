#!/usr/bin/env python3
"""The sequence over a network that works: whole sequences, back-pressure, the ends that a
stream can come to, liars, and the words of both programs."""

import os
import re
import signal
import time

from programs import (LIAR, NOWHERE, OK, SEQUENCE_CLIENT, SEQUENCE_SERVER, Process, Server, check,
                      client, contains, equal, expect_all, expect_failure, main, matches,
                      numbers_in, run, serve, temporary_directory)


def ask(address, *arguments):
    """A client's exit code, stdout and stderr."""
    done = run(SEQUENCE_CLIENT, address, *arguments)
    return done.returncode, done.stdout, done.stderr


# ---- sequences ----

def test_sequences_of_every_length_arrive():
    with serve('--interval', '0') as server:
        for count in (1, 2, 63, 64, 65, 1000, 65535):
            expect_all(ask(server.address, str(count)), count)


def test_ten_numbers_unless_told():
    with serve('--interval', '0') as server:
        expect_all(ask(server.address), 10)


def test_numbers_come_an_interval_apart():
    with serve('--interval', '50') as server:
        begun = time.monotonic()
        expect_all(ask(server.address, '5'), 5)
        check(time.monotonic() - begun >= 0.2, 'too early')


def test_unix_sockets_do_as_well():
    with temporary_directory() as directory:
        with serve('--interval', '0', address=f'unix:{directory}/s') as server:
            expect_all(ask(server.address, '100'), 100)


def fnv_1a(data):
    checksum = 0xcbf29ce484222325
    for byte in data:
        checksum = (checksum ^ byte) * 0x100000001b3 % 2**64
    return checksum


def test_checksum_is_that_of_the_numbers():
    with serve('--interval', '0') as server:
        done = ask(server.address, '300', '--log-level', 'debug')
    values = [int(value) for value in re.findall(r' debug: number \d+ is (\d+)$', done[2],
                                                 re.MULTILINE)]
    equal(len(values), 300)
    data = b''.join(value.to_bytes(4, 'little') for value in values)
    equal(expect_all(done, 300), f'{fnv_1a(data):016x}')


def test_clients_at_once_have_each_their_own_sequence():
    with serve('--interval', '2') as server:
        clients = [client(server.address, 100) for _ in range(8)]
        done = [each.finish() for each in clients]
        checksums = {expect_all(each, 100) for each in done}
        for each in done:
            equal(numbers_in(each[2]), list(range(100)))
        equal(len(checksums), 8)
        # Each was told apart by an id of its own, too.
        _, _, log = server.terminate()
        equal(len(set(re.findall(r'client ([0-9a-f]{16}): wants 100', log))), 8)


def test_another_server_has_other_numbers():
    checksums = set()
    for _ in range(2):
        with serve('--interval', '0') as server:
            checksums.add(expect_all(ask(server.address, '10'), 10))
    equal(len(checksums), 2)


# ---- back-pressure ----

def test_client_that_does_not_read_makes_its_stream_wait_and_no_other():
    with temporary_directory() as directory:
        with serve('--interval', '0', address=f'unix:{directory}/s') as server:
            with client(server.address, 65535) as slow:
                slow.line('number 100 is', 'stderr')
                slow.signal(signal.SIGSTOP)
                # It had no room before as well, perhaps, but then had it again.
                identity = server.line(r'client (\S+): wants 65535', 'stderr')[1]
                server.line(rf'client {identity}: no room after \d+ numbers', 'stderr')
                expect_all(ask(server.address, '1000'), 1000)
                slow.signal(signal.SIGCONT)
                expect_all(slow.finish(), 65535)
            _, _, log = server.terminate()
    contains(log, f'client {identity}: all 65535 numbers sent')


# ---- ends ----

def test_counts_out_of_range_are_refused_by_the_server():
    with serve() as server:
        for count in ('0', '65536', '4294967295'):
            expect_failure(ask(server.address, count), count,
                           f'INVALID_ARGUMENT: the count is {count}; ask for 1 to 65535 numbers')


def test_timeout_ends_the_call_at_both_ends():
    with serve('--interval', '60000') as server:
        expect_failure(ask(server.address, '2', '--timeout', '300'), 2, 'failed after 1 of 2',
                       'DEADLINE_EXCEEDED')
        server.line('given up after 1 of 2 numbers: nobody waits', 'stderr')


def test_long_calls_have_no_deadline_unless_told():
    with serve('--interval', '60000') as server:
        with client(server.address, 2, HAWSER_TRACE='1') as asking:
            call = asking.line(r' call #1 demo.Sequence/Get', 'stderr').string
            check('timeout' not in call, call)


def test_client_that_is_gone_ends_its_stream():
    with serve('--interval', '60000', '--window', '100') as server:
        with client(server.address, 2) as asking:
            asking.line('number 0 is', 'stderr')
            asking.signal(signal.SIGKILL)
            server.line('given up after 1 of 2 numbers: nobody waits', 'stderr')


def test_server_that_is_told_to_end_finishes_the_sequences_that_run():
    with serve('--interval', '5') as server:
        with client(server.address, 100) as asking:
            asking.line('number 3 is', 'stderr')
            server.signal(signal.SIGTERM)
            expect_all(asking.finish(), 100)
        equal(server.finish()[0], 0)


def test_server_that_is_told_twice_ends_at_once():
    with serve('--interval', '60000') as server:
        with client(server.address, 2) as asking:
            asking.line('number 0 is', 'stderr')
            server.signal(signal.SIGTERM)
            server.line('draining', 'stderr')
            server.signal(signal.SIGINT)
            code, _, log = server.finish()
            equal(code, 1)
            contains(log, 'sequence-server: ended before every sequence had')
            expect_failure(asking.finish(), 2, 'UNAVAILABLE')


def test_nobody_there_is_told():
    with temporary_directory() as directory:
        expect_failure(ask(f'unix:{directory}/none', '1'), 1, 'failed after 0 of 1', 'UNAVAILABLE',
                       'no such file or directory')


# ---- liars ----

LIES = {
    'short': 'the stream ended too early',
    'empty': 'a reply was neither a number nor the checksum',
    'fail': 'DATA_LOSS: not today',
    'skip': 'number 6 came instead of number 5',
    'repeat': 'number 5 came twice',
    'more': 'more than 20 numbers came',
    'checksum': 'the checksum is ',
    'unsummed': 'the stream ended without a checksum',
    'after': 'something came after the checksum',
}


def test_each_lie_is_found_out():
    for how, words in LIES.items():
        with Server(LIAR, how) as liar:
            expect_failure(ask(liar.address, '20'), 20, words)


def test_liar_that_is_honest_is_believed():
    with Server(LIAR, 'honest') as liar:
        expect_all(ask(liar.address, '20'), 20)


# ---- the command line ----

WHOLE = ['', '-1', '+1', ' 1', '1x', '1.5', 'many', '99999999999999999999999']
VALUES = {
    (SEQUENCE_SERVER, '--interval'): WHOLE + ['86400001'],
    (SEQUENCE_SERVER, '--window'): WHOLE + ['0', '86400001'],
    (SEQUENCE_SERVER, '--heartbeat'): WHOLE + ['0', '86400001'],
    (SEQUENCE_CLIENT, '--heartbeat'): WHOLE + ['0', '86400001'],
    (SEQUENCE_CLIENT, '--timeout'): WHOLE + ['0', '86400001'],
}


def wrong(program, *arguments):
    """Runs a wrong command line; returns what stderr said."""
    done = run(program, *arguments)
    equal((done.returncode, done.stdout), (2, ''))
    return done.stderr


def test_every_wrong_value_names_option_value_and_range():
    for (program, option), values in VALUES.items():
        for value in values:
            text = wrong(program, option, value, 'tcp:127.0.0.1:1')
            contains(text, f'{os.path.basename(program)}: {option} "{value}": give a whole number')
            matches(text, r' from \d+ to \d+$')


def test_every_option_with_a_number_was_tried():
    for program in (SEQUENCE_SERVER, SEQUENCE_CLIENT):
        for option in re.findall(r'^  (--\S+) +MS ', run(program, '--help').stdout, re.MULTILINE):
            check((program, option) in VALUES, f'{option} of {program} is not tested')


def test_wrong_count_is_named():
    for count in WHOLE[:-2] + ['4294967296']:
        contains(wrong(SEQUENCE_CLIENT, '--', 'tcp:127.0.0.1:1', count),
                 f'COUNT "{count}": give a whole number from 0 to 4294967295')


def test_missing_and_surplus_arguments_are_told():
    contains(wrong(SEQUENCE_CLIENT), 'give one address, such as tcp:')
    contains(wrong(SEQUENCE_CLIENT, NOWHERE, '1', '2'), 'give one address, such as tcp:')
    contains(wrong(SEQUENCE_SERVER, NOWHERE, 'again'), 'again: give at most one address')


def test_unknown_option_points_to_the_help():
    for program in (SEQUENCE_SERVER, SEQUENCE_CLIENT):
        contains(wrong(program, '--frobnicate'), 'frobnicate',
                 f"Try '{os.path.basename(program)} --help'.")


def test_help_is_at_most_80_columns_wide():
    for program in (SEQUENCE_SERVER, SEQUENCE_CLIENT):
        done = run(program, '--help')
        equal((done.returncode, done.stderr), (0, ''))
        contains(done.stdout, f'Usage: {os.path.basename(program)} [OPTION]... ')
        for line in done.stdout.splitlines():
            check(len(line) <= 80, f'{len(line)} columns: {line}')


def test_address_that_is_none_is_wrong_usage():
    for program in (SEQUENCE_SERVER, SEQUENCE_CLIENT):
        for address in ('localhost', 'tcp:localhost', 'tcp:localhost:x', 'unix:', ''):
            contains(wrong(program, address), f'{os.path.basename(program)}: ', 'tcp:HOST:PORT')


def test_address_that_is_taken_is_told():
    with serve() as server:
        done = run(SEQUENCE_SERVER, server.address)
    equal((done.returncode, done.stdout), (1, ''))
    contains(done.stderr, 'sequence-server: ', server.address, 'address already in use')


# ---- the log ----

def test_log_goes_to_the_file():
    with temporary_directory() as directory:
        for name in ('one', 'other'):  # the server's is appended to
            with serve('--interval', '0', '--log-file', f'{directory}/server') as server:
                equal(ask(server.address, '3', '--log-level', 'debug', '--log-file',
                          f'{directory}/{name}')[2], '')
                equal(server.terminate()[1:], ('', ''))
            with open(f'{directory}/{name}', encoding='utf-8') as file:
                equal(numbers_in(file.read()), [0, 1, 2])
        with open(f'{directory}/server', encoding='utf-8') as file:
            log = file.read()
    equal(len(re.findall(r'^\d\d:\d\d:\d\d\.\d{6} info: client \S+: all 3 numbers sent$', log,
                         re.MULTILINE)), 2)
    # The library's own lines are there as well.
    contains(log, f'info: listening on {server.address}\n')


def test_without_a_level_there_is_no_word():
    with Server(SEQUENCE_SERVER, NOWHERE, '--interval', '0') as server:
        code, out, err = ask(server.address, '3')
        equal((code, err), (0, ''))
        matches(out, OK)
        equal(server.terminate(), (0, '', ''))


def test_level_may_come_from_the_environment():
    with Server(SEQUENCE_SERVER, NOWHERE, '--interval', '0', HAWSER_LOG='info') as server:
        with Process(SEQUENCE_CLIENT, server.address, '3', HAWSER_LOG='debug') as asking:
            equal(numbers_in(asking.finish()[2]), [0, 1, 2])
        contains(server.terminate()[2], 'all 3 numbers sent')


def test_wrong_level_shows_the_levels():
    for program in (SEQUENCE_SERVER, SEQUENCE_CLIENT):
        contains(wrong(program, '--log-level', 'loud', NOWHERE),
                 '--log-level loud: there is no such level; use debug, info, warning, error '
                 'or none')


def test_log_file_that_cannot_be_written_is_told():
    for program in (SEQUENCE_SERVER, SEQUENCE_CLIENT):
        with temporary_directory() as directory:
            done = run(program, NOWHERE, '--log-file', f'{directory}/none/log')
        equal((done.returncode, done.stdout), (1, ''))
        contains(done.stderr, f'--log-file {directory}/none/log: No such file or directory')


main(globals())
