#!/usr/bin/env python3
"""The other way round: the greeter's client in C against a server in Python, which answers
as it should, as it may, and as it must not."""

import contextlib
import itertools
import socket

from interop import (GREETER_CLIENT, HELLO, PATIENCE, Peer, Process, check, contains, equal,
                     greeter, main, pack, wire)


@contextlib.contextmanager
def visitor(name='Ada'):
    """The program, run as it is, and a function that takes its next connection to us."""
    with socket.create_server(('127.0.0.1', 0)) as listener:
        listener.settimeout(PATIENCE)
        address = f'tcp:127.0.0.1:{listener.getsockname()[1]}'
        with Process(GREETER_CLIENT, name, address) as program:
            yield program, lambda: Peer(listener.accept()[0])


@contextlib.contextmanager
def caller(name='Ada'):
    """The program, and the only connection that it needs."""
    with visitor(name) as (program, accept), accept() as peer:
        yield program, peer


def opened(peer, **fields):
    peer.expect('open')
    peer.send(pack(opened={'version': 1, **fields}))


def reply(peer, number, text='Hello from Python!'):
    peer.send(pack(end={'id': number},
                   payload=greeter.HelloReply(text=text).SerializeToString()))


def expect_output(program, text):
    equal(program.finish(), (0, text + '\n', ''))


def expect_error(program, *words):
    code, output, error = program.finish()
    equal((code, output), (1, ''))
    contains(error.splitlines()[-1], *words)


def test_it_opens_calls_and_closes():
    with caller() as (program, peer):
        hello = peer.expect('open')
        equal((hello.version, hello.name, hello.max_reply_bytes),
              (1, 'greeter-client', 4 << 20))
        contains(hello.software, 'hawser ')
        peer.send(pack(opened={'version': 1}))
        frame = peer.receive()
        call = frame.call
        equal((call.id, call.method, call.announce.id), (1, 0x02277bfd, 0x02277bfd))
        check(0 < call.timeout_ms <= 30000, f'{call.timeout_ms} ms to go')
        equal((call.announce.name, call.announce.request, call.announce.reply),
              (HELLO, 'demo.HelloRequest', 'demo.HelloReply'))
        equal(greeter.HelloRequest.FromString(frame.payload).name, 'Ada')
        reply(peer, 1)
        equal(peer.expect('close').reason, wire.REASON_DONE)
        peer.expect_end_of_stream()
        expect_output(program, 'Hello from Python!')


def test_it_answers_a_ping_at_once():
    with caller() as (program, peer):
        opened(peer)
        peer.expect('call')
        peer.send(pack(ping={'number': 2 ** 64 - 1}))
        equal(peer.expect('pong').number, 2 ** 64 - 1)
        reply(peer, 1)
        expect_output(program, 'Hello from Python!')


def test_it_refuses_to_be_called():
    with caller() as (program, peer):
        opened(peer)
        peer.expect('call')
        peer.send(pack(call={'id': 2, 'method': 0x02277bfd}))
        end = peer.expect('end')
        equal((end.id, end.status, end.outcome), (2, 12, wire.OUTCOME_NOT_EXECUTED))
        reply(peer, 1)
        expect_output(program, 'Hello from Python!')


def test_it_tells_the_text_of_a_failure():
    with caller() as (program, peer):
        opened(peer)
        peer.expect('call')
        peer.send(pack(end={'id': 1, 'status': 5, 'outcome': 3, 'text': 'Ada who?'}))
        expect_error(program, 'Ada who?')


def test_it_sends_no_request_above_the_servers_limit():
    with caller() as (program, peer):
        opened(peer, max_request_bytes=4)
        peer.expect_end_of_stream()
        expect_error(program, HELLO, '5 bytes', 'limit is 4')


def test_a_close_below_the_calls_id_ends_the_call():
    with caller() as (program, peer):
        opened(peer)
        peer.expect('call')
        peer.send(pack(close={'reason': wire.REASON_IDLE, 'text': 'too quiet', 'last_call': 0}))
        expect_error(program, HELLO, 'too quiet')


def test_a_call_in_flight_may_end_while_the_server_drains():
    with caller() as (program, peer):
        opened(peer)
        peer.expect('call')
        peer.send(pack(close={'reason': wire.REASON_DRAINING, 'last_call': 1}))
        reply(peer, 1)
        expect_output(program, 'Hello from Python!')


def test_a_rejection_is_told_with_its_text():
    with caller() as (program, peer):
        peer.expect('open')
        peer.send(pack(rejected={'reason': wire.REASON_TOO_MANY_CONNECTIONS,
                                 'text': 'the house is full'}))
        expect_error(program, 'refused', 'the house is full')


def test_another_version_is_told():
    with caller() as (program, peer):
        peer.expect('open')
        peer.send(pack(opened={'version': 7}))
        expect_error(program, 'version 7', 'version 1')


def test_a_server_that_goes_away_is_told():
    with caller() as (program, peer):
        opened(peer)
        peer.expect('call')
        peer.socket.shutdown(socket.SHUT_RDWR)
        expect_error(program, HELLO, 'closed the connection')


def test_a_web_server_is_recognised():
    with caller() as (program, peer):
        peer.expect('open')
        peer.send(b'HTTP/1.1 400 Bad Request\r\n\r\n')
        contains(peer.expect('close').text, 'HTTP')
        # It knows enough: it does not wait for us, nor for its deadline.
        expect_error(program, 'greeter-client: ', 'HTTP')


def test_garbage_in_the_middle_of_a_call_ends_it_with_the_reason():
    with caller() as (program, peer):
        opened(peer)
        peer.expect('call')
        peer.send(pack())
        contains(peer.expect('close').text, 'kind')
        expect_error(program, 'greeter-client: ' + HELLO, 'kind')


def test_a_reply_that_is_none_is_told():
    with caller() as (program, peer):
        opened(peer)
        peer.expect('call')
        peer.send(pack(end={'id': 1}, payload=b'\x0a\x7fAda'))
        expect_error(program, HELLO, '5 bytes', 'demo.HelloReply')


# ---- sessions ----

SESSION = {'id': 4711, 'token': bytes(range(16)), 'window_ms': 20000}


def begun(peer):
    """The first connection of a session, up to the call."""
    session = peer.expect('open').session
    equal((session.id, session.token, session.received), (0, b'', 0))
    peer.send(pack(opened={'version': 1, 'session': SESSION}))
    equal(peer.expect('call').id, 1)


def resumed(peer, **fields):
    """The next one: it says what it has, and hears what we have."""
    session = peer.expect('open').session
    equal((session.id, session.token), (SESSION['id'], SESSION['token']))
    peer.send(pack(opened={'version': 1, 'session': SESSION | fields}))
    return session.received


def sent_again(peer):
    equal(resumed(peer, received=0), 0)
    equal(peer.expect('call').id, 1)


def test_it_asks_for_a_session_a_window_and_heartbeats():
    with caller() as (program, peer):
        wishes = peer.expect('open')
        check(wishes.HasField('session'), 'no session is asked for')
        equal((wishes.heartbeat_ms, wishes.silence_timeout_ms, wishes.stream_window_bytes),
              (15000, 45000, 256 << 10))
        peer.send(pack(opened={'version': 1}))
        peer.expect('call')
        reply(peer, 1)
        expect_output(program, 'Hello from Python!')


def test_a_call_that_was_lost_on_the_way_is_sent_again():
    with visitor() as (program, accept):
        with accept() as peer:
            begun(peer)
        for _ in range(2):
            with accept() as peer:
                sent_again(peer)
        with accept() as peer:
            sent_again(peer)
            reply(peer, 1)
            expect_output(program, 'Hello from Python!')


def test_a_call_that_has_come_is_not_sent_again():
    with visitor() as (program, accept):
        with accept() as peer:
            begun(peer)
        with accept() as peer:
            equal(resumed(peer, received=1), 0)
            reply(peer, 1)
            # Nothing but its farewell.
            equal(peer.expect('close').reason, wire.REASON_DONE)
            expect_output(program, 'Hello from Python!')


def test_it_says_how_much_has_come():
    with visitor() as (program, accept):
        with accept() as peer:
            begun(peer)
            # Nobody's, but frames about calls all the same.
            peer.send(pack(message={'id': 99}) + pack(cancel={'id': 2}) + pack(ping={'number': 1}))
            peer.expect('pong')
        with accept() as peer:
            equal(resumed(peer, received=1), 2)
            reply(peer, 1)
            expect_output(program, 'Hello from Python!')


def test_half_a_reply_is_none():
    text = pack(end={'id': 1}, payload=greeter.HelloReply(text='Once.').SerializeToString())
    with visitor() as (program, accept):
        with accept() as peer:
            begun(peer)
            peer.send(text[:-1])
        with accept() as peer:
            equal(resumed(peer, received=1), 0)
            peer.send(text)
            expect_output(program, 'Once.')


def test_silence_ends_its_connection_and_not_its_session():
    with visitor() as (program, accept):
        with accept() as peer:
            begun(peer)
            # Its last_call, 0, would say of another close that the call is not executed.
            peer.send(pack(close={'reason': wire.REASON_SILENT}))
            peer.expect_end_of_stream()
        with accept() as peer:
            sent_again(peer)
            reply(peer, 1)
            expect_output(program, 'Hello from Python!')


def test_an_expired_session_is_told_with_its_text():
    with visitor() as (program, accept):
        with accept() as peer:
            begun(peer)
        with accept() as peer:
            equal(peer.expect('open').session.id, SESSION['id'])
            peer.send(pack(rejected={'reason': wire.REASON_SESSION_EXPIRED,
                                     'text': 'session expired: never heard of it'}))
            expect_error(program, HELLO, 'the session was lost', 'never heard of it')


def test_a_server_that_begins_another_session_has_lost_the_first():
    with visitor() as (program, accept):
        with accept() as peer:
            begun(peer)
        with accept() as peer:
            peer.expect('open')
            peer.send(pack(opened={'version': 1, 'session': SESSION | {'id': 4712}}))
            expect_error(program, HELLO, 'the session was lost', 'another one')


def test_a_server_that_has_more_than_was_sent_is_told():
    with visitor() as (program, accept):
        with accept() as peer:
            begun(peer)
        with accept() as peer:
            resumed(peer, received=2)
            contains(peer.expect('close').text, 'the ends disagree', '2 frames')
            expect_error(program, HELLO, 'the ends disagree')


def test_it_waits_while_a_server_that_knows_it_has_no_room():
    with visitor() as (program, accept):
        with accept() as peer:
            begun(peer)
        with accept() as peer:
            peer.expect('open')
            peer.send(pack(rejected={'reason': wire.REASON_TOO_MANY_CONNECTIONS}))
        with accept() as peer:
            equal(resumed(peer, received=1), 0)
            reply(peer, 1)
            expect_output(program, 'Hello from Python!')


# ---- pieces ----

COST = 16  # what a message frame takes from a window, besides its payload
LONG_NAME = 'Ada' * 43670  # two of Hawser's pieces, and few bytes; an argument has 128 KiB at most
LONG_REQUEST = greeter.HelloRequest(name=LONG_NAME).SerializeToString()


def message(payload=b'', **fields):
    return pack(message={'id': 1, **fields}, payload=payload)


def window(size):
    return pack(window={'id': 1, 'bytes': size})


def request_announced(peer):
    """A call whose request is too long for one frame."""
    frame = peer.receive()
    equal((frame.call.id, frame.call.size, frame.payload), (1, len(LONG_REQUEST), b''))


def piece(peer):
    frame = peer.receive()
    equal((frame.WhichOneof('kind'), frame.message.id, frame.message.size, frame.message.last),
          ('message', 1, 0, False))
    return frame.payload


def expect_whole(request):
    check(request == LONG_REQUEST, f'{len(request)} bytes that are not the request')


def expect_nothing(peer):
    peer.send(pack(ping={'number': 7}))
    equal(peer.expect('pong').number, 7)


def test_a_long_request_comes_in_pieces_as_its_window_lets_it():
    with caller(LONG_NAME) as (program, peer):
        opened(peer, stream_window_bytes=1)
        request_announced(peer)
        request, left = b'', 1
        while len(request) < len(LONG_REQUEST):
            request += (came := piece(peer))
            left -= len(came) + COST
            if len(request) < len(LONG_REQUEST):
                check(len(came) <= 64 << 10, f'a piece of {len(came)} bytes')
                expect_nothing(peer)
                peer.send(window(-left))
                expect_nothing(peer)
                peer.send(window(1))
                left = 1
        expect_whole(request)
        reply(peer, 1)
        expect_output(program, 'Hello from Python!')


def test_a_window_that_nobody_names_is_64_kib():
    with caller(LONG_NAME) as (program, peer):
        opened(peer)
        request_announced(peer)
        # The first piece leaves little of it, which is enough for the second.
        request = piece(peer)
        check(len(request) + COST < 64 << 10, f'a piece of {len(request)} bytes')
        request += piece(peer)
        expect_nothing(peer)
        peer.send(window(len(request)))
        expect_whole(request + piece(peer))
        reply(peer, 1)
        expect_output(program, 'Hello from Python!')


def test_a_call_that_ends_early_takes_its_request_back():
    with caller(LONG_NAME) as (program, peer):
        opened(peer, stream_window_bytes=1)
        request_announced(peer)
        piece(peer)
        peer.send(pack(end={'id': 1, 'status': 7, 'outcome': 2, 'text': 'not you'}) +
                  window(1 << 20))
        expect_error(program, 'not you')
        peer.expect_end_of_stream()


def test_a_request_goes_on_where_it_was_cut():
    with visitor(LONG_NAME) as (program, accept):
        with accept() as peer:
            peer.expect('open')
            peer.send(pack(opened={'version': 1, 'session': SESSION, 'stream_window_bytes': 1}))
            request_announced(peer)
            request = piece(peer)
        with accept() as peer:
            equal(resumed(peer, received=2), 0)
            peer.send(window(1 << 20))
            expect_whole(request + piece(peer) + piece(peer))
            reply(peer, 1)
            expect_output(program, 'Hello from Python!')


def send_in_pieces(peer, packed, lengths):
    """As the program's window lets it; heartbeats and measurements are answered."""
    left, size = 256 << 10, len(packed)
    while packed:
        while left <= 0:
            frame = peer.receive()
            equal(frame.WhichOneof('kind') in ('window', 'ping'), True)
            if frame.HasField('ping'):
                peer.send(pack(pong={'number': frame.ping.number}))
            left += frame.window.bytes
        length = next(lengths)
        peer.send(message(packed[:length], size=size))
        left -= min(length, len(packed)) + COST
        packed, size = packed[length:], 0


def test_a_reply_of_a_mebibyte_comes_in_pieces_as_the_window_lets_it():
    for length in (1 << 10, 64 << 10, (1 << 20) - 1):
        text = f'{length} at a time, ' + 'x' * (1 << 20)
        with caller() as (program, peer):
            opened(peer)
            peer.expect('call')
            send_in_pieces(peer, greeter.HelloReply(text=text).SerializeToString(),
                           itertools.repeat(length))
            peer.send(pack(end={'id': 1}))
            expect_output(program, text)


def test_pieces_of_a_reply_may_be_of_any_length():
    packed = greeter.HelloReply(text='x' * 1000).SerializeToString()
    with caller() as (program, peer):
        opened(peer)
        peer.expect('call')
        send_in_pieces(peer, packed, iter([0, 1, 0, 2, 900, 500]))
        peer.send(message() if not packed else b'')
        peer.send(pack(end={'id': 1}))
        expect_output(program, 'x' * 1000)


def test_a_reply_may_come_whole_in_a_message():
    packed = greeter.HelloReply(text='Whole.').SerializeToString()
    for size in (0, len(packed)):
        with caller() as (program, peer):
            opened(peer)
            peer.expect('call')
            peer.send(message(packed, size=size) + pack(end={'id': 1}))
            expect_output(program, 'Whole.')


def test_a_failure_may_come_in_the_middle_of_a_reply():
    with caller() as (program, peer):
        opened(peer)
        peer.expect('call')
        peer.send(message(b'x', size=9) +
                  pack(end={'id': 1, 'status': 4, 'outcome': 3, 'text': 'too late'}))
        expect_error(program, 'too late')


def test_a_reply_that_ends_in_the_middle_is_told():
    with caller() as (program, peer):
        opened(peer)
        peer.expect('call')
        peer.send(message(b'x', size=9) + pack(end={'id': 1}))
        expect_error(program, 'in the middle of a message')


def test_pieces_that_are_no_reply_are_told():
    with caller() as (program, peer):
        opened(peer)
        peer.expect('call')
        peer.send(message(b'\x0a\x7f', size=5) + message(b'Ada') + pack(end={'id': 1}))
        expect_error(program, HELLO, '5 bytes', 'demo.HelloReply')


def test_a_reply_above_the_limit_is_cancelled_at_its_first_piece():
    with caller() as (program, peer):
        equal(peer.expect('open').max_reply_bytes, 4 << 20)
        peer.send(pack(opened={'version': 1}))
        peer.expect('call')
        peer.send(message(b'x', size=(4 << 20) + 1))
        equal(peer.expect('cancel').id, 1)
        expect_error(program, HELLO, f'{(4 << 20) + 1} bytes', f'limit is {4 << 20}')


def wrong(*words, said):
    with caller() as (program, peer):
        opened(peer)
        peer.expect('call')
        peer.send(said)
        contains(peer.expect('close', 'window', 'ping').text, HELLO, *words)
        expect_error(program, HELLO, *words)


def test_a_second_reply_closes_the_connection():
    wrong('one message, not more', said=2 * message(b'x'))


def test_a_reply_within_another_closes_the_connection():
    wrong('within another', said=2 * message(b'x', size=9))


def test_more_of_a_reply_than_its_size_closes_the_connection():
    wrong('more bytes than its message', said=message(b'xx', size=1))
    wrong('more bytes than its message', said=message(b'x', size=2) + message(b'xx'))


def test_a_last_from_a_server_closes_the_connection():
    wrong('no stream of requests', said=message(last=True))


main(globals())
