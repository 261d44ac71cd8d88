"""The faults of hawser proxy: each is the one that was asked for, in its place, and
counted; and the same seed brings them back."""

import contextlib
import select
import socket
import threading
import time

from proxy_ends import (Sender, another_works, differences, frame, noise, nothing_came, pair,
                        receive, relayed, rest, same, works)
from support import check, contains, equal, main


# ---- cuts ----

def test_fin_is_seen_as_an_orderly_end():
    with relayed('--buffer', '4096') as (target, proxy):
        with pair(target, proxy) as (client, server):
            works(client, server)
            # Unread bytes would turn a careless close into a reset.
            proxy.do('stall')
            client.sendall(noise(21, 100_000))
            proxy.do('cut fin')
            client.sendall(b'dropped')
            equal((rest(client), rest(server)), ((b'', 'fin'), (b'', 'fin')))
        equal(proxy.wait(open=0)['cut-fin'], 1)


def test_rst_is_seen_as_a_reset():
    with relayed() as (target, proxy):
        with pair(target, proxy) as (client, server):
            works(client, server)
            proxy.do('cut rst')
            equal((rest(client), rest(server)), ((b'', 'rst'), (b'', 'rst')))
        equal(proxy.wait(open=0)['cut-rst'], 1)


def test_silent_cut_says_nothing_and_forwards_nothing():
    with relayed() as (target, proxy):
        with pair(target, proxy) as (client, server):
            works(client, server)
            before = proxy.stats()
            proxy.do('cut silent')
            client.sendall(b'hello?')
            server.sendall(b'anybody?')
            after = proxy.stats()
            equal(after, dict(before, **{'cut-silent': 1}))
            another_works(target, proxy)
            nothing_came(client, server)
            # One end gives up; the other is not told.
            client.close()
            another_works(target, proxy)
            equal(proxy.stats()['open'], 1)
            nothing_came(server)
        proxy.wait(open=0)


def test_silent_connection_can_still_be_ended():
    with relayed() as (target, proxy):
        for how in ('fin', 'rst'):
            with pair(target, proxy) as (client, server):
                works(client, server)
                proxy.do('cut silent', 'cut silent', f'cut {how}')
                equal((rest(client)[1], rest(server)[1]), (how, how))
        stats = proxy.wait(open=0)
    equal((stats['cut-silent'], stats['cut-fin'], stats['cut-rst']), (2, 1, 1))


def test_cut_concerns_all_connections():
    with relayed('--cut-how', 'rst') as (target, proxy):
        with pair(target, proxy) as one, pair(target, proxy) as two:
            works(*one)
            works(*two)
            proxy.do('cut')
            equal([rest(sock) for sock in one + two], [(b'', 'rst')] * 4)
        equal(proxy.wait(open=0)['cut-rst'], 2)


def test_cut_after_forwards_exactly_so_many_bytes():
    data = noise(15, 100_000)
    for limit in (1, 4096, 65_537):
        with relayed('--cut-after', str(limit)) as (target, proxy):
            with pair(target, proxy) as (client, server):
                sender = Sender(client, data)
                same(rest(server)[0], data[:limit])
                equal(rest(client), (b'', 'fin'))
                sender.join()
            stats = proxy.wait(open=0)
            equal((stats['bytes-up'], stats['cut-fin']), (limit, 1))


def test_cut_every_cuts_each_connection_within_the_time():
    with relayed('--cut-every', '60') as (target, proxy):
        for _ in range(5):
            begun = time.monotonic()
            with pair(target, proxy) as (client, server):
                equal((rest(client), rest(server)), ((b'', 'fin'), (b'', 'fin')))
            check(time.monotonic() - begun >= 0.03, time.monotonic() - begun)
        equal(proxy.wait(open=0)['cut-fin'], 5)


def test_cut_every_can_be_switched_on_and_off():
    with relayed('--cut-every', '86400000') as (target, proxy):
        with pair(target, proxy) as (client, server):
            works(client, server)
            proxy.do('cut-every 1')
            equal((rest(client), rest(server)), ((b'', 'fin'), (b'', 'fin')))
        proxy.do('cut-every 1000000', 'cut-every 0')
        another_works(target, proxy)
        equal(proxy.stats()['cut-fin'], 1)


def frames_and_part(data):
    """How many whole frames, and how many bytes of one that is not."""
    at = count = 0
    while at + 4 <= len(data):
        size = 4 + int.from_bytes(data[at:at + 4], 'big')
        if at + size > len(data):
            break
        at += size
        count += 1
    return count, len(data) - at


def check_cut_inside(came, sent):
    same(came, sent[:len(came)])
    check(frames_and_part(came)[1] > 0, f'{len(came)} bytes are whole frames')


def test_mid_frame_cut_forwards_a_part_of_the_next_frame():
    sizes = [0, 1, 2, 5, 300, 70_000]
    parts = set()
    with relayed('--seed', '5') as (target, proxy):
        for number in range(36):
            with pair(target, proxy) as (client, server):
                whole = frame(noise(number, 10)) + frame(b'')
                client.sendall(whole)
                equal(receive(server, len(whole)), whole)
                proxy.do('cut mid')
                nothing_came(client, server)
                data = frame(noise(number, sizes[number % len(sizes)]))
                sender = Sender(client, data + frame(b'more'))
                came, how = rest(server)
                equal((how, rest(client)), ('fin', (b'', 'fin')))
                sender.join()
            check(0 < len(came) < len(data), f'{len(came)} of {len(data)} bytes')
            same(came, data[:len(came)])
            parts.add(len(came))
        stats = proxy.wait(open=0)
    equal((stats['cut-fin'], stats['cut-mid-frame']), (36, 36))
    check(len(parts) > 8, f'always the same points: {parts}')


def test_mid_frame_cut_takes_the_frame_that_is_half_through():
    with relayed('--cut-how', 'rst') as (target, proxy):
        for part in (b'\0', b'\0\0\0\5', b'\0\0\0\5hell'):
            with pair(target, proxy) as (client, server):
                server.sendall(part)
                equal(receive(client, len(part)), part)
                proxy.do('cut mid')
                equal((rest(client), rest(server)), ((b'', 'rst'), (b'', 'rst')))
        stats = proxy.wait(open=0)
    equal((stats['cut-rst'], stats['cut-mid-frame']), (3, 3))


def test_mid_frame_cut_waits_for_a_head_that_comes_in_pieces():
    parts = []
    with relayed('--seed', '2') as (target, proxy):
        for _ in range(8):
            with pair(target, proxy) as (client, server):
                proxy.do('cut mid')
                for byte in frame(b'hello'):
                    with contextlib.suppress(OSError):
                        client.sendall(bytes([byte]))
                    proxy.stats()
                came, _ = rest(server)
            equal(came, frame(b'hello')[:len(came)])
            parts.append(len(came))
    check(min(parts) > 0 and max(parts) < 9, parts)
    check(max(parts) > 4, f'always within the head: {parts}')


def test_planned_cuts_can_be_mid_frame():
    data = b''.join(frame(noise(number, number * 7 % 500)) for number in range(400))
    for options in (['--cut-after', '3000'], ['--cut-after', '3000', '--segment', '1'],
                    ['--cut-every', '40', '--rate', '300000']):
        with relayed('--cut-mid-frame', *options) as (target, proxy):
            for _ in range(5):
                with pair(target, proxy) as (client, server):
                    sender = Sender(client, data)
                    came, _ = rest(server)
                    sender.join()
                check_cut_inside(came, data)
                if '--cut-after' in options:
                    check(3000 <= len(came) <= 3000 + 2 * 504, len(came))
            equal(proxy.wait(open=0)['cut-mid-frame'], 5)


def test_what_has_no_frames_is_cut_mid_frame_too():
    with relayed() as (target, proxy):
        with pair(target, proxy) as (client, server):
            proxy.do('cut mid')
            data = b'\xff' * 20_000
            sender = Sender(client, data)
            check(len(rest(server)[0]) < 4100, 'it was not cut')
            sender.join()


# ---- stalls ----

def test_stall_holds_one_direction_until_go():
    for stalled, sender, receiver in (('up', 0, 1), ('down', 1, 0)):
        with relayed() as (target, proxy):
            with pair(target, proxy) as ends:
                works(*ends)
                proxy.do(f'stall {stalled}')
                ends[sender].sendall(b'held')
                for _ in range(10):
                    ends[receiver].sendall(b'free')
                    equal(receive(ends[sender], 4), b'free')
                nothing_came(ends[receiver])
                proxy.do('go')
                equal(receive(ends[receiver], 4), b'held')
                equal(proxy.stats()['stalls'], 1)


def test_stall_of_both_holds_connections_to_come_too():
    with relayed() as (target, proxy):
        with pair(target, proxy) as old:
            works(*old)
            proxy.do('stall')
            with pair(target, proxy) as new:
                for sock in old + new:
                    sock.sendall(b'held')
                before = proxy.wait(open=2)
                for _ in range(10):
                    equal(proxy.stats(), before)
                nothing_came(*old, *new)
                proxy.do('go')
                equal([receive(sock, 4) for sock in old + new], [b'held'] * 4)


def test_stall_ends_by_itself_after_its_time():
    with relayed() as (target, proxy):
        with pair(target, proxy) as (client, server):
            works(client, server)
            begun = time.monotonic()
            # The last word counts, also for who waits already.
            proxy.do('stall both')
            client.sendall(b'held')
            proxy.do('stall both 80')
            equal(receive(server, 4), b'held')
            check(time.monotonic() - begun >= 0.08, time.monotonic() - begun)
            works(client, server)


def test_stalls_come_by_plan_in_their_direction():
    with relayed('--stall-every', '20', '--stall-for', '30', '--direction', 'up',
                 '--verbose') as (target, proxy):
        with pair(target, proxy) as (client, server):
            for _ in range(3):
                proxy.line(r'^connection 1: stalled \(up\)$', 'stderr')
                works(client, server)
            proxy.do('stall-every 0', 'go')
            works(client, server)
        check(proxy.stats()['stalls'] >= 3, 'too few')


# ---- corruption ----

def corrupted(seed, ppm, data, *options):
    with relayed('--corrupt', str(ppm), '--seed', str(seed), *options) as (target, proxy):
        with pair(target, proxy) as (client, server):
            sender = Sender(client, data, finish=True)
            came, how = rest(server)
            sender.join()
            back = data[:5000]
            server.sendall(back)
            back = receive(client, len(back))
        return came, how, back, proxy.stats()['corrupted']


def test_corruption_changes_bytes_and_keeps_their_number():
    data = noise(16, 500_000)
    came, how, back, counted = corrupted(1, 10_000, data)
    equal(how, 'fin')
    count = differences(came, data)
    equal(count + differences(back, data[:5000]), counted)
    # 5,000 are expected; five sigma are 350.
    check(4600 < count < 5400, count)
    equal(corrupted(1, 0, data)[0], data)
    equal(differences(corrupted(1, 1_000_000, data[:1000])[0], data[:1000]), 1000)


def test_corruption_can_be_of_one_direction():
    data = noise(17, 20_000)
    came, _, back, counted = corrupted(1, 1_000_000, data, '--direction', 'down')
    equal((came, differences(back, data[:5000]), counted), (data, 5000, 5000))


def test_same_seed_corrupts_the_same_bytes():
    data = noise(18, 100_000)
    first = corrupted(7, 1000, data)
    equal(corrupted(7, 1000, data)[:3], first[:3])
    check(corrupted(8, 1000, data)[0] != first[0], 'the seed changes nothing')


# ---- chance ----

def plans(seed):
    with relayed('--seed', seed, '--cut-every', '86400000', '--stall-every', '86400000', '--cut-how',
                 'random', '--verbose') as (target, proxy):
        for _ in range(12):
            with pair(target, proxy) as (client, server):
                works(client, server)
        proxy.wait(open=0)
        return [line for line in proxy.terminate()[2].splitlines() if ' planned ' in line]


def test_same_seed_makes_the_same_plans():
    first = plans('42')
    equal(len(first), 24)
    for kind in ('fin', 'rst', 'silent'):
        contains('\n'.join(first), f'cut ({kind}) planned after ')
    equal(plans('42'), first)
    check(plans('43') != first, 'the seed changes nothing')


def test_same_seed_cuts_the_same_way_at_the_same_points():
    data = b''.join(frame(noise(number, 96)) for number in range(100))

    def cuts(seed):
        seen = []
        with relayed('--seed', seed, '--cut-after', '2000', '--cut-how', 'random', '--cut-mid-frame',
                     '--verbose') as (target, proxy):
            for number in range(1, 13):
                with pair(target, proxy) as (client, _):
                    sender = Sender(client, data)
                    how = proxy.line(rf'^connection {number}: cut \((.*)\)$', 'stderr')[1]
                    sender.join()
                    seen.append((how, proxy.stats()['bytes-up']))
                    proxy.do('cut rst')
        return seen

    first = cuts('3')
    check(len({how for how, _ in first}) == 3, first)
    equal(cuts('3'), first)
    check(cuts('4') != first, 'the seed changes nothing')


def test_seed_that_was_drawn_is_printed_and_differs():
    seeds = set()
    for _ in range(3):
        with relayed() as (_, proxy):
            seed = int(proxy.line(r'^seed (\d+)$')[1])
            equal(proxy.stats()['seed'], seed)
            seeds.add(seed)
    equal(len(seeds), 3)


# ---- many ----

class Echo(threading.Thread):
    """Answers every byte with itself, on all connections, until the test is over."""

    def __init__(self, listener):
        super().__init__()
        self.listener = listener
        self.stop, self.stopped = socket.socketpair()
        self.start()

    def run(self):
        poll, sockets = select.poll(), {}
        for sock in (self.listener, self.stopped):
            poll.register(sock, select.POLLIN)
        while True:
            for fd, _ in poll.poll():
                if fd == self.stopped.fileno():
                    for sock in sockets.values():
                        sock.close()
                    return
                if fd == self.listener.fileno():
                    sock, _ = self.listener.accept()
                    sockets[sock.fileno()] = sock
                    poll.register(sock, select.POLLIN)
                elif not self.answer(sockets[fd]):
                    poll.unregister(fd)
                    sockets.pop(fd).close()

    @staticmethod
    def answer(sock):
        try:
            data = sock.recv(65536)
            sock.sendall(data)
            return bool(data)
        except OSError:
            return False

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop.close()
        self.join()
        self.stopped.close()


class Caller:
    """Sends a message and waits for its echo, again and again; whatever it hears is a part
    of that."""

    MESSAGE = frame(b'0123456789' * 3)
    SILENCE_S = 0.2  # then it believes that it was cut

    def __init__(self, proxy):
        self.socket, self.heard, self.calls = self.connect(proxy), b'', 0
        self.since = time.monotonic()
        self.alive = self.send()

    @staticmethod
    def connect(proxy):
        while True:
            with contextlib.suppress(ConnectionResetError):  # cut before we knew of it
                return proxy.connect()

    def send(self):
        try:
            self.socket.sendall(self.MESSAGE)
            return True
        except OSError:
            return False

    def hear(self):
        try:
            data = self.socket.recv(4096)
        except OSError:
            data = b''
        self.heard += data
        self.since = time.monotonic()
        check(self.MESSAGE.startswith(self.heard), self.heard)
        if self.heard == self.MESSAGE:
            self.heard = b''
            self.calls += 1
            self.alive = self.send()
        self.alive = self.alive and bool(data)

    def is_over(self):
        return not self.alive or time.monotonic() - self.since > self.SILENCE_S


def call_until(proxy, callers, enough):
    """Lets them call; who is cut is followed by another."""
    while not enough(proxy.stats()):
        ready, _, _ = select.select([caller.socket for caller in callers], [], [], 0.1)
        for at, caller in enumerate(callers):
            if caller.socket in ready:
                caller.hear()
            if caller.is_over():
                caller.socket.close()
                callers[at] = Caller(proxy)


def test_two_hundred_connections_are_cut_often_and_come_back():
    with relayed('--cut-every', '200', '--cut-how', 'random', '--seed', '11') as (target, proxy):
        proxy.wait(open=0)  # it has the control connection
        idle = proxy.descriptors()
        with Echo(target.listener):
            callers = [Caller(proxy) for _ in range(200)]
            call_until(proxy, callers, lambda stats: all(
                stats[f'cut-{how}'] >= 300 for how in ('fin', 'rst', 'silent')))
            # A quiet network again: all that were cut recover, and stay.
            proxy.do('cut-every 0', 'cut rst')
            cuts = proxy.stats()
            while any(caller.calls < 3 for caller in callers):
                call_until(proxy, callers, lambda _, turns=iter((False, True)): next(turns))
            after = proxy.stats()
            equal([after[name] for name in after if name.startswith('cut')],
                  [cuts[name] for name in cuts if name.startswith('cut')])
            for caller in callers:
                caller.socket.close()
            proxy.wait(open=0)
            equal(proxy.descriptors(), idle)


main(globals())
