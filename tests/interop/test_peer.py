#!/usr/bin/env python3
"""The other way round: the greeter's client in C against a server in Python, which answers
as it should, as it may, and as it must not."""

import contextlib
import socket

from interop import (GREETER_CLIENT, HELLO, PATIENCE, Peer, Process, check, contains, equal,
                     greeter, main, pack, wire)


@contextlib.contextmanager
def caller():
    """The program, run as it is, and its connection to us."""
    with socket.create_server(('127.0.0.1', 0)) as listener:
        listener.settimeout(PATIENCE)
        address = f'tcp:127.0.0.1:{listener.getsockname()[1]}'
        with Process(GREETER_CLIENT, 'Ada', address) as program:
            with Peer(listener.accept()[0]) as peer:
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


main(globals())
