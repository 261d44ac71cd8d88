"""hawser bench: what it measures, how it says so, and that it tells the truth when
the server is slow, gone, or not the right one."""

import json
import os
import pty
import re
import signal
import subprocess
import sys

from support import (PATIENCE, Process, Server, check, contains, environment, equal, main,
                     matches, run)

HAWSER, BARE_SERVER = sys.argv[1:3]
NOWHERE = 'tcp:127.0.0.1:0'
SHORT = ['--duration', '0.2']


def hawser(*arguments, **variables):
    return run(HAWSER, *arguments, **variables)


def echo(*arguments, **variables):
    return Server(HAWSER, 'echo', NOWHERE, *arguments, **variables)


def bench(server, *options):
    """Runs with --json; returns the exit code and the object."""
    done = hawser('bench', server.address, '--json', *options)
    equal(done.stderr, '')
    check(done.stdout.endswith('}\n') and done.stdout.count('\n') == 1, done.stdout)
    return done.returncode, json.loads(done.stdout)


def test_table_has_every_row():
    with echo() as server:
        done = hawser('bench', server.address, '--depth', '4', *SHORT)
    equal((done.returncode, done.stderr), (0, ''))
    contains(done.stdout, f'{server.address} (', '1 connection, 4 calls in flight each, 64 bytes, ')
    for label in ('calls', 'calls/s', 'MiB/s'):
        matches(done.stdout, rf'^  {label} +[0-9,.]*[1-9]')
    for label in ('p50', 'p90', 'p99', 'p99.9', 'max'):
        matches(done.stdout, rf'^  {label} +[0-9.]+ (us|ms|s)( |$)')
    matches(done.stdout, r'^  failures +0$')


def test_json_has_every_member():
    with echo() as server:
        code, result = bench(server, '--connections', '2', '--depth', '3', '--size', '1K', *SHORT)
    equal(code, 0)
    equal(sorted(result), sorted(['address', 'server', 'connections', 'depth', 'size_bytes', 'rate',
                                  'elapsed_s', 'interrupted', 'calls', 'calls_per_s', 'mib_per_s',
                                  'latency_us', 'unsent', 'failed', 'failures']))
    equal((result['address'], result['connections'], result['depth'], result['size_bytes']),
          (server.address, 2, 3, 1024))
    equal((result['rate'], result['interrupted'], result['unsent'], result['failed'],
           result['failures']), (None, False, 0, 0, {}))
    contains(result['server'], 'hawser echo')


def test_figures_agree_with_each_other():
    with echo() as server:
        _, result = bench(server, '--depth', '8', '--size', '1000', *SHORT)
    latency = result['latency_us']
    order = [latency[key] for key in ('min', 'p50', 'p90', 'p99', 'p99.9', 'max')]
    equal(order, sorted(order))
    check(0 < latency['min'] <= latency['mean'] <= latency['max'], latency)
    check(0.2 <= result['elapsed_s'] < PATIENCE, result)
    in_time = result['calls_per_s'] * result['elapsed_s']
    check(result['calls'] - 8 - in_time * 0.01 <= in_time <= result['calls'] * 1.01, result)
    wanted = result['calls_per_s'] * 1000 / 2**20
    check(abs(result['mib_per_s'] - wanted) <= wanted * 0.01 + 0.001, result)


def test_every_call_is_counted_by_the_server_too():
    with echo(HAWSER_TRACE='1') as server:
        with Process(HAWSER, 'bench', server.address, '--json', '--rate', '100', '--duration', '0.5') as load:
            code, out, _ = load.finish()
        _, _, trace = server.terminate()
    result = json.loads(out)
    equal((code, result['calls']), (0, 50))
    # One more to open the connection; each frame of a call names its method.
    calls = [line for line in trace.splitlines() if re.search(r'\bcall\b.*hawser\.bench\.Echo/Echo', line)]
    equal(len(calls), 51)


def test_payloads_of_any_size_come_back_whole():
    with echo() as server:
        for size in ('0', '1', '4095', '4096', '4097', '1M', '5M'):
            code, result = bench(server, '--size', size, '--duration', '0.05', '--depth', '2')
            equal((code, result['failed']), (0, 0))


def test_many_connections_work():
    with echo('--loops', '2') as server:
        code, result = bench(server, '--connections', '200', '--depth', '2', *SHORT)
    equal((code, result['failed']), (0, 0))
    check(result['calls'] >= 400, result)


def test_open_loop_sends_exactly_what_is_due():
    with echo() as server:
        code, result = bench(server, '--rate', '400', '--duration', '0.5')
    equal((code, result['rate']), (0, 400.0))
    equal(result['calls'] + result['unsent'], 200)


def test_fractions_of_calls_per_second_are_possible():
    with echo() as server:
        code, result = bench(server, '--rate', '2.5', '--duration', '0.5')
    equal((code, result['calls'] + result['unsent']), (0, 2))


def test_stalled_server_shows_in_every_call_that_was_due():
    """Half of the time the server is stopped: without the correction one call would be late."""
    with echo(HAWSER_TRACE='1') as server:
        with Process(HAWSER, 'bench', server.address, '--json', '--rate', '100', '--duration', '1') as load:
            for _ in range(10):
                server.line(r'Echo/Echo', 'stderr')
            server.signal(signal.SIGSTOP)
            try:
                # How long the stall lasts, not a wait for anything.
                load.popen.wait(timeout=0.5)
            except subprocess.TimeoutExpired:
                pass
            server.signal(signal.SIGCONT)
            _, out, _ = load.finish()
    result = json.loads(out)
    equal(result['calls'] + result['unsent'], 100)
    check(result['latency_us']['max'] > 350000, result)
    check(result['latency_us']['p90'] > 100000, result)


def test_calls_that_cannot_be_sent_are_counted():
    with echo() as server:
        code, result = bench(server, '--rate', '1000000', '--depth', '1', *SHORT)
    equal(code, 0)
    check(result['unsent'] > 0, result)
    equal(result['calls'] + result['unsent'], 200000)
    with echo() as server:
        table = hawser('bench', server.address, '--rate', '1000000', '--depth', '1', *SHORT).stdout
    matches(table, r'^  not sent +[0-9,]+  were due: the server is slower than --rate$')
    contains(table, '1,000,000 calls/s wanted', 'from when the call was due')


def test_refused_calls_are_counted_by_status():
    with Server(BARE_SERVER, NOWHERE, 'busy') as server:  # answers every second call
        done = hawser('bench', server.address, '--depth', '64', *SHORT)
        code, result = bench(server, '--depth', '64', *SHORT)
    equal((done.returncode, code), (1, 1))
    # On a terminal the server's text cannot do harm.
    matches(done.stdout, r'^    RESOURCE_EXHAUSTED [0-9,]+, '
            r'first: every "second" call\?fits \\ in \?\[2J\?\?\U0001f6a2$')
    failures = result['failures']['RESOURCE_EXHAUSTED']
    equal(failures['first'], 'every "second" call\nfits \\ in \x1b[2J\ufffd\x9b\U0001f6a2')
    check(abs(failures['calls'] - result['calls']) <= 64, result)
    equal(result['failed'], sum(f['calls'] for f in result['failures'].values()))


def test_too_large_payload_fails_before_the_load_begins():
    with echo('--max-size', '1K') as server:
        done = hawser('bench', server.address, '--size', '8K')
    equal((done.returncode, done.stdout), (1, ''))
    contains(done.stderr, 'hawser bench: ', server.address)


def test_server_without_echo_gets_advice():
    with Server(BARE_SERVER, NOWHERE) as server:
        done = hawser('bench', server.address)
    equal((done.returncode, done.stdout), (1, ''))
    contains(done.stderr, server.address, 'hawser.bench.Echo', '"hawser echo ADDR" runs one')


def test_wrong_replies_are_failures():
    with Server(BARE_SERVER, NOWHERE, 'liar') as server:
        code, result = bench(server, '--depth', '2', *SHORT)
    equal((code, result['calls'], result['latency_us']), (1, 0, None))
    equal(list(result['failures']), ['DATA_LOSS'])
    equal(result['failures']['DATA_LOSS']['first'], 'the reply differs from the request')
    with Server(BARE_SERVER, NOWHERE, 'liar') as server:
        done = hawser('bench', server.address, *SHORT)
    equal(done.returncode, 1)
    matches(done.stdout, r'^    DATA_LOSS [0-9,]+, first: the reply differs from the request$')
    check('p50' not in done.stdout, done.stdout)


def test_running_out_of_descriptors_gets_advice():
    with echo() as server:
        done = subprocess.run(['bash', '-c', 'ulimit -n 50; exec "$@"', 'bash', HAWSER, 'bench',
                               server.address, '--connections', '100'], capture_output=True,
                              text=True, env=environment(), timeout=PATIENCE, check=False)
    equal((done.returncode, done.stdout), (1, ''))
    contains(done.stderr, server.address, 'aise "ulimit -n", or ask for fewer connections')


def test_server_that_dies_is_reported_not_waited_for():
    with echo(HAWSER_TRACE='1') as server:
        with Process(HAWSER, 'bench', server.address, '--json', '--duration', '1.5', HAWSER_LOG='none') as load:
            for _ in range(10):
                server.line(r'Echo/Echo', 'stderr')
            server.signal(signal.SIGKILL)
            code, out, _ = load.finish()
    result = json.loads(out)
    equal(code, 1)
    check(result['failures']['UNAVAILABLE']['calls'] > 0, result)
    # It rests between attempts instead of spinning.
    check(result['failed'] < 1000, result)


def test_ctrl_c_gives_the_figures_so_far():
    for number in (signal.SIGINT, signal.SIGTERM):
        with echo(HAWSER_TRACE='1') as server:
            with Process(HAWSER, 'bench', server.address, '--json', '--duration', '100000', '--rate', '100') as load:
                for _ in range(10):
                    server.line(r'Echo/Echo', 'stderr')
                load.signal(number)
                code, out, err = load.finish()
        result = json.loads(out)
        equal((code, err, result['interrupted'], result['failed']), (0, '', True, 0))
        check(result['calls'] > 0 and result['elapsed_s'] < PATIENCE, result)


def on_terminal(*arguments):
    """What the command writes when stderr is a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([HAWSER, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=theirs, env=environment()) as process:
        os.close(theirs)
        seen = b''
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # how Linux says that the other side is closed
                break
            if not part:
                break
            seen += part
        os.close(ours)
        process.stdout.read()
        equal(process.wait(PATIENCE), 0)
    return seen.decode()


def test_terminal_shows_progress_and_wipes_it_away():
    with echo() as server:
        text = on_terminal('bench', server.address, '--duration', '1.2')
    matches(text, r'\r\x1b\[K +1 s of 1  [0-9,]+ calls/s  p99 [0-9.]+ (us|ms|s)  0 failed')
    check(text.endswith('\r\x1b[K'), text)


def test_quiet_shows_no_progress():
    with echo() as server:
        equal(on_terminal('bench', server.address, '--quiet', '--duration', '1.2'), '')


main(globals())
