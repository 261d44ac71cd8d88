"""The words of the command: help, misspelt names, wrong values, exit codes; and
that the manual and the completion know the same options as the program."""

import pathlib
import re
import subprocess
import sys

from support import (check, contains, environment, equal, main, matches, run)

HAWSER = sys.argv[1]
SOURCE = pathlib.Path(sys.argv[2])
COMMANDS = ['ping', 'shutdown', 'lease', 'bench', 'echo', 'proxy', 'help', 'version']

# Each option that takes a value: a value that is right, and some that are not.
WHOLE = ['', '-1', '+1', ' 1', '1x', '1.5', 'many', '99999999999999999999999']
VALUES = {
    ('ping', '--count'): WHOLE + ['4294967296'],
    ('ping', '--interval'): WHOLE + ['86400001'],
    ('ping', '--timeout'): WHOLE + ['0', '86400001'],
    ('shutdown', '--timeout'): WHOLE + ['0', '86400001'],
    ('lease', '--ticket'): WHOLE + ['0'],
    ('lease', '--timeout'): WHOLE + ['0', '86400001'],
    ('bench', '--connections'): WHOLE + ['0', '100001'],
    ('bench', '--depth'): WHOLE + ['0', '100001'],
    ('bench', '--size'): WHOLE + ['1G', '256M', '1Kb', '18014398509481984K'],
    ('bench', '--rate'): ['', '0', '-1', 'nan', 'inf', '1e99', '5/s', '0x'],
    ('bench', '--duration'): ['', '0', '-1', 'nan', '10s', '1000001'],
    ('bench', '--timeout'): WHOLE + ['0'],
    ('echo', '--loops'): WHOLE + ['0', '257'],
    ('echo', '--max-size'): WHOLE + ['0', '256M'],
    ('echo', '--max-connections'): WHOLE + ['0', '1000001'],
    ('proxy', '--seed'): WHOLE + ['0', '9223372036854775808'],
    ('proxy', '--cut-every'): WHOLE + ['0', '86400001'],
    ('proxy', '--cut-after'): WHOLE + ['0', '1Kb', '2000000000M'],
    ('proxy', '--stall-every'): WHOLE + ['0', '86400001'],
    ('proxy', '--stall-for'): WHOLE + ['0', '86400001'],
    ('proxy', '--delay'): WHOLE + ['86400001'],
    ('proxy', '--jitter'): WHOLE + ['86400001'],
    ('proxy', '--rate'): WHOLE + ['0', '2000000M'],
    ('proxy', '--segment'): WHOLE + ['0', '1025M'],
    ('proxy', '--corrupt'): WHOLE + ['1000001'],
    ('proxy', '--buffer'): WHOLE + ['4095', '1025M'],
    ('proxy', '--max-connections'): WHOLE + ['0', '1000001'],
}
# What these take are words: their own tests have the wrong ones.
WORDS = ['--reason', '--cut-how', '--direction']


def hawser(*arguments, **variables):
    return run(HAWSER, *arguments, **variables)


def wrong(*arguments):
    """Runs a wrong command line; returns what stderr said."""
    done = hawser(*arguments)
    equal((done.returncode, done.stdout), (2, ''))
    return done.stderr


def options_of(command):
    return re.findall(r'^  (--[a-z-]+)', hawser(command, '--help').stdout, re.MULTILINE)


def test_without_a_command_it_explains_itself_and_fails():
    contains(wrong(), 'Usage: hawser COMMAND', 'ping', 'bench')


def test_help_lists_every_command():
    for ask in (['help'], ['--help'], ['-h']):
        done = hawser(*ask)
        equal((done.returncode, done.stderr), (0, ''))
        equal(re.findall(r'^  ([a-z]+)  ', done.stdout, re.MULTILINE), COMMANDS)
        contains(done.stdout, 'HAWSER_LOG', 'HAWSER_TRACE', 'tcp:HOST:PORT', 'unix:PATH')


def test_each_command_explains_itself_in_three_ways():
    for command in COMMANDS:
        answers = [hawser('help', command), hawser(command, '--help'), hawser(command, '-h')]
        for done in answers:
            equal((done.returncode, done.stderr, done.stdout), (0, '', answers[0].stdout))
        contains(answers[0].stdout, f'Usage: hawser {command} [OPTION]...', '--help')


def test_help_is_at_most_80_columns_wide():
    for command in COMMANDS:
        for line in hawser('help', command).stdout.splitlines():
            check(len(line) <= 80, f'{len(line)} columns: {line}')


def test_help_wins_over_other_arguments():
    equal(hawser('ping', 'nonsense', '--help').returncode, 0)


def test_version_names_command_and_libraries():
    header = (SOURCE / 'include/hawser/version.h').read_text()
    number = matches(header, r'#define HAWSER_VERSION "(.*)"')[1]
    for ask in ('version', '--version'):
        done = hawser(ask)
        equal((done.returncode, done.stderr), (0, ''))
        equal(done.stdout.splitlines()[0], f'hawser {number}')
        matches(done.stdout, r'^libhawser [0-9.]+, libevent [0-9.]+\S*, protobuf-c [0-9.]+$')


def test_unknown_command_gets_the_nearest_name():
    for typed, meant in [('pign', 'ping'), ('benhc', 'bench'), ('ben', 'bench'),
                         ('shutdwon', 'shutdown'), ('verison', 'version'), ('ecko', 'echo')]:
        contains(wrong(typed), f'there is no command "{typed}"; did you mean "{meant}"?',
                 'hawser help')


def test_unknown_command_far_from_all_gets_no_guess():
    text = wrong('frobnicate')
    contains(text, 'there is no command "frobnicate"\n', 'hawser help')
    check('did you mean' not in text, text)


def test_help_of_an_unknown_command_suggests_too():
    contains(wrong('help', 'pingg'), 'did you mean "ping"?')


def test_unknown_option_gets_the_nearest_name():
    for command, typed, meant in [('bench', '--dept', '--depth'), ('bench', '--conections', '--connections'),
                                  ('ping', '--cuont', '--count'), ('ping', '-count', '--count'),
                                  ('echo', '--maxsize', '--max-size'), ('version', '--hlep', '--help')]:
        contains(wrong(command, typed), f'hawser {command}: unknown option {typed}; did you mean {meant}?',
                 f'Try "hawser {command} --help"')


def test_unknown_option_far_from_all_gets_no_guess():
    text = wrong('ping', '--frobnicate=1', 'tcp:h:1')
    contains(text, 'unknown option --frobnicate\n')
    check('did you mean' not in text, text)


def test_option_before_the_command_is_explained():
    contains(wrong('--count', 'ping'), 'unknown option --count; options come after the command')


def test_every_wrong_value_names_option_value_and_range():
    for (command, option), values in VALUES.items():
        for value in values:
            text = wrong(command, option, value, 'tcp:127.0.0.1:1')
            contains(text, f'hawser {command}: {option} "{value}": must be a ', 'Try "hawser')
            matches(text, r'(from \d+M? to \d+M?|above \d+ and up to \d+)$')


def test_every_option_with_a_value_was_tried():
    for command in COMMANDS:
        for option in options_of(command):
            usage = matches(hawser(command, '--help').stdout, rf'^  {option}( [A-Z])?')
            if usage[1] and option not in WORDS:
                check((command, option) in VALUES, f'{command} {option} is not tested')


def test_value_after_an_equals_sign_is_the_same():
    contains(wrong('bench', '--depth=0', 'tcp:h:1'), '--depth "0": must be')
    contains(wrong('bench', '--depth=', 'tcp:h:1'), '--depth "": must be')


def test_missing_value_shows_the_form():
    contains(wrong('ping', 'tcp:h:1', '--count'), '--count needs a value: --count N')


def test_flag_takes_no_value():
    contains(wrong('bench', '--json=yes', 'tcp:h:1'), '--json takes no value')


def test_missing_address_shows_the_form():
    for command in ('ping', 'shutdown', 'bench'):
        contains(wrong(command), f'ADDR is missing: hawser {command} ADDR')
    contains(wrong('echo'), 'ADDR... is missing: hawser echo ADDR...')
    for arguments in ([], ['tcp:h:1']):
        contains(wrong('proxy', *arguments), 'LISTEN TARGET is missing: hawser proxy LISTEN TARGET')


def test_surplus_argument_is_named():
    contains(wrong('ping', 'tcp:h:1', 'again'), 'unexpected argument "again"')
    contains(wrong('version', 'please'), 'unexpected argument "please"')


def test_two_dashes_end_the_options():
    contains(wrong('ping', '--', 'tcp:h:1', '--count'), 'unexpected argument "--count"')


def test_address_that_is_none_shows_the_forms():
    for command in ('ping', 'shutdown', 'bench', 'echo'):
        for address in ('localhost', 'tcp:localhost', 'tcp:localhost:x', 'unix:', 'http://h/', '', '-'):
            done = hawser(command, address)
            equal((done.returncode, done.stdout), (2, ''))
            contains(done.stderr, f'hawser {command}: ', 'An address is tcp:HOST:PORT or unix:PATH.')


def test_too_many_calls_in_flight_are_refused_with_the_numbers():
    contains(wrong('bench', '--connections', '10000', '--depth', '10000', 'tcp:h:1'),
             '--connections 10000 times --depth 10000', '10000000', 'lower one')


def test_output_that_cannot_be_written_is_an_error():
    for arguments in (['version'], ['help'], ['--help'], ['ping', '--help']):
        with open('/dev/full', 'w', encoding='ascii') as full:
            done = subprocess.run([HAWSER, *arguments], stdout=full, stderr=subprocess.PIPE,
                                  text=True, env=environment(), check=False)
        equal(done.returncode, 1)
        contains(done.stderr, 'cannot write to standard output: No space left on device')


def test_manual_describes_every_option_and_no_other():
    for command in COMMANDS:
        if command == 'help':
            continue
        page = (SOURCE / f'docs/hawser-{command}.1').read_text().replace('\\-', '-')
        described = re.findall(r'^\.TP\n\.BI? "?(--[a-z-]+)', page, re.MULTILINE)
        equal(described, options_of(command))


def test_manual_lists_every_command_and_variable():
    page = (SOURCE / 'docs/hawser.1').read_text().replace('\\-', '-')
    for command in COMMANDS:
        matches(page, rf'^\.BR? "?{command}\b')
    contains(page, 'HAWSER_LOG', 'HAWSER_TRACE')


def complete(line):
    script = (f'source "{SOURCE}/tools/completion/hawser.bash"; COMP_LINE=$1 COMP_POINT=${{#1}}; '
              '_hawser; printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(['bash', '-c', script, 'bash', line], capture_output=True, text=True,
                          check=False)
    equal((done.returncode, done.stderr), (0, ''))
    return done.stdout.split()


def test_bash_completes_commands():
    equal(complete('hawser '), COMMANDS + ['--help', '--version'])
    equal(complete('hawser b'), ['bench'])
    equal(complete('hawser help '), COMMANDS)


def test_bash_completes_every_option_and_no_other():
    for command in COMMANDS:
        if command != 'help':
            equal(complete(f'hawser {command} --'), options_of(command))


def test_bash_completes_addresses():
    equal(complete('hawser ping '), ['tcp:', 'unix:'])
    equal(complete('hawser ping --count 3 u'), ['unix:'])
    equal(complete(f'hawser ping unix:{SOURCE}/meson.b'), [f'{SOURCE}/meson.build'])
    equal(complete('hawser ping --count '), [])


def test_zsh_completion_knows_every_option():
    text = (SOURCE / 'tools/completion/_hawser').read_text()
    for command in COMMANDS:
        contains(text, f"'{command}:" if command != 'bench' else '"bench:')
        part = matches(text, rf'(?s)^\t{command}\)\n(.*?)^\t\t;;')[1]
        for option in options_of(command):
            if command != 'help':
                contains(part, f'{option}[')


main(globals())
