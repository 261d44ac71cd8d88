"""The benchmark programs still speak their command form, over each workload and
transport that they claim; a few calls each. Figures are not judged here."""

import json
import os
import pathlib
import socket
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / 'tools'))

# pylint: disable=wrong-import-position
from support import Server, Skip, check, contains, equal, main, matches, run, temporary_directory

PROGRAM = sys.argv[1]
LIAR = sys.argv[2] if len(sys.argv) > 2 else None
MAIN_METRIC = {'W1': 'p50_us', 'W2': 'calls_per_s', 'W3': 'calls_per_s', 'W4a': 'mib_per_s',
               'W4b': 'mib_per_s', 'W5': 'msgs_per_s', 'W6': 'rss_bytes_per_conn', 'W11': 'worst_ratio'}
# W6 opens real connections, so fewer of them; what it leaves of memory may round to nothing.
SMALL = {'W3': ['--conns', '4'], 'W4b': ['--calls', '2'], 'W6': ['--conns', '50'],
         'W11': ['--payload', '100000']}
QUICK = {'W4a': ['--payload', '50000'], 'W4b': ['--payload', '100000'], 'W11': ['--payload', '100000']}


def variants():
    done = run(PROGRAM, 'info')
    equal((done.returncode, done.stderr), (0, ''))
    for line in done.stdout.splitlines():
        peer, server_mode, client_mode, transports, workloads = line.split(' ')
        yield peer, server_mode, client_mode, transports.split(','), workloads.split(',')


def metrics(done, peer, workload, transport):
    equal((done.returncode, done.stderr), (0, ''))
    found = {}
    for line in done.stdout.splitlines():
        entry = json.loads(line)
        equal(sorted(entry), ['metric', 'peer', 'transport', 'value', 'workload'])
        equal((entry['peer'], entry['transport']), (peer, transport))
        check(entry['workload'] in (workload, 'W7'), line)
        found[entry['workload'], entry['metric']] = entry['value']
    return found


def measure(*options, by_time=False):
    """Runs every variant; yields its workload and what it printed."""
    for peer, server_mode, client_mode, transports, workloads in variants():
        for transport in transports:
            with temporary_directory() as directory:
                address = 'tcp:0' if transport == 'tcp' else f'unix:{directory}/s'
                with Server(PROGRAM, 'server', address, server_mode) as server:
                    for workload in workloads:
                        if by_time and workload == 'W6':
                            continue
                        done = run(PROGRAM, 'client', server.address, workload, client_mode,
                                   '--peer', peer, '--pid', str(server.popen.pid), *options,
                                   *(QUICK if by_time else SMALL).get(workload, []))
                        yield workload, metrics(done, peer, workload, transport)


def test_every_workload_runs_for_a_number_of_calls():
    seen = set()
    for workload, found in measure('--calls', '40'):
        seen.add(workload)
        value = found[workload, MAIN_METRIC[workload]]
        check(value > 0 or workload == 'W6', found)
        check((workload, 'server_cpu_us_per_call') in found or workload in ('W6', 'W11'), found)
    if pathlib.Path(PROGRAM).name == 'hawser-peer':
        equal(seen, set(MAIN_METRIC))


def test_every_workload_runs_for_a_time():
    for workload, found in measure('--secs', '0.2', '--warm', '0.02', by_time=True):
        check(found[workload, MAIN_METRIC[workload]] > 0, found)
        if workload == 'W2':
            check(found['W7', 'server_cpu_us_per_call'] > 0, found)
        if workload == 'W1':
            check(found['W1', 'p50_us'] <= found['W1', 'p99_us'] <= found['W1', 'p999_us'], found)


def test_fewer_calls_than_the_depth_are_enough():
    found = [variant[:3] for variant in variants() if 'W2' in variant[4]]
    if not found:
        raise Skip('nothing has a depth here')
    peer, server_mode, client_mode = found[0]
    with Server(PROGRAM, 'server', 'tcp:0', server_mode) as server:
        metrics(run(PROGRAM, 'client', server.address, 'W2', client_mode, '--peer', peer,
                    '--calls', '3'), peer, 'W2', 'tcp')


def test_server_ends_on_sigterm():
    for _, server_mode, client_mode, transports, workloads in variants():
        for transport in transports:
            with temporary_directory() as directory:
                address = 'tcp:0' if transport == 'tcp' else f'unix:{directory}/s'
                with Server(PROGRAM, 'server', address, server_mode) as server:
                    # It is in its loop: ThreadSanitizer now and then loses a signal before that.
                    run(PROGRAM, 'client', server.address, workloads[0], client_mode, '--calls', '1')
                    code, out, err = server.terminate()
                    check(code in (0, -15), code)
                    equal((out, err), ('', ''))


def test_client_without_a_server_fails():
    _, _, client_mode, _, workloads = next(variants())
    with temporary_directory() as directory:
        done = run(PROGRAM, 'client', f'unix:{directory}/s', workloads[0], client_mode)
    equal(done.returncode, 3)
    contains(done.stderr, 'error: ')


def flip_last_byte(listener):
    """The raw echo, but for one bit."""
    connection, _ = listener.accept()
    with connection:
        data = bytearray(connection.recv(4096))
        data[-1] ^= 1
        connection.sendall(data)
        connection.recv(4096)


def test_wrong_reply_is_noticed():
    if not LIAR:
        raise Skip('the tools are not built, and with them the server that lies')
    _, _, client_mode, _, workloads = next(variants())
    with Server(LIAR, 'tcp:127.0.0.1:0', 'liar') as server, \
            socket.create_server(('127.0.0.1', 0)) as listener:
        thread = threading.Thread(target=flip_last_byte, args=[listener])
        if 'raw' in pathlib.Path(PROGRAM).name:
            thread.start()
            port = listener.getsockname()[1]
        else:
            port = server.address.rpartition(':')[2]
        done = run(PROGRAM, 'client', f'tcp:{port}', workloads[0], client_mode)
        if thread.is_alive():
            thread.join()
    equal((done.returncode, done.stdout), (5, ''))
    contains(done.stderr, 'error: wrong reply')


def test_wrong_command_lines_are_refused():
    for arguments in ([], ['info', 'more'], ['server'], ['server', 'tcp:x', 'loop'], ['server', 'tcp:99999', 'loop'],
                      ['server', 'sctp:1', 'loop'], ['client', 'tcp:1', 'W1'], ['client', 'tcp:1', 'W9', 'async'],
                      ['client', 'tcp:1', 'W1', 'async', '--depth'], ['client', 'tcp:1', 'W1', 'async', '--depth', '0'],
                      ['client', 'tcp:1', 'W1', 'async', '--what', '1'], ['client', 'tcp:1', 'W1', 'nonsense'],
                      ['client', 'tcp:1', 'W6', 'async', '--conns', '1']):
        done = run(PROGRAM, *arguments)
        equal((done.returncode, done.stdout), (2, ''))
        matches(done.stderr, r'usage: |error: mode|W6 needs')


def test_nothing_else_in_the_directory_runs():
    """Whatever can be executed beside this program is taken for a benchmark."""
    directory = pathlib.Path(PROGRAM).parent
    for path in directory.iterdir():
        if path.is_file() and os.access(path, os.X_OK):
            check(path.name in ('hawser-peer', 'raw-epoll', 'raw-stream'), path)


main(globals())
