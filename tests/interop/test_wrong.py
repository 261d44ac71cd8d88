#!/usr/bin/env python3
"""Peers that talk wrong. Each is told why, in a frame, before its connection ends; and the
next client is served as if nothing had been."""

import random
import signal
import socket

from interop import (HELLO, MIRROR, OPEN, Peer, contains, equal, greeter, main, pack, serve,
                     wire)

HELLO_ID = 0x02277bfd
ADA = greeter.HelloRequest(name='Ada').SerializeToString()


def call(number, **more):
    return pack(call={'id': number, 'method': HELLO_ID, **more}, payload=ADA)


def framed(data):
    return len(data).to_bytes(4, 'big') + data


PROTOCOL_ERROR, TOO_LARGE = wire.REASON_PROTOCOL_ERROR, wire.REASON_TOO_LARGE

# What may not come first: a claim, the bytes, the reason in `rejected`, words of its text.
REJECTED = [
    ('version_7', pack(open={'version': 7}), wire.REASON_VERSION, ['version 7', 'version 1']),
    ('no_version_at_all', pack(open={}), wire.REASON_VERSION, ['version 0']),
    ('a_ping_before_open', pack(ping={'number': 1}), PROTOCOL_ERROR, ['ping, not open']),
    ('a_call_before_open', call(1), PROTOCOL_ERROR, ['call, not open']),
    ('the_servers_own_frame', pack(opened={'version': 1}), PROTOCOL_ERROR, ['opened']),
    ('a_web_browser', b'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n', PROTOCOL_ERROR, ['HTTP']),
    ('an_ssh_client', b'SSH-2.0-OpenSSH_9.2\r\n', PROTOCOL_ERROR, ['SSH']),
    ('a_tls_client', bytes.fromhex('1603010200010001fc0303') + bytes(32), PROTOCOL_ERROR,
     ['TLS']),
    ('a_length_beyond_every_limit', b'\xff\xff\xff\xff', PROTOCOL_ERROR, ['length']),
    ('a_first_frame_that_is_too_long', (4097).to_bytes(4, 'big'), TOO_LARGE, ['4097', '4096']),
    ('an_empty_frame', framed(b''), PROTOCOL_ERROR, ['kind']),
    ('a_frame_of_no_kind', pack(payload=b'x'), PROTOCOL_ERROR, ['kind']),
    ('random_bytes_in_a_frame', framed(random.Random(1).randbytes(64)), PROTOCOL_ERROR,
     ['not a frame']),
    ('an_open_that_is_cut_short', framed(b'\x0a\x0a\x08\x01'), PROTOCOL_ERROR,
     ['longer than its frame']),
    ('an_open_whose_fields_are_cut', framed(b'\x0a\x03\x08\x01\x12'), PROTOCOL_ERROR, ['open']),
]

# What may not come later; the reason is in `close`.
CLOSED = [
    ('a_second_open', OPEN, PROTOCOL_ERROR, ['open already']),
    ('the_servers_answer', pack(rejected={'text': 'no'}), PROTOCOL_ERROR, ['only answers']),
    ('an_even_call', call(2), PROTOCOL_ERROR, ["other end's"]),
    ('a_call_twice', call(1) + call(1), PROTOCOL_ERROR, ['not above']),
    ('a_call_that_goes_back', call(5) + call(3), PROTOCOL_ERROR, ['not above']),
    ('a_cancel_of_no_call', pack(cancel={}), PROTOCOL_ERROR, ['names no call']),
    ('two_kinds_at_once', framed(b'\x22\x00\x2a\x00'), PROTOCOL_ERROR, ['two kinds']),
    ('a_payload_longer_than_its_frame', framed(b'\x22\x00\x7a\x7f'), PROTOCOL_ERROR,
     ['payload']),
    ('a_group', framed(b'\x22\x00\x83\x01'), PROTOCOL_ERROR, ['field']),
    ('field_number_0', framed(b'\x22\x00\x00\x00'), PROTOCOL_ERROR, ['tag']),
    ('an_unknown_kind', framed(b'\xa2\x06\x00'), PROTOCOL_ERROR, ['not marked ignorable']),
    ('a_header_of_a_quarter_mebibyte', call(1, metadata=[{'key': 'k', 'value': bytes(1 << 18)}]),
     TOO_LARGE, ['limit is']),
    ('a_web_browser_afterwards', b'POST / HTTP/1.1\r\n', PROTOCOL_ERROR, ['HTTP']),
]

# What must not disturb anybody.
TAKEN = [
    ('an_unknown_ignorable_kind', framed(b'\xa2\x06\x00\x70\x01')),
    ('an_unknown_field_of_a_frame', framed(b'\x22\x02\x08\x07\xa8\x06\x01')),
    ('an_unknown_field_of_a_kind', framed(b'\x22\x05\x08\x07\x98\x06\x01')),
    ('an_ack', framed(b'\x68\x05\x22\x00')),
    ('the_end_of_a_call_that_nobody_made', pack(end={'id': 2})),
    ('a_cancel_of_a_call_that_is_over', pack(cancel={'id': 99})),
    ('a_message_of_a_stream_that_is_not_there', pack(message={'id': 99}, payload=b'x')),
]


def expect_hello(peer, number=1):
    """The connection works: a call is answered. Pongs may come before."""
    peer.send(call(number))
    while True:
        frame = peer.receive()
        if frame.WhichOneof('kind') != 'pong':
            break
    equal((frame.WhichOneof('kind'), frame.end.id, frame.end.status), ('end', number, 0))


def expect_open(peer):
    peer.send(OPEN)
    equal(peer.expect('opened').version, 1)


def next_client_is_served():
    with Peer.to(SERVER.address) as peer:
        expect_open(peer)
        expect_hello(peer)


def expect_farewell(peer, kind, reason, words):
    while (frame := peer.receive()) and frame.WhichOneof('kind') == 'end':
        pass  # of the calls that were right
    equal(frame and frame.WhichOneof('kind'), kind)
    why = getattr(frame, kind)
    equal(wire.Reason.Name(why.reason), wire.Reason.Name(reason))
    contains(why.text, *words)
    if kind == 'rejected':
        equal((why.min_version, why.max_version), (1, 1))
    peer.expect_end_of_stream()


def rejected(data, reason, words):
    with Peer.to(SERVER.address) as peer:
        peer.send(data)
        expect_farewell(peer, 'rejected', reason, words)
    next_client_is_served()


def closed(data, reason, words):
    with Peer.to(SERVER.address) as peer:
        expect_open(peer)
        peer.send(data)
        expect_farewell(peer, 'close', reason, words)
    next_client_is_served()


def taken(data):
    with Peer.to(SERVER.address) as peer:
        expect_open(peer)
        peer.send(data)
        expect_hello(peer)


def later(function, *arguments):
    return lambda: function(*arguments)


TESTS = {f'test_{claim}_is_rejected': later(rejected, *rest) for claim, *rest in REJECTED}
TESTS |= {f'test_{claim}_closes_the_connection': later(closed, *rest) for claim, *rest in CLOSED}
TESTS |= {f'test_{claim}_is_skipped': later(taken, *rest) for claim, *rest in TAKEN}


def a_request_above_the_limit_fails_alone(length):
    with Peer.to(SERVER.address) as peer:
        expect_open(peer)
        peer.send(pack(call={'id': 1, 'method': HELLO_ID}, payload=bytes(length)))
        end = peer.expect('end')
        equal((end.id, end.status, end.outcome), (1, 8, wire.OUTCOME_NOT_EXECUTED))
        contains(end.text, str(length), str(100 * 1024))
        expect_hello(peer, 3)


def metadata_do_not_hide_whose_request_is_above_the_limit():
    metadata = [{'key': 'k', 'value': bytes(8000)}]
    with Peer.to(SERVER.address) as peer:
        expect_open(peer)
        peer.send(pack(call={'id': 1, 'method': HELLO_ID, 'metadata': metadata},
                       payload=bytes(1 << 20)))
        end = peer.expect('end')
        equal((end.id, end.status, end.outcome), (1, 8, wire.OUTCOME_NOT_EXECUTED))
        expect_hello(peer, 3)


def wrong_types_are_told_with_both_views():
    with Peer.to(SERVER.address) as peer:
        expect_open(peer)
        peer.send(call(1, announce={'name': HELLO, 'request': 'demo.Salute',
                                    'reply': 'demo.HelloReply'}))
        end = peer.expect('end')
        equal((end.status, end.outcome), (9, wire.OUTCOME_NOT_EXECUTED))
        contains(end.text, 'demo.Salute', 'demo.HelloRequest')
        # Not executed either: calls that were on their way before the caller knew.
        for number, more in ((3, {}), (5, {'metadata': [{'key': 'k'}]})):
            peer.send(call(number, **more))
            end = peer.expect('end')
            equal((end.id, end.status, end.outcome), (number, 9, wire.OUTCOME_NOT_EXECUTED))
        peer.send(call(7, announce={'name': HELLO}))
        equal(peer.expect('end').status, 0)
        expect_hello(peer, 9)


def a_wrong_name_is_told_with_both_views():
    with Peer.to(SERVER.address) as peer:
        expect_open(peer)
        peer.send(call(1, announce={'name': 'shop.Till/Pay'}))
        end = peer.expect('end')
        equal((end.status, end.outcome), (12, wire.OUTCOME_NOT_EXECUTED))
        contains(end.text, 'shop.Till/Pay', HELLO, '0x02277bfd')


def an_id_that_the_server_gave_another_name_is_told_with_both_views():
    with Peer.to(SERVER.address) as peer:
        expect_open(peer)
        peer.send(pack(call={'id': 1, 'method': 77, 'announce': {'name': HELLO, 'id': 77}}))
        end = peer.expect('end')
        equal((end.status, end.outcome), (12, wire.OUTCOME_NOT_EXECUTED))
        contains(end.text, HELLO, '0x0000004d', '0x02277bfd')


def garbage_for_a_request_fails_alone():
    with Peer.to(SERVER.address) as peer:
        expect_open(peer)
        peer.send(pack(call={'id': 1, 'method': HELLO_ID}, payload=b'\x0a\x7fAda'))
        end = peer.expect('end')
        equal((end.status, end.outcome), (3, wire.OUTCOME_NOT_EXECUTED))
        contains(end.text, 'demo.HelloRequest', '5 bytes')
        expect_hello(peer, 3)


def metadata_that_may_not_be_fail_alone():
    with Peer.to(SERVER.address) as peer:
        expect_open(peer)
        for number, metadata in ((1, [{'key': 'k'}] * 65),
                                 (3, [{'key': 'k', 'value': bytes(8192)}])):
            peer.send(call(number, metadata=metadata))
            end = peer.expect('end')
            equal((end.id, end.status, end.outcome), (number, 8, wire.OUTCOME_NOT_EXECUTED))
            contains(end.text, '64 pairs', '8192 bytes')
        peer.send(call(5, metadata=[{'key': 'two words'}]))
        end = peer.expect('end')
        equal((end.id, end.status, end.outcome), (5, 3, wire.OUTCOME_NOT_EXECUTED))
        expect_hello(peer, 7)


def one_connection_too_many_is_told_so():
    with serve(MIRROR, 'tcp:127.0.0.1:0') as server:
        peers = [Peer.to(server.address) for _ in range(8)]
        for peer in peers:
            expect_open(peer)
        with Peer.to(server.address) as peer:
            expect_farewell(peer, 'rejected', wire.REASON_TOO_MANY_CONNECTIONS,
                            ['8 connections'])
        for peer in peers:
            expect_hello(peer)
            peer.send(pack(close={'reason': wire.REASON_DONE}))
            peer.expect_end_of_stream()
            peer.__exit__()
        with Peer.to(server.address) as peer:
            expect_open(peer)
        server.signal(signal.SIGTERM)
        equal(server.finish()[0], 0)


def half_a_frame_and_then_nothing_is_no_harm():
    for cut in range(1, len(OPEN)):
        with Peer.to(SERVER.address) as peer:
            peer.send(OPEN[:cut])
            peer.socket.shutdown(socket.SHUT_WR)
            peer.expect_end_of_stream()
    next_client_is_served()


def frames_may_come_byte_by_byte():
    with Peer.to(SERVER.address) as peer:
        for byte in OPEN + call(1):
            peer.send(bytes([byte]))
        peer.expect('opened')
        equal(peer.expect('end').status, 0)


def the_server_has_survived_it_all():
    SERVER.signal(signal.SIGTERM)
    equal(SERVER.finish()[0], 0)


TESTS |= {f'test_a_request_of_{length}_bytes_fails_alone':
          later(a_request_above_the_limit_fails_alone, length)
          for length in (100 * 1024 + 1, 1 << 20, 20 << 20)}
for test in (metadata_do_not_hide_whose_request_is_above_the_limit,
             wrong_types_are_told_with_both_views, a_wrong_name_is_told_with_both_views,
             an_id_that_the_server_gave_another_name_is_told_with_both_views,
             garbage_for_a_request_fails_alone, metadata_that_may_not_be_fail_alone,
             one_connection_too_many_is_told_so, half_a_frame_and_then_nothing_is_no_harm,
             frames_may_come_byte_by_byte, the_server_has_survived_it_all):
    TESTS['test_' + test.__name__] = test

with serve(MIRROR, 'tcp:127.0.0.1:0') as SERVER:
    main(TESTS)
