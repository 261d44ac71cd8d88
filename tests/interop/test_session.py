#!/usr/bin/env python3
"""A session from the outside: a client in Python whose connections break wherever they may,
against a server in C. Class Session is all that a client needs to come back."""

import contextlib
import signal

from interop import (HELLO, MIRROR, Peer, check, contains, equal, greeter, main, pack, serve,
                     wire)

HELLO_ID = 0x02277bfd
COUNT = 'demo.Greeter/Count'
COUNTED = ('call', 'message', 'end', 'cancel', 'window')
COST = 16  # what a message takes from a window, besides its payload


class Session:
    """What outlives a connection: the frames that were sent, and how many have come."""

    def __init__(self, address, **wishes):
        self.address, self.wishes = address, wishes
        self.id, self.token = 0, b''  # 0 asks for a new one
        self.sent = []                # all of ours; to save memory, forget those up to `acked`
        self.acked = 0                # how many of ours the server has, as it said last
        self.received = 0             # how many of the server's we have taken
        self.open()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.drop()

    def open(self):
        self.peer = Peer.to(self.address)
        self.peer.send(pack(open={'version': 1, **self.wishes, 'session': {
            'id': self.id, 'token': self.token, 'received': self.received}}))
        self.opened = self.peer.expect('opened')
        session = self.opened.session
        self.id, self.token, self.acked = session.id, session.token, session.received

    def drop(self):
        self.peer.__exit__()

    def come_back(self):
        """Goes on with a new connection; returns how many of our frames the server had."""
        self.open()
        for frame in self.sent[self.acked:]:
            self.peer.send(frame)
        return self.opened.session.received

    def queue(self, **fields):
        """A frame about a call: it counts, whether it leaves now or later."""
        self.sent.append(pack(**fields))
        return self.sent[-1]

    def send(self, **fields):
        self.peer.send(self.queue(**fields))

    def take(self):
        """The next frame, with or without a kind; None at the end."""
        frame = self.peer.receive()
        if frame:
            self.acked = max(self.acked, frame.ack)
            self.received += frame.WhichOneof('kind') in COUNTED
        return frame

    def receive(self):
        """The next frame that has a kind: acknowledgements may come at any time."""
        while (frame := self.take()) and not frame.WhichOneof('kind'):
            pass
        return frame

    def expect(self, kind):
        frame = self.receive()
        equal(frame and frame.WhichOneof('kind'), kind)
        return frame

    def expect_no_more(self):
        """The pong is the next to come: all that the server has to say has been said."""
        self.peer.send(pack(ping={'number': 7}))
        equal(self.expect('pong').pong.number, 7)

    def close(self):
        self.peer.send(pack(close={'reason': wire.REASON_DONE}))
        self.peer.expect_end_of_stream()


@contextlib.contextmanager
def mirror(*arguments):
    """A server; .greeted are the calls that it has executed, known once it has ended."""
    with serve(MIRROR, 'tcp:127.0.0.1:0', *arguments) as server:
        yield server
        server.signal(signal.SIGTERM)
        code, output, _ = server.finish()
        equal(code, 0)
        server.greeted = [line.removeprefix('greets ') for line in output.splitlines()
                          if line.startswith('greets ')]


def hello(number, name='Ada'):
    return {'call': {'id': number, 'method': HELLO_ID},
            'payload': greeter.HelloRequest(name=name).SerializeToString()}


def count(number, upto):
    return {'call': {'id': number, 'method': 0, 'announce': {'name': COUNT}},
            'payload': greeter.CountRequest(upto=upto).SerializeToString()}


def expect_hello(session, number, name='Ada'):
    frame = session.expect('end')
    equal((frame.end.id, frame.end.status), (number, 0))
    equal(greeter.HelloReply.FromString(frame.payload).text, f'Hello, {name}!')


def expect_numbers(session, call, numbers):
    for n in numbers:
        frame = session.expect('message')
        equal((frame.message.id, greeter.CountReply.FromString(frame.payload).n), (call, n))


def expect_end_of_numbers(session, call):
    frame = session.expect('end')
    equal((frame.end.id, frame.end.status, frame.payload), (call, 0, b''))


def expect_rejected(address, *words, **session):
    with Peer.to(address) as peer:
        peer.send(pack(open={'version': 1, 'session': session}))
        rejected = peer.expect('rejected')
        equal(wire.Reason.Name(rejected.reason), 'REASON_SESSION_EXPIRED')
        contains(rejected.text, 'session expired', *words)
        peer.expect_end_of_stream()


def expect_farewell(session, reason, *words):
    close = session.expect('close').close
    equal(wire.Reason.Name(close.reason), reason)
    contains(close.text, *words)
    session.peer.expect_end_of_stream()


# ---- beginning ----

def test_who_asks_for_a_session_gets_one():
    with mirror() as server, Session(server.address) as one, Session(server.address) as other:
        for session in (one, other):
            check(session.id, 'no id')
            equal(len(session.token), 16)
            equal((session.acked, session.opened.session.window_ms), (0, 30000))
        check(one.id != other.id and one.token != other.token, 'both have the same')


def test_who_does_not_ask_gets_none_and_no_acknowledgements():
    with mirror() as server, Peer.to(server.address) as peer:
        peer.send(pack(open={'version': 1}))
        check(not peer.expect('opened').HasField('session'), 'a session')
        # So much would have to be acknowledged at once.
        for number in range(1, 201, 2):
            peer.send(pack(**hello(number)))
        for number in range(1, 201, 2):
            frame = peer.receive()
            equal((frame.end.id, frame.ack), (number, 0))
        peer.send(pack(ping={'number': 1}))
        equal(peer.expect('pong').number, 1)


# ---- going on ----

def test_what_was_lost_comes_again_and_nothing_runs_twice():
    with mirror() as server:
        with Session(server.address) as session:
            session.send(**hello(1, 'Ada'))
            expect_hello(session, 1, 'Ada')
            session.send(**hello(3, 'Bob'))
            expect_hello(session, 3, 'Bob')
            session.received -= 1  # as if that end had not come
            session.peer.send(session.queue(**hello(5, 'Cid'))[:10])
            session.drop()
            session.queue(**hello(7, 'Dot'))
            equal(session.come_back(), 2)
            for number, name in (3, 'Bob'), (5, 'Cid'), (7, 'Dot'):
                expect_hello(session, number, name)
            session.expect_no_more()
            session.close()
    equal(server.greeted, ['Ada', 'Bob', 'Cid', 'Dot'])


def test_a_call_goes_on_wherever_its_request_was_cut():
    with mirror() as server:
        with Session(server.address) as session:
            length = len(pack(**hello(1, 'n000')))
            names = [f'n{cut:03}' for cut in range(length + 1)]
            for cut, name in enumerate(names):
                frame = session.queue(**hello(2 * cut + 1, name))
                session.peer.send(frame[:cut])
                session.drop()
                # A whole one may be overtaken by the new connection.
                check(session.come_back() - cut in ((0, 1) if cut == length else (0,)),
                      f'{session.opened.session.received} after {cut}')
                expect_hello(session, 2 * cut + 1, name)
            session.close()
    equal(server.greeted, names)


def test_a_reply_comes_again_wherever_it_was_cut():
    with mirror() as server:
        with Session(server.address) as session:
            session.send(**hello(1, 'n000'))
            length = len(pack(**{'end': {'id': 1}, 'payload': session.expect('end').payload}))
            names = [f'n{cut:03}' for cut in range(length)]
            for cut, name in enumerate(names):
                session.send(**hello(2 * cut + 3, name))
                # The last byte never comes: a part of a frame is as good as none.
                equal(len(session.peer.stream.read(cut)), cut)
                session.drop()
                session.come_back()
                end = session.expect('end').end
                equal((end.id, end.status), (2 * cut + 3, 0))
            session.expect_no_more()
            session.close()
    equal(server.greeted, ['n000'] + names)


def test_only_frames_about_calls_are_counted():
    with mirror() as server, Session(server.address) as session:
        for _ in range(3):
            session.expect_no_more()
        session.peer.send(pack(shutdown={}))
        contains(session.expect('shutdown').shutdown.refused, 'unix socket')
        session.send(**hello(1))
        expect_hello(session, 1)
        equal(session.received, 1)
        # A cancel counts, even of a call that was never made; so does a window.
        session.send(cancel={'id': 3}, payload=bytes(100))
        session.send(window={'id': 3, 'bytes': 1})
        session.expect_no_more()
        session.drop()
        equal(session.come_back(), 3)
        session.send(**hello(5))
        expect_hello(session, 5)


def test_a_method_that_was_announced_stays_so():
    with mirror() as server, Session(server.address) as session:
        session.send(call={'id': 1, 'method': HELLO_ID, 'announce': {'name': HELLO,
                                                                   'request': 'demo.Salute'}})
        equal(session.expect('end').end.status, 9)
        session.drop()
        session.come_back()
        # The server has not forgotten what the two disagree on.
        session.send(**hello(3))
        equal(session.expect('end').end.status, 9)


def test_the_new_connection_takes_the_session_over_from_the_old_one():
    with mirror() as server, Session(server.address) as session:
        old = session.peer
        session.send(**hello(1))
        expect_hello(session, 1)
        session.come_back()
        with old:
            frame = old.receive()
            while frame and not frame.WhichOneof('kind'):
                frame = old.receive()
            equal(wire.Reason.Name(frame.close.reason), 'REASON_TAKEN_OVER')
            contains(frame.close.text, 'taken over by tcp:127.0.0.1:')
            old.expect_end_of_stream()
        session.send(**hello(3))
        expect_hello(session, 3)


# ---- acknowledging ----

def test_the_server_acknowledges_what_it_has_with_a_frame_of_its_own():
    with mirror() as server, Session(server.address) as session:
        session.send(**hello(1))
        expect_hello(session, 1)
        equal(session.take(), wire.Frame(ack=1, ignorable=True))


def test_the_server_acknowledges_all_of_a_burst():
    with mirror() as server, Session(server.address) as session:
        for number in range(1, 401, 2):
            session.send(**hello(number))
        riding = 0
        while session.acked < 200 or session.received < 200:
            frame = session.take()
            riding += frame.ack > 0 and frame.WhichOneof('kind') == 'end'
        check(riding, 'no acknowledgement rode on an end')


def test_what_was_acknowledged_is_not_kept():
    with mirror() as server, Session(server.address) as session:
        session.send(**hello(1))
        expect_hello(session, 1)
        session.peer.send(pack(ack=1, ignorable=True))
        # Older numbers come with frames that are sent again; they mean nothing.
        session.peer.send(pack(ping={'number': 1}, ack=1))
        session.expect('pong')
        session.drop()
        session.received = 0
        expect_rejected(server.address, 'the ends disagree: 0 frames', '1 to 1',
                        id=session.id, token=session.token, received=0)


def test_acknowledging_what_was_not_sent_closes_the_connection():
    with mirror() as server, Session(server.address) as session:
        session.send(**hello(1))
        expect_hello(session, 1)
        session.peer.send(pack(ack=2, ignorable=True))
        expect_farewell(session, 'REASON_PROTOCOL_ERROR', 'acknowledges 2 frames, 1 were sent')


# ---- refusals, and the end ----

def test_a_session_is_nobodys_without_its_token():
    with mirror() as server, Session(server.address) as session, \
            Session(server.address) as other:
        session.drop()
        wrong = bytes([session.token[0] ^ 1]) + session.token[1:]
        for token in (wrong, session.token[:15], session.token + b'\0', b'', other.token):
            expect_rejected(server.address, 'does not know it', id=session.id, token=token)
        expect_rejected(server.address, 'does not know it', id=session.id ^ 1,
                        token=session.token)
        # All that has done no harm to the session.
        session.come_back()
        session.send(**hello(1))
        expect_hello(session, 1)


def test_who_says_that_more_came_than_was_sent_loses_the_session():
    with mirror() as server, Session(server.address) as session:
        session.drop()
        for words in ('the ends disagree: 1 frames', '0 to 0'), ('does not know it',):
            expect_rejected(server.address, *words, id=session.id, token=session.token,
                            received=1)


def test_a_session_ends_with_close_but_not_without():
    with mirror() as server, Session(server.address) as session:
        session.drop()
        session.come_back()
        session.close()
        expect_rejected(server.address, 'does not know it', id=session.id, token=session.token)


def test_after_its_window_a_session_is_gone_and_its_calls_are_cancelled():
    with mirror('50') as server, Session(server.address) as session:
        equal(session.opened.session.window_ms, 50)
        session.send(**hello(1, 'slow'))
        session.expect_no_more()
        session.drop()
        server.line('^cancelled$')
        expect_rejected(server.address, 'does not know it', id=session.id, token=session.token)


# ---- heartbeats ----

def test_wishes_for_heartbeats_are_met_within_the_servers_limits():
    wishes = {(20, 60): (20, 60), (1, 0): (10, 45000), (60000, 90000): (15000, 45000),
              (0, 20): (15000, 15001), (100, 50): (100, 101)}
    with mirror() as server:
        for (heartbeat, silence), wanted in wishes.items():
            with Session(server.address, heartbeat_ms=heartbeat,
                         silence_timeout_ms=silence) as session:
                equal((session.opened.heartbeat_ms, session.opened.silence_timeout_ms), wanted)
                session.close()


def test_silence_ends_the_connection_and_not_the_session():
    with mirror() as server:
        with Session(server.address, heartbeat_ms=10, silence_timeout_ms=30) as session:
            expect_farewell(session, 'REASON_SILENT', 'nothing was heard for 30 ms')
            session.queue(**hello(1))
            session.wishes = {}
            equal(session.come_back(), 0)
            expect_hello(session, 1)
    equal(server.greeted, ['Ada'])


# ---- streams of replies ----

def within(window, numbers):
    """How many of the numbers may be sent, and what is left of the window then."""
    sent = 0
    for n in numbers:
        if window <= 0:
            break
        window -= len(greeter.CountReply(n=n).SerializeToString()) + COST
        sent += 1
    return sent, window


def test_a_stream_goes_as_far_as_its_window_lets_it():
    with mirror() as server, Session(server.address, stream_window_bytes=100) as session:
        session.send(**count(1, 200))
        taken, left = 0, 100
        while taken < 200:
            few, left = within(left, range(taken + 1, 201))
            expect_numbers(session, 1, range(taken + 1, taken + few + 1))
            taken += few
            if taken < 200:
                session.expect_no_more()
                session.send(window={'id': 1, 'bytes': 50 - left})
                left = 50
        expect_end_of_numbers(session, 1)
        session.expect_no_more()


def test_a_window_that_nobody_names_is_64_kib():
    with mirror() as server, Session(server.address) as session:
        session.send(**count(1, 10000))
        few, _ = within(64 << 10, range(1, 10001))
        check(few < 10000, 'the window has no end')
        expect_numbers(session, 1, range(1, few + 1))
        session.expect_no_more()


def test_each_stream_has_its_own_window_and_calls_need_none():
    with mirror() as server, Session(server.address, stream_window_bytes=1) as session:
        session.send(**count(1, 2))
        session.send(**count(3, 2))
        expect_numbers(session, 1, [1])
        expect_numbers(session, 3, [1])
        session.send(**hello(5))
        expect_hello(session, 5)
        session.send(window={'id': 3, 'bytes': 1000})
        expect_numbers(session, 3, [2])
        expect_end_of_numbers(session, 3)
        session.expect_no_more()


def test_a_stream_goes_on_where_it_was_cut():
    with mirror() as server, Session(server.address, stream_window_bytes=2000) as session:
        session.send(**count(1, 1000))
        taken, left = 0, 2000
        while taken < 1000:
            few, left = within(left, range(taken + 1, 1001))
            # Half of what is under way is lost each time.
            expect_numbers(session, 1, range(taken + 1, taken + few // 2 + 1))
            session.drop()
            session.queue(window={'id': 1, 'bytes': 1000})
            session.come_back()
            expect_numbers(session, 1, range(taken + few // 2 + 1, taken + few + 1))
            taken, left = taken + few, left + 1000
        expect_end_of_numbers(session, 1)
        session.expect_no_more()


def test_a_stream_that_nobody_wants_is_cancelled():
    with mirror() as server, Session(server.address, stream_window_bytes=1) as session:
        session.send(**count(1, 100))
        expect_numbers(session, 1, [1])
        session.send(cancel={'id': 1})
        server.line('^cancelled$')
        # It may have been under way: nobody minds.
        session.send(window={'id': 1, 'bytes': 1000})
        session.expect_no_more()


def test_a_window_beyond_all_reason_closes_the_connection():
    with mirror() as server, Session(server.address, stream_window_bytes=1) as session:
        session.send(**count(1, 100))
        expect_numbers(session, 1, [1])
        session.send(window={'id': 1, 'bytes': 2 ** 63})
        expect_farewell(session, 'REASON_PROTOCOL_ERROR', 'window: call 1')


# ---- pieces ----

def pieces_of(packed, length):
    """Of message frames; the first one tells the size."""
    for at in range(0, len(packed), length):
        yield {'message': {'id': 1, 'size': 0 if at else len(packed)},
               'payload': packed[at:at + length]}


def test_a_request_goes_on_between_any_two_pieces():
    request = hello(1, 'x' * 50000)
    with mirror() as server, Session(server.address) as session:
        session.send(call=request['call'] | {'size': len(request['payload'])})
        for n, piece in enumerate(pieces_of(request['payload'], 5000)):
            piece['message']['size'] = 0  # the call has told it
            data = session.queue(**piece)
            # Whole, in part, or not at all.
            session.peer.send(data[:len(data) * (n % 3) // 2])
            session.drop()
            session.come_back()
        end = session.expect('end')
        equal((end.end.id, end.end.status), (1, 0))
        session.expect_no_more()
    equal(len(server.greeted), 1)


def test_a_reply_goes_on_where_it_was_cut():
    with mirror('30000', str(4 << 20)) as server, Session(server.address) as session:
        name = 'x' * (1 << 20)
        call = hello(1, name)
        session.send(**call)
        reply, size = b'', None
        while (frame := session.receive()).WhichOneof('kind') != 'end':
            if frame.HasField('ping'):
                continue  # for the sake of its request
            size = size or frame.message.size
            reply += frame.payload
            # What is under way is lost each time, and so is the ping.
            session.drop()
            session.queue(window={'id': 1, 'bytes': len(frame.payload) + COST})
            session.come_back()
        equal((frame.end.id, frame.end.status, frame.payload), (1, 0, b''))
        equal(len(reply), size)
        check(greeter.HelloReply.FromString(reply).text == f'Hello, {name}!', 'another reply')
        session.expect_no_more()
    equal(len(server.greeted), 1)


def test_a_reply_in_pieces_stops_when_nobody_wants_it():
    with mirror('30000', str(4 << 20)) as server, Session(server.address) as session:
        # More than may wait, if they were not dropped.
        for number in range(1, 25, 2):
            session.send(**hello(number, 'x' * (3 << 20)))
            # Pieces of those before may still be under way.
            while (frame := session.receive()).message.id != number:
                check(not frame.HasField('end'), f'an end: {frame.end}')
            session.send(cancel={'id': number})
        session.send(**hello(25))
        while not (frame := session.receive()).HasField('end'):
            pass
        equal((frame.end.id, frame.end.status), (25, 0))
        session.expect_no_more()


main(globals())
