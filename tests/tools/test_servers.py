"""hawser ping, shutdown and echo against servers that answer, refuse, are silent,
vanish, or are none at all."""

import os
import re
import signal
import socket
import sys
import threading

from support import (Process, Server, Skip, check, contains, equal, main, matches,
                     refused_address, run, silent_listener, temporary_directory)

HAWSER, BARE_SERVER = sys.argv[1:3]
NOWHERE = 'tcp:127.0.0.1:0'


def hawser(*arguments, **variables):
    return run(HAWSER, *arguments, **variables)


def echo(*arguments, **variables):
    return Server(HAWSER, 'echo', *arguments, **variables)


# ---- ping ----

def test_ping_prints_each_round_trip_and_a_summary():
    with echo(NOWHERE) as server:
        done = hawser('ping', server.address, '--count', '3', '--interval', '1')
    equal((done.returncode, done.stderr), (0, ''))
    lines = done.stdout.splitlines()
    matches(lines[0], rf'^{re.escape(server.address)} is .*hawser echo')
    for number in (1, 2, 3):
        matches(lines[number], rf'^answer {number} from {re.escape(server.address)}: \d+\.\d{{3}} ms$')
    equal(lines[4:6], ['', f'{server.address}: 3 sent, 3 answered, 0 lost'])
    low, mean, high = map(float, matches(lines[6], r'^round trip min/avg/max (.*)/(.*)/(.*) ms$').groups())
    check(0 < low <= mean <= high, lines[6])
    equal(len(lines), 7)


def test_ping_sends_four_unless_told():
    with echo(NOWHERE) as server:
        done = hawser('ping', '--interval', '0', server.address)
    contains(done.stdout, '4 sent, 4 answered, 0 lost')


def test_ping_works_over_every_transport():
    with temporary_directory() as directory:
        for address in (NOWHERE, 'tcp:localhost:0', f'unix:{directory}/s'):
            with echo(address) as server:
                done = hawser('ping', server.address, '--count', '1')
                equal((done.returncode, done.stderr), (0, ''))


def test_ping_works_over_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(('::1', 0))
    except OSError as reason:
        raise Skip(f'no IPv6 here: {reason}') from reason
    with echo('tcp:[::1]:0') as server:
        matches(server.address, r'^tcp:\[::1\]:\d+$')
        equal(hawser('ping', server.address, '--count', '1').returncode, 0)


def test_refused_connection_names_address_and_advice():
    for command in ('ping', 'shutdown', 'bench'):
        with refused_address() as address:
            done = hawser(command, address)
        equal((done.returncode, done.stdout), (1, ''))
        contains(done.stderr, f'hawser {command}: ', address, 'connection refused',
                 'Nothing listens there: start the server, or correct the address.')


def test_missing_socket_file_names_path_and_advice():
    with temporary_directory() as directory:
        done = hawser('ping', f'unix:{directory}/none')
    equal((done.returncode, done.stdout), (1, ''))
    contains(done.stderr, f'unix:{directory}/none', 'no such file or directory',
             'start the server, or correct the path')


def test_socket_file_without_permission_gets_advice():
    if os.geteuid() == 0:
        raise Skip('root may connect to everything')
    with temporary_directory() as directory:
        with echo(f'unix:{directory}/s') as server:
            os.chmod(f'{directory}/s', 0)
            done = hawser('ping', server.address)
    equal(done.returncode, 1)
    contains(done.stderr, server.address, 'permission')


def test_name_that_does_not_exist_is_named():
    done = hawser('ping', 'tcp:no-such-host.invalid:7000', '--timeout', '60000')
    equal((done.returncode, done.stdout), (1, ''))
    contains(done.stderr, 'tcp:no-such-host.invalid:7000')


def test_silent_server_is_given_up_after_the_timeout():
    for command in ('ping', 'shutdown', 'bench'):
        with silent_listener() as address:
            done = hawser(command, address, '--timeout', '50')
        equal((done.returncode, done.stdout), (1, ''))
        contains(done.stderr, address, 'no answer', '--timeout waits longer')


def test_server_of_another_protocol_is_told_apart():
    with socket.create_server(('127.0.0.1', 0)) as listener:
        def greet():
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b'SSH-2.0-OpenSSH_9.2\r\n')
                connection.recv(4096)
        thread = threading.Thread(target=greet)
        thread.start()
        address = f'tcp:127.0.0.1:{listener.getsockname()[1]}'
        done = hawser('ping', address)
        thread.join()
    equal((done.returncode, done.stdout), (1, ''))
    contains(done.stderr, address)
    check('timed out' not in done.stderr, done.stderr)


def test_ping_goes_on_when_the_server_comes_back():
    with temporary_directory() as directory:
        address = f'unix:{directory}/s'
        with Process(HAWSER, 'ping', address, '--count', '0', '--interval', '5') as early:
            equal(early.finish()[0], 1)  # no server yet
        with echo(address) as server:
            ping = Process(HAWSER, 'ping', address, '--count', '0', '--interval', '5')
            ping.line('^answer 1 ')
            equal(server.terminate()[0], 0)
        with ping:
            number = int(ping.line('^hawser ping: number ([0-9]+): .*' + re.escape(address), 'stderr')[1])
            with echo(address):
                while int(ping.line('^answer ([0-9]+) ')[1]) < number:
                    pass
                ping.signal(signal.SIGINT)
                code, out, _ = ping.finish()
    equal(code, 1)
    matches(out, r'\d+ sent, \d+ answered, [1-9]\d* lost$')


def test_ctrl_c_ends_ping_with_the_summary():
    for number in (signal.SIGINT, signal.SIGTERM):
        with echo(NOWHERE) as server:
            with Process(HAWSER, 'ping', server.address, '--count', '0') as ping:
                ping.line('^answer 1 ')
                ping.signal(number)
                code, out, _ = ping.finish()
        equal(code, 0)
        contains(out, '1 sent, 1 answered, 0 lost', 'round trip min/avg/max')


def test_ctrl_c_ends_ping_while_it_waits_for_an_answer():
    with echo(NOWHERE) as server:
        with Process(HAWSER, 'ping', server.address, '--count', '0', '--interval', '0',
                     '--timeout', '86400000') as ping:
            ping.line('^answer 1 ')
            server.signal(signal.SIGSTOP)
            ping.signal(signal.SIGINT)
            code, out, _ = ping.finish()
    equal(code, 0)
    contains(out, ' 0 lost')


# ---- shutdown ----

def test_shutdown_stops_a_server_that_allows_it():
    with echo(NOWHERE, '--allow-shutdown') as server:
        done = hawser('shutdown', server.address, '--reason', 'enough')
        equal((done.returncode, done.stderr), (0, ''))
        matches(done.stdout, rf'^{re.escape(server.address)} \(.*hawser echo.*\) finishes its calls and stops$')
        equal(server.finish()[0], 0)


def test_shutdown_reason_reaches_the_servers_log():
    with echo(NOWHERE, '--allow-shutdown', HAWSER_LOG='info') as server:
        equal(hawser('shutdown', server.address, '--reason', 'moving to rack 7').returncode, 0)
        contains(server.finish()[2], 'moving to rack 7')


def test_shutdown_is_refused_unless_allowed():
    with temporary_directory() as directory:
        for address in (NOWHERE, f'unix:{directory}/s'):
            with echo(address) as server:
                done = hawser('shutdown', server.address)
                equal((done.returncode, done.stdout), (1, ''))
                contains(done.stderr, server.address, 'allow_shutdown', 'SIGTERM')
                equal(hawser('ping', server.address, '--count', '1').returncode, 0)


def test_shutdown_over_a_unix_socket_may_be_the_same_users_right():
    with temporary_directory() as directory:
        with Server(BARE_SERVER, f'unix:{directory}/s') as server:
            equal(hawser('shutdown', server.address).returncode, 0)
            equal(server.finish()[0], 0)
    with Server(BARE_SERVER, NOWHERE) as server:
        equal(hawser('shutdown', server.address).returncode, 1)


# ---- echo ----

def test_echo_serves_several_addresses():
    with temporary_directory() as directory:
        with echo(NOWHERE, f'unix:{directory}/s') as server:
            second = server.line('^listening on (unix:.*)')[1]
            equal(second, f'unix:{directory}/s')
            for address in (server.address, second):
                equal(hawser('ping', address, '--count', '1').returncode, 0)


def test_echo_ends_on_signals_and_removes_its_socket():
    for number in (signal.SIGTERM, signal.SIGINT):
        with temporary_directory() as directory:
            with echo(f'unix:{directory}/s') as server:
                # It is in its loop: ThreadSanitizer now and then loses a signal before that.
                equal(hawser('ping', server.address, '--count', '1').returncode, 0)
                server.signal(number)
                code, out, err = server.finish()
            equal((code, out, err), (0, '', ''))
            equal(os.listdir(directory), [])


def test_echo_says_when_an_address_is_taken():
    with echo(NOWHERE) as server:
        done = hawser('echo', server.address)
    equal((done.returncode, done.stdout), (1, ''))
    contains(done.stderr, 'hawser echo: ', server.address, 'address already in use')


def test_echo_says_when_a_socket_cannot_be_made():
    with temporary_directory() as directory:
        done = hawser('echo', f'unix:{directory}/none/s')
    equal((done.returncode, done.stdout), (1, ''))
    contains(done.stderr, f'unix:{directory}/none/s', 'no such file or directory')


# ---- environment ----

def test_trace_prints_the_frames_of_both_ends():
    with echo(NOWHERE, HAWSER_TRACE='1') as server:
        done = hawser('ping', server.address, '--count', '1', HAWSER_TRACE='1')
        _, _, server_err = server.terminate()
    equal(done.returncode, 0)
    for text in (done.stderr, server_err):
        contains(text, 'ping', 'pong', 'open')


def test_without_trace_stderr_is_quiet():
    with echo(NOWHERE) as server:
        equal(hawser('ping', server.address, '--count', '1').stderr, '')
        equal(server.terminate()[2], '')


def test_log_level_comes_from_the_environment():
    with echo(NOWHERE, HAWSER_LOG='debug') as server:
        loud = hawser('ping', server.address, '--count', '1', HAWSER_LOG='debug')
        server_err = server.terminate()[2]
    check(loud.stderr or server_err, 'nothing was logged at level debug')


main(globals())
