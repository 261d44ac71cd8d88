#!/usr/bin/env python3
"""What the two programs say: answers, failures, and wrong words on their command lines."""

import math
import os
import re
import signal

from programs import (NOWHERE, PLACES_CLIENT, PLACES_SERVER, PLACES_TOUR, WORLD, Client,
                      answer, ask, check, contains, equal, listed, main, matches, meet, run,
                      serve, silent_listener, table, temporary_directory,
                      visit)

PLACES = table()


def distance(one, other):
    """In km, by vectors."""
    def vector(place):
        latitude, longitude = math.radians(place[1]), math.radians(place[2])
        return (math.cos(latitude) * math.cos(longitude), math.cos(latitude) * math.sin(longitude),
                math.sin(latitude))
    return 2 * 6371.0088 * math.asin(math.dist(vector(one), vector(other)) / 2)


def place(name):
    return next(each for each in PLACES if each[0] == name)


# ---- answers ----

def test_nearest_prints_the_place_and_how_far_it_is():
    with serve() as server:
        equal(answer(server.address, 'nearest', '47.37', '8.54'), 'Europe/Zurich, 1.6 km\n')
        equal(answer(server.address, 'nearest', '-33.9', '151.2'), 'Australia/Sydney, 4.0 km\n')


def test_within_lists_the_places_of_a_rectangle():
    with serve() as server:
        equal(answer(server.address, 'within', *WORLD), listed(PLACES))
        equal(answer(server.address, 'within', '45', '5', '50', '15'),
              listed(each for each in PLACES if 45 <= each[1] <= 50 and 5 <= each[2] <= 15))
        equal(answer(server.address, 'within', '-20', '170', '-10', '-170'),
              listed(each for each in PLACES if -20 <= each[1] <= -10 and abs(each[2]) >= 170))
        equal(answer(server.address, 'within', '-90', '0', '-89', '1'), '')


def test_within_may_take_only_the_first():
    with serve() as server:
        equal(answer(server.address, 'within', *WORLD, '3'), listed(PLACES[:3]))
        equal(answer(server.address, 'within', *WORLD, '4294967295'), listed(PLACES))
        equal(server.terminate()[0], 0)


def test_route_prints_its_length():
    tour = [place(name) for name in ('Europe/Zurich', 'Asia/Tokyo', 'America/New_York')]
    length = distance(tour[0], tour[1]) + distance(tour[1], tour[2])
    with serve() as server:
        equal(answer(server.address, 'route', *(each[0] for each in tour)),
              f'3 stops, {length:.1f} km\n')
        equal(answer(server.address, 'route', '-', lines=''.join(each[0] + '\n' for each in tour)),
              f'3 stops, {length:.1f} km\n')
        equal(answer(server.address, 'route', '-90,0', '90,-17.5'), '2 stops, 20015.1 km\n')
        equal(answer(server.address, 'route', '-'), '0 stops, 0.0 km\n')


def test_tour_is_the_route_by_all_places_of_a_rectangle():
    for window in ('1000000', '100', '1'):  # the smaller, the more often it has to wait
        with serve('--window', window) as server:
            for corners in (WORLD, ('45', '5', '48', '9'), ('-90', '0', '-89', '1')):
                names = [line.split()[2] for line in
                         answer(server.address, 'within', *corners).splitlines()]
                done = run(PLACES_TOUR, server.address, *corners)
                equal((done.returncode, done.stderr), (0, ''))
                equal(done.stdout, answer(server.address, 'route', '-',
                                          lines=''.join(name + '\n' for name in names)))


def test_notes_go_from_visitor_to_visitor():
    with serve() as server:
        with Client(server.address, 'notes') as ada, Client(server.address, 'notes') as bob:
            meet(ada, bob, 'Europe/Zurich')
            came = answer(server.address, 'notes', lines='Europe/Zurich a stranger\n')
            equal(sorted(came.splitlines()), ['Europe/Zurich one', 'Europe/Zurich other'])
            ada.expect('Europe/Zurich a stranger')
            bob.expect('Europe/Zurich a stranger')
            # Ada does not hear of the other place until she has been there.
            bob.tell('Asia/Tokyo a long way', 'Europe/Zurich back')
            ada.expect('Europe/Zurich back')
            ada.tell('Asia/Tokyo indeed')
            ada.expect('Asia/Tokyo a long way')
            bob.expect('Asia/Tokyo indeed')
            ada.end()
            equal(ada.finish(), (0, '', ''))
            bob.tell('Europe/Zurich Ada?')
            bob.end()
            equal(bob.finish(), (0, '', ''))
        equal(answer(server.address, 'notes', lines='Asia/Tokyo me too\n'),
              'Asia/Tokyo a long way\nAsia/Tokyo indeed\n')


def test_notes_without_a_newline_at_the_end_are_left_too():
    with serve() as server:
        equal(answer(server.address, 'notes', lines='Europe/Zurich one'), '')
        equal(answer(server.address, 'notes', lines='Europe/Zurich two\n'), 'Europe/Zurich one\n')


def test_notes_do_not_play_with_the_terminal():
    with serve() as server:
        answer(server.address, 'notes', lines='Europe/Zurich \x1b[2Jgone\t\x7f\n')
        equal(answer(server.address, 'notes', lines='Europe/Zurich x\n'),
              'Europe/Zurich ?[2Jgone??\n')


def test_unix_sockets_do_as_well():
    with temporary_directory() as directory, serve(address=f'unix:{directory}/s') as server:
        equal(answer(server.address, 'nearest', '47.37', '8.54'), 'Europe/Zurich, 1.6 km\n')
        answer(server.address, 'notes', lines='Europe/Zurich one\n')
        equal(server.terminate(), (0, '', ''))
        equal(os.listdir(directory), [])


# ---- failures ----

def test_number_out_of_range_is_named_as_on_the_command_line():
    with serve() as server:
        for arguments, words in {
                ('nearest', '91', '0'): 'LATITUDE is 91; give a number from -90 to 90',
                ('nearest', '0', '-181'): 'LONGITUDE is -181; give a number from -180 to 180',
                ('nearest', 'nan', '0'): 'LATITUDE is nan; give a number from -90 to 90',
                ('within', '-91', '0', '0', '0'): 'SOUTH is -91; give a number from -90 to 90',
                ('within', '0', '999', '0', '0'): 'WEST is 999; give a number from -180 to 180',
                ('within', '0', '0', '1e6', '0'): 'NORTH is 1e+06; give a number from -90 to 90',
                ('within', '0', '0', '0', 'inf'): 'EAST is inf; give a number from -180 to 180',
                ('route', '95,0'): 'the LATITUDE of a STOP is 95; give a number from -90 to 90',
        }.items():
            equal(ask(server.address, *arguments), (2, '', f'places-client: {words}\n'))


def test_failure_has_status_outcome_and_words():
    with serve() as server:
        equal(ask(server.address, 'within', '40', '0', '30', '0'),
              (1, '', 'places-client: INVALID_ARGUMENT (executed): the south, 40, is north of the '
                      'north, 30\n'))
        equal(ask(server.address, 'route', 'Europe/Zurich', 'berlin'),
              (1, '', 'places-client: NOT_FOUND (executed): "berlin" is no place; is '
                      'Europe/Berlin meant?\n'))
        equal(ask(server.address, 'notes', lines='Atlantis hello\n'),
              (1, '', 'places-client: NOT_FOUND (executed): "Atlantis" is no place\n'))
        equal(ask(server.address, 'notes', lines=f'Europe/Zurich {"x" * 1001}\n'),
              (1, '', 'places-client: INVALID_ARGUMENT (executed): the text has 1001 bytes; it '
                      'has to have 1 to 1000\n'))


def test_full_guestbook_is_told():
    with serve('--notes', '3', '--notes-at-place', '2', '--waiting', '2') as server:
        equal(ask(server.address, 'notes', lines='Europe/Zurich x\n' * 3),
              (1, '', 'places-client: RESOURCE_EXHAUSTED (executed): there are 2 notes at '
                      'Europe/Zurich, and no more may be\n'))
        equal(ask(server.address, 'notes', lines='Asia/Tokyo x\nAsia/Seoul x\n'),
              (1, '', 'places-client: RESOURCE_EXHAUSTED (executed): there are 3 notes, and no '
                      'more may be\n'))


def test_visitor_that_stands_still_is_sent_away_and_nobody_waits_for_it():
    with serve('--notes-at-place', '1000', '--waiting', '1000') as server:
        with Client(server.address, 'notes') as still, Client(server.address, 'notes') as other:
            meet(still, other, 'Europe/Zurich')
            meet(still, other, 'Asia/Tokyo')
            still.signal(signal.SIGSTOP)
            # More than fits into its window and the queue together.
            for where in ('Europe/Zurich', 'Asia/Tokyo'):
                answer(server.address, 'notes', lines=f'{where} {"x" * 999}\n' * 900)
                other.expect(*[f'{where} {"x" * 999}'] * 900)
            still.signal(signal.SIGCONT)
            code, out, err = still.finish()
            equal((code, err), (1, 'places-client: RESOURCE_EXHAUSTED (executed): 1000 notes wait '
                                   'to be taken, and no more may\n'))
            check(0 < out.count('\n') < 800, f'{out.count(chr(10))} notes came')
            other.end()
            equal(other.finish(), (0, '', ''))


def test_lines_that_are_no_note_are_passed_over():
    with serve() as server:
        equal(ask(server.address, 'notes', lines='Europe/Zurich\n\nEurope/Zurich \nAsia/Tokyo x\n'),
              (2, '', ''.join(f'places-client: "{line}": give a place, a space and a text\n'
                              for line in ('Europe/Zurich', '', 'Europe/Zurich'))))
        equal(answer(server.address, 'notes', lines='Asia/Tokyo y\n'), 'Asia/Tokyo x\n')


def test_call_that_fails_ends_the_client_that_waits_for_stdin():
    with serve() as server:
        with Client(server.address, 'notes') as client:
            client.tell('Atlantis hello')
            equal(client.finish()[0], 1)
        with Client(server.address, '--timeout', '300', 'notes') as client:
            code, out, err = client.finish()
            equal((code, out), (1, ''))
            contains(err, 'DEADLINE_EXCEEDED')


def test_nobody_there_is_told():
    with temporary_directory() as directory:
        for arguments in (('nearest', '0', '0'), ('within', *WORLD), ('route', 'Asia/Tokyo'),
                          ('notes',)):
            code, out, err = ask(f'unix:{directory}/none', *arguments)
            equal((code, out), (1, ''))
            contains(err, 'UNAVAILABLE (not sent)', 'no such file or directory')


def test_silent_server_is_not_waited_for():
    with silent_listener() as address:
        for arguments in (('nearest', '0', '0'), ('within', *WORLD), ('route', 'Asia/Tokyo'),
                          ('notes',)):
            code, out, err = ask(address, '--timeout', '200', *arguments)
            equal((code, out), (1, ''))
            contains(err, 'DEADLINE_EXCEEDED')


# ---- the server's end ----

def test_server_ends_with_its_visitors():
    with serve() as server, Client(server.address, 'notes') as client:
        visit(client, server.address)
        code, _, err = server.terminate()
        equal(code, 1)
        contains(err, 'places-server: ended before every call had\n')
        code, _, err = client.finish()
        equal(code, 1)
        contains(err, 'UNAVAILABLE')


def test_server_that_is_interrupted_twice_ends_at_once():
    with serve() as server, Client(server.address, 'notes') as client:
        visit(client, server.address)
        server.signal(signal.SIGINT)
        server.signal(signal.SIGINT)
        equal(server.finish()[0], 1)
        equal(client.finish()[0], 1)


# ---- the table ----

def test_table_may_be_another():
    with temporary_directory() as directory:
        path = f'{directory}/table'
        with open(path, 'w', encoding='utf-8') as file:
            file.write('CH\t+4723+00832\tEurope/Zurich\n')
        with serve('--data', path) as server:
            equal(answer(server.address, 'nearest', '-47', '-171')[:14], 'Europe/Zurich,')
        with open(path, 'a', encoding='utf-8') as file:
            file.write('DE\t+5230\tEurope/Berlin\n')
        done = run(PLACES_SERVER, '--data', path, NOWHERE)
    equal((done.returncode, done.stdout), (1, ''))
    equal(done.stderr, f'places-server: {path}:2: coordinates "+5230"; they have to be '
                       '±DDMM±DDDMM or ±DDMMSS±DDDMMSS\n')


def test_table_that_is_missing_is_told_with_its_package():
    done = run(PLACES_SERVER, '--data', '/nowhere/zone.tab', NOWHERE)
    equal((done.returncode, done.stdout, done.stderr),
          (1, '', "places-server: /nowhere/zone.tab: no such file; Debian's package tzdata has "
                  'it\n'))


# ---- the command line ----

PROGRAMS = (PLACES_SERVER, PLACES_CLIENT)
WHOLE = ('', '0', '-1', '+1', ' 1', '1x', '1.5', 'many', '99999999999999999999999')


def wrong(program, *arguments):
    """Runs a wrong command line; returns what stderr said."""
    done = run(program, *arguments)
    equal((done.returncode, done.stdout), (2, ''))
    return done.stderr


def test_every_wrong_number_names_option_value_and_range():
    for program, option, rest in ((PLACES_SERVER, '--notes', [NOWHERE]),
                                  (PLACES_SERVER, '--notes-at-place', [NOWHERE]),
                                  (PLACES_SERVER, '--waiting', [NOWHERE]),
                                  (PLACES_SERVER, '--window', [NOWHERE]),
                                  (PLACES_CLIENT, '--timeout', ['nearest', '0', '0'])):
        for value in WHOLE:
            text = wrong(program, option, value, *rest)
            contains(text, f'{os.path.basename(program)}: {option} "{value}": give a whole number')
            matches(text, r' from \d+ to \d+$')


def test_every_option_with_a_number_was_tried():
    text = ''.join(run(program, '--help').stdout for program in PROGRAMS)
    equal(re.findall(r'^ +.*(--\S+) +(?:N|MS) ', text, re.MULTILINE),
          ['--notes', '--notes-at-place', '--waiting', '--window', '--timeout'])


def test_wrong_degrees_are_named():
    for arguments, name in ((['nearest', 'x', '0'], 'LATITUDE'),
                            (['nearest', '0', ''], 'LONGITUDE'),
                            (['within', 'x', '0', '0', '0'], 'SOUTH'),
                            (['within', '0', '1x', '0', '0'], 'WEST'),
                            (['within', '0', '0', '1,5', '0'], 'NORTH'),
                            (['within', '0', '0', '0', '-'], 'EAST')):
        contains(wrong(PLACES_CLIENT, *arguments), f'places-client: {name} "',
                 '": give a number of degrees')
    for value in WHOLE:
        contains(wrong(PLACES_CLIENT, 'within', *WORLD, value), f'MOST "{value}": give a whole')


def test_wrong_numbers_of_arguments_show_the_right_ones():
    for arguments, command in ((['nearest'], 'nearest LATITUDE LONGITUDE'),
                               (['nearest', '0'], 'nearest LATITUDE LONGITUDE'),
                               (['nearest', '0', '0', '0'], 'nearest LATITUDE LONGITUDE'),
                               (['within', '0', '0', '0'], 'within SOUTH WEST NORTH EAST [MOST]'),
                               (['within', *WORLD, '1', '2'],
                                'within SOUTH WEST NORTH EAST [MOST]'),
                               (['route'], 'route STOP...'), (['notes', 'x'], 'notes')):
        contains(wrong(PLACES_CLIENT, *arguments), f'places-client: the command is: {command}\n')


def test_unknown_words_point_to_the_help():
    contains(wrong(PLACES_CLIENT), 'give a command: nearest, within, route or notes')
    contains(wrong(PLACES_CLIENT, 'farthest'), '"farthest" is no command')
    contains(wrong(PLACES_SERVER, NOWHERE, 'again'), 'again: give at most one address')
    contains(wrong(PLACES_SERVER, '--waiting', '10'), '--waiting 10: give 100 or more')
    for program in PROGRAMS:
        contains(wrong(program, '--frobnicate'), 'frobnicate',
                 f"Try '{os.path.basename(program)} --help'.")


def test_help_is_at_most_80_columns_wide():
    for program in PROGRAMS:
        done = run(program, '--help')
        equal((done.returncode, done.stderr), (0, ''))
        contains(done.stdout, f'Usage: {os.path.basename(program)} [OPTION]... ')
        for line in done.stdout.splitlines():
            check(len(line) <= 80, f'{len(line)} columns: {line}')


def test_address_that_is_none_is_wrong_usage():
    for address in ('localhost', 'tcp:localhost', 'tcp:localhost:x', 'unix:', ''):
        contains(wrong(PLACES_SERVER, address), 'places-server: ', 'tcp:HOST:PORT')
        contains(wrong(PLACES_CLIENT, '--address', address, 'notes'), 'places-client: ',
                 'tcp:HOST:PORT')


def test_address_that_is_taken_is_told():
    with serve() as server:
        done = run(PLACES_SERVER, server.address)
    equal((done.returncode, done.stdout), (1, ''))
    contains(done.stderr, 'places-server: ', server.address, 'address already in use')


main(globals())
