"""hawser proxy without a fault, and with those that lose nothing: every byte arrives, in
order. How it refuses, how it begins and ends, and what its command line may say."""

import os
import re
import signal
import socket
import stat
import sys
import time

from proxy_ends import (HAWSER, NOWHERE, Proxy, Sender, Target, another_works, exchange, noise,
                        nothing_came, pair, receive, relayed, rest, same, works)
from support import (PATIENCE, Process, Server, check, contains, equal, main, matches,
                     refused_address, run, temporary_directory)


# ---- relaying ----

def test_first_line_is_the_address_and_second_the_seed():
    with relayed('--seed', '4711') as (_, proxy):
        matches(proxy.address, r'^tcp:127\.0\.0\.1:[1-9]\d*$')
        proxy.line('^seed 4711$')


def test_bytes_arrive_in_order_both_ways():
    up, down = noise(1, 3_000_000), noise(2, 2_000_001)
    with relayed() as (target, proxy):
        exchange(target, proxy, up, down)
        stats = proxy.wait(open=0)
    equal((stats['accepted'], stats['bytes-up'], stats['bytes-down']), (1, len(up), len(down)))
    equal(sum(stats[name] for name in stats if name.startswith(('cut', 'stall', 'corr', 'black', 'ref'))), 0)


def test_bytes_arrive_in_segments_of_one():
    with relayed('--segment', '1') as (target, proxy):
        exchange(target, proxy, noise(3, 40_000), noise(4, 30_000))


def test_segments_are_as_small_as_asked():
    # The system joins those that it may not send yet; the first ten it may (RFC 6928).
    for options, least, most in ([], 1, 3), (['--segment', '10'], 8, 100):
        with relayed(*options) as (target, proxy), pair(target, proxy) as (client, server):
            client.sendall(noise(20, 1000))
            receive(server, 1000)
            # tcpi_data_segs_in of linux/tcp.h
            info = server.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 160)
            segments = int.from_bytes(info[152:156], sys.byteorder)
            check(least <= segments <= most, f'{segments} segments with {options}')


def test_bytes_arrive_at_a_limited_rate_and_no_sooner():
    up, down = noise(5, 100_000), noise(6, 150_000)
    with relayed('--rate', '400000') as (target, proxy):
        begun = time.monotonic()
        exchange(target, proxy, up, down)
        # The pace may be ahead by what it could have caught up with.
        check(time.monotonic() - begun > 150_000 / 400_000 - 0.05, time.monotonic() - begun)


def test_rate_may_be_one_byte_a_second():
    with relayed('--rate', '1') as (target, proxy):
        with pair(target, proxy) as (client, server):
            begun = time.monotonic()
            client.sendall(b'ab')
            equal(receive(server, 2), b'ab')
            check(time.monotonic() - begun > 0.9, time.monotonic() - begun)


def test_delay_with_jitter_keeps_the_order():
    with relayed('--delay', '10', '--jitter', '10', '--seed', '1') as (target, proxy):
        exchange(target, proxy, noise(7, 20_000), noise(8, 20_000), pieces=50)


def test_delay_is_that_of_each_direction():
    with relayed('--delay', '60') as (target, proxy):
        with pair(target, proxy) as (client, server):
            begun = time.monotonic()
            works(client, server)
            check(time.monotonic() - begun >= 0.12, time.monotonic() - begun)
            # Both ends say no word, and their end comes as late.
            begun = time.monotonic()
            client.shutdown(socket.SHUT_WR)
            equal(rest(server), (b'', 'fin'))
            check(time.monotonic() - begun >= 0.06, time.monotonic() - begun)


def test_all_shapes_together_lose_nothing():
    with relayed('--delay', '3', '--jitter', '3', '--rate', '1M', '--segment', '700', '--buffer', '5000',
                 '--stall-every', '40', '--stall-for', '20') as (target, proxy):
        exchange(target, proxy, noise(9, 200_000), noise(10, 200_000), pieces=999)
        check(proxy.stats()['stalls'] > 0, 'it never stalled')


def test_half_close_leaves_the_other_direction_open():
    with relayed('--segment', '900') as (target, proxy):
        with pair(target, proxy) as (client, server):
            question, answer = noise(11, 500_000), noise(12, 500_000)
            sender = Sender(client, question, finish=True)
            equal(rest(server), (question, 'fin'))
            sender.join()
            sender = Sender(server, answer, finish=True)
            same(receive(client, len(answer)), answer)
            equal(rest(client), (b'', 'fin'))
            sender.join()
        proxy.wait(open=0)


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
    sock.close()


def test_reset_of_one_end_reaches_the_other_after_the_bytes():
    with relayed('--delay', '20') as (target, proxy):
        for leaving, staying in ((0, 1), (1, 0)):
            with pair(target, proxy) as ends:
                works(*ends)
                ends[leaving].sendall(b'last words')
                equal(receive(ends[staying], 10), b'last words')
                reset(ends[leaving])
                equal(rest(ends[staying]), (b'', 'rst'))
        proxy.wait(open=0)


def test_unix_sockets_are_relayed_too():
    with temporary_directory() as directory:
        with relayed(path=f'{directory}/t', listen=f'unix:{directory}/p') as (target, proxy):
            equal(proxy.address, f'unix:{directory}/p')
            exchange(target, proxy, noise(13, 300_000), noise(14, 300_000))
            for name in (f'{directory}/p', proxy.path):
                equal(stat.S_IMODE(os.stat(name).st_mode), 0o600)
            with pair(target, proxy) as (client, server):
                works(client, server)
                proxy.do('cut')
                equal((rest(client), rest(server)), ((b'', 'fin'), (b'', 'fin')))
            equal(proxy.terminate()[0], 0)
        equal(os.listdir(directory), ['t'])


def test_each_address_of_the_target_is_tried():
    # "*" is this machine, ::1 first, where nobody listens.
    with Target() as target:
        with Proxy(target.address.replace('127.0.0.1', '*')) as proxy:
            another_works(target, proxy)


def test_hawser_ping_goes_through_with_the_delay():
    with Server(HAWSER, 'echo', NOWHERE) as server:
        with Proxy(server.address, '--delay', '20') as proxy:
            done = run(HAWSER, 'ping', proxy.address, '--count', '2', '--interval', '0')
    equal((done.returncode, done.stderr), (0, ''))
    check(float(matches(done.stdout, r'min/avg/max ([0-9.]+)/')[1]) >= 40, done.stdout)


def test_hawser_ping_comes_back_after_each_cut():
    with Server(HAWSER, 'echo', NOWHERE) as server:
        with Proxy(server.address, '--segment', '1') as proxy:
            with Process(HAWSER, 'ping', proxy.address, '--count', '0', '--interval', '1') as ping:
                number = 0
                for how in ('fin', 'rst', 'fin mid', 'rst mid'):
                    ping.line('^answer ')
                    before = sum(proxy.stats()[f'cut-{kind}'] for kind in ('fin', 'rst'))
                    proxy.do(f'cut {how}')
                    number = int(ping.line(r'^hawser ping: number (\d+): ', 'stderr')[1])
                    equal(sum(proxy.stats()[f'cut-{kind}'] for kind in ('fin', 'rst')), before + 1)
                    while int(ping.line(r'^answer (\d+) ')[1]) < number:
                        pass
                ping.signal(signal.SIGINT)
                matches(ping.finish()[1], r' [1-9]\d* lost$')
            equal(proxy.stats()['cut-mid-frame'], 2)


def test_full_buffer_holds_the_sender_back():
    with relayed('--buffer', '64K') as (target, proxy):
        with pair(target, proxy) as (client, server):
            proxy.do('stall up')
            client.setblocking(False)
            sent, patience = bytearray(), 50
            while patience:
                try:
                    piece = noise(len(sent), 65536)
                    n = client.send(piece)
                    sent += piece[:n]
                    check(len(sent) < 64 << 20, 'it takes everything')
                except BlockingIOError:
                    proxy.stats()  # time to read more, if it wants to
                    patience -= 1
            client.settimeout(PATIENCE)
            nothing_came(server)
            proxy.do('go')
            same(receive(server, len(sent)), bytes(sent))


# ---- black hole and refusal ----

def test_black_hole_takes_connections_and_says_nothing():
    with relayed('--black-hole') as (target, proxy):
        with proxy.connect() as swallowed:
            swallowed.sendall(b'hello?')
            proxy.wait(accepted=1, black_holed=1)
            proxy.do('blackhole off')
            another_works(target, proxy)
            nothing_came(swallowed, target.listener)
            proxy.do('blackhole on')
            contains(proxy.control.ask('blackhole maybe')[0], 'error: ')  # and it stays on
            with proxy.connect():
                proxy.wait(black_holed=2)
            proxy.wait(open=1)
            nothing_came(swallowed)
            proxy.do('cut rst')
            equal(rest(swallowed), (b'', 'rst'))


def test_refusal_is_like_nobody_listening_and_can_end():
    with temporary_directory() as directory:
        for listen in (NOWHERE, f'unix:{directory}/p'):
            with relayed('--refuse', listen=listen) as (target, proxy):
                for _ in range(3):
                    try:
                        proxy.connect().close()
                        check(False, 'it was accepted')
                    except ConnectionRefusedError:
                        pass
                    proxy.do('refuse off')
                    with pair(target, proxy) as (client, server):
                        works(client, server)
                        proxy.do('refuse on', 'refuse on')
                        works(client, server)
                equal(proxy.stats()['accepted'], 3)


def test_refused_port_stays_taken():
    with relayed('--refuse') as (_, proxy):
        with socket.socket() as other:
            try:
                other.bind(('127.0.0.1', int(proxy.address.rsplit(':', 1)[1])))
                check(False, 'another could take the port')
            except OSError:
                pass


def test_client_of_a_target_that_refuses_is_closed():
    with refused_address() as address, Proxy(address) as proxy:
        with proxy.connect() as client:
            client.sendall(b'hello?')
            equal(rest(client), (b'', 'fin'))
        equal(proxy.wait(open=0)['refused-by-target'], 1)
        proxy.line(rf'^hawser proxy: connect {re.escape(address)}: connection refused; ', 'stderr')
        equal(proxy.terminate()[0], 0)


def test_connections_beyond_the_limit_are_closed_with_a_word_why():
    with relayed('--max-connections', '2') as (target, proxy):
        with pair(target, proxy) as one, pair(target, proxy) as two:
            with proxy.connect() as third:
                equal(third.recv(1), b'')
            proxy.line('^hawser proxy: there are 2 connections and no more are taken; '
                       'raise --max-connections$', 'stderr')
            works(*one)
            works(*two)
        stats = proxy.wait(open=0)
        another_works(target, proxy)
    equal((stats['accepted'], stats['over-limit']), (2, 1))


# ---- its end ----

def test_signals_and_quit_end_it_with_the_figures():
    for end in (signal.SIGINT, signal.SIGTERM, 'quit'):
        with temporary_directory() as directory:
            with relayed('--seed', '9', listen=f'unix:{directory}/p') as (target, proxy):
                with pair(target, proxy) as (client, server):
                    works(client, server)
                    proxy.do('cut rst')
                    equal(rest(client)[1], 'fin')  # a unix socket knows no reset
                    rest(server)
                with pair(target, proxy) as (client, server):
                    works(client, server)
                    if end == 'quit':
                        proxy.do(end)
                    else:
                        proxy.signal(end)
                    code, out, err = proxy.finish()
                equal(os.listdir(os.path.dirname(proxy.path)), [])
            equal(os.listdir(directory), [])
        equal((code, err), (0, ''))
        contains(out, 'seed 9\n', 'accepted 2\n', 'open 1\n', 'bytes-up 12\n', 'bytes-down 12\n',
                 'cut-rst 1\n', 'stalls 0\n')


def test_quiet_prints_the_address_only():
    with refused_address() as address, Proxy(address, '--quiet') as proxy:
        with proxy.connect() as client:
            equal(rest(client), (b'', 'fin'))
        equal(proxy.terminate(), (0, '', ''))


def test_killed_proxys_socket_file_is_replaced_and_a_living_ones_is_not():
    with temporary_directory() as directory, Target() as target:
        listen = f'unix:{directory}/p'
        with Proxy(target.address, listen=listen) as proxy:
            proxy.signal(signal.SIGKILL)
            proxy.finish()
        with Proxy(target.address, listen=listen) as proxy:
            another_works(target, proxy)
            done = run(HAWSER, 'proxy', listen, target.address)
            target.accept().close()  # it tried whether somebody is there
            another_works(target, proxy)
        equal((done.returncode, done.stdout), (1, ''))
        contains(done.stderr, f'hawser proxy: listen {listen}: address already in use')


# ---- command line ----

def test_wrong_words_of_options_show_the_right_ones():
    for options, words in [
            (['--cut-how', 'hard'], ['--cut-how "hard": must be fin, rst, silent or random']),
            (['--direction', 'left'], ['--direction "left": must be up, down or both']),
            (['--control', 'tcp:127.0.0.1:0'], ['--control "tcp:127.0.0.1:0": must be unix:PATH']),
            (['--stall-for', '5'], ['--stall-for needs --stall-every'])]:
        done = run(HAWSER, 'proxy', NOWHERE, 'tcp:127.0.0.1:1', *options)
        equal((done.returncode, done.stdout), (2, ''))
        contains(done.stderr, 'hawser proxy: ', 'Try "hawser proxy --help"', *words)


def test_addresses_that_are_none_show_the_forms():
    for address in ('localhost', 'tcp:localhost', 'tcp:localhost:x', 'tcp:localhost:65536', 'tcp::1',
                    'tcp:::1:80', 'tcp:[::1]', 'tcp:[::1:80', 'unix:', 'unix:' + 'x' * 108, 'http://h/', '', 'x' * 400,
                    'tcp:' + 'x' * 256 + ':1'):
        for arguments in ([NOWHERE, address], [address, 'tcp:127.0.0.1:1']):
            done = run(HAWSER, 'proxy', *arguments)
            equal((done.returncode, done.stdout), (2, ''))
            contains(done.stderr, 'hawser proxy: ', 'address "', 'An address is tcp:HOST:PORT or unix:PATH.')


def test_addresses_that_cannot_be_used_are_named():
    with Target() as target, temporary_directory() as directory:
        with open(f'{directory}/file', 'w', encoding='ascii'):
            pass
        for arguments, words in [
                ([target.address, 'tcp:127.0.0.1:1'], [target.address, 'address already in use']),
                ([NOWHERE, 'tcp:no-such-host.invalid:1'], ['resolve tcp:no-such-host.invalid:1: ']),
                ([f'unix:{directory}/none/s', target.address],
                 [f'unix:{directory}/none/s', 'no such file or directory']),
                ([f'unix:{directory}/file', target.address], ['a file that is no socket stands there']),
                ([NOWHERE, target.address, '--control', f'unix:{directory}/none/s'],
                 [f'unix:{directory}/none/s', 'no such file or directory'])]:
            done = run(HAWSER, 'proxy', *arguments)
            equal((done.returncode, done.stdout), (1, ''))
            contains(done.stderr, 'hawser proxy: ', *words)


main(globals())
