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


def named(number, method, payload=b'', **more):
    return pack(call={'id': number, 'announce': {'name': 'demo.Greeter/' + method}, **more},
                payload=payload)


def message(payload=b'', number=1, **more):
    return pack(message={'id': number, **more}, payload=payload)


def framed(data):
    return len(data).to_bytes(4, 'big') + data


PROTOCOL_ERROR, TOO_LARGE = wire.REASON_PROTOCOL_ERROR, wire.REASON_TOO_LARGE

# Calls that last: one with its request, one that waits for it, and two streams.
SLOW = pack(call={'id': 1, 'method': HELLO_ID},
            payload=greeter.HelloRequest(name='slow').SerializeToString())
BEGUN = pack(call={'id': 1, 'method': HELLO_ID, 'size': 5})
UPLOAD, CHAT = named(1, 'Upload'), named(1, 'Chat')
# Its echo uses the window up, so that the mirror takes no more.
LONG_CHAT = message(greeter.ChatMessage(text='x' * 70000).SerializeToString())

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
    ('a_message_of_no_call', message(number=0), PROTOCOL_ERROR, ['names no call']),
    ('a_request_behind_a_call_that_has_it', SLOW + message(b'x'), PROTOCOL_ERROR,
     ['call 1', HELLO, 'no stream of requests']),
    ('more_of_a_request_than_its_size', BEGUN + message(b'\x0a\x03Ada!'), PROTOCOL_ERROR,
     ['more bytes than its message']),
    ('more_of_a_request_than_is_missing', BEGUN + message(b'\x0a\x03') + message(b'Ada!'),
     PROTOCOL_ERROR, ['more bytes than its message']),
    ('more_than_its_own_size', UPLOAD + message(b'xxxxx', size=3), PROTOCOL_ERROR,
     ['more bytes than its message']),
    ('a_message_within_another', UPLOAD + message(b'x', size=9) + message(b'x', size=9),
     PROTOCOL_ERROR, ['within another']),
    ('a_message_within_a_request', BEGUN + message(b'xxxxx', size=5), PROTOCOL_ERROR,
     ['within another']),
    ('the_last_of_what_is_no_stream', SLOW + message(last=True), PROTOCOL_ERROR,
     ['no stream of requests']),
    ('the_last_of_a_request', BEGUN + message(last=True), PROTOCOL_ERROR,
     ['no stream of requests']),
    ('the_last_in_the_middle', UPLOAD + message(b'x', size=9) + message(last=True),
     PROTOCOL_ERROR, ['in the middle']),
    ('the_last_with_a_payload', UPLOAD + message(b'x', last=True), PROTOCOL_ERROR,
     ['in the middle']),
    ('a_message_behind_the_last', CHAT + LONG_CHAT + message(last=True) + message(),
     PROTOCOL_ERROR, ['has ended its messages before']),
    ('more_than_the_window', CHAT + 5 * LONG_CHAT, PROTOCOL_ERROR, ['has used up its window']),
    ('a_window_beyond_all_reason', CHAT + pack(window={'id': 1, 'bytes': 1 << 40}),
     PROTOCOL_ERROR, ['window: call 1']),
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
    """The connection works: a call is answered. Pongs may come before, and pings."""
    peer.send(call(number))
    while True:
        frame = peer.receive()
        if frame.WhichOneof('kind') not in ('pong', 'ping'):
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
    why = peer.expect(kind, 'end', 'message', 'ping')  # of what was right
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


def fails_alone(data, status, outcome, *words):
    with Peer.to(SERVER.address) as peer:
        expect_open(peer)
        peer.send(data)
        end = peer.expect('end', 'ping')
        equal((end.id, end.status, wire.Outcome.Name(end.outcome)), (1, status, outcome))
        contains(end.text, *words)
        # What was still on its way belongs to nobody.
        peer.send(message(b'x') + message(last=True) + pack(window={'id': 1, 'bytes': 5}))
        expect_hello(peer, 3)


NOT_EXECUTED, EXECUTED = 'OUTCOME_NOT_EXECUTED', 'OUTCOME_EXECUTED'
CHUNK = message(greeter.Chunk(data=b'x').SerializeToString())

# What ends its call and disturbs no other: a claim, the bytes, status, outcome, words.
FAILS = [
    ('a_size_above_the_limit', pack(call={'id': 1, 'method': HELLO_ID, 'size': 102401}), 8,
     NOT_EXECUTED, ['102401', '102400']),
    ('a_size_beyond_all_reason', pack(call={'id': 1, 'method': HELLO_ID, 'size': 2 ** 64 - 1}),
     8, NOT_EXECUTED, [str(2 ** 64 - 1), '102400']),
    ('a_size_and_a_payload', call(1, size=5), 3, NOT_EXECUTED, ['in pieces']),
    ('a_payload_of_a_stream_of_requests', named(1, 'Upload', b'x'), 3, NOT_EXECUTED,
     ['Upload', 'stream']),
    ('a_size_of_a_stream_of_requests', named(1, 'Upload', size=5), 3, NOT_EXECUTED,
     ['Upload', 'stream']),
    ('a_request_in_pieces_that_is_garbage', BEGUN + message(b'\x0a\x7fAda'), 3, NOT_EXECUTED,
     ['5 bytes', 'demo.HelloRequest']),
    ('a_request_that_does_not_come_in_time',
     pack(call={'id': 1, 'method': HELLO_ID, 'size': 5, 'timeout_ms': 20}), 4, NOT_EXECUTED,
     ['before the request']),
    ('a_first_message_that_is_garbage', UPLOAD + message(b'\x0a\x7fAda'), 3, NOT_EXECUTED,
     ['5 bytes', 'demo.Chunk']),
    ('a_later_message_that_is_garbage', UPLOAD + CHUNK + message(b'\x0a\x7fAda'), 3, EXECUTED,
     ['5 bytes', 'demo.Chunk']),
    ('a_first_message_above_the_limit', UPLOAD + message(bytes(102401)), 8, NOT_EXECUTED,
     ['102401', '102400']),
    ('a_later_message_above_the_limit', UPLOAD + CHUNK + message(b'x', size=102401), 8, EXECUTED,
     ['102401', '102400']),
    ('a_message_above_every_limit', UPLOAD + message(bytes(1 << 20)), 8, NOT_EXECUTED,
     [str(1 << 20), '102400']),
]


def pieces_may_be_of_any_length():
    request = greeter.HelloRequest(name='x' * 90000).SerializeToString()
    for cuts in ([0, 0, 1, 1, 3], [], range(100), [70000]):
        cuts = [0, *cuts, len(request)]
        with Peer.to(SERVER.address) as peer:
            expect_open(peer)
            peer.send(pack(call={'id': 1, 'method': HELLO_ID, 'size': len(request)}))
            for begin, end in zip(cuts, cuts[1:]):
                peer.send(message(request[begin:end]))
            # The reply comes in pieces as well.
            end = peer.expect('end', 'message', 'window', 'ping')
            equal((end.id, end.status), (1, 0))


def a_size_may_be_that_of_the_whole():
    chunk = greeter.Chunk(data=b'xyz').SerializeToString()
    with Peer.to(SERVER.address) as peer:
        expect_open(peer)
        peer.send(UPLOAD + message(chunk, size=len(chunk)) + message() + message(last=True))
        frame = peer.receive()
        equal((frame.end.id, frame.end.status), (1, 0))
        equal(greeter.Summary.FromString(frame.payload).bytes, 3)


def a_window_of_a_call_without_streams_is_skipped():
    with Peer.to(SERVER.address) as peer:
        expect_open(peer)
        # Twice would be too much, if it counted.
        peer.send(SLOW + 2 * pack(window={'id': 1, 'bytes': 1 << 40}))
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
TESTS |= {f'test_{claim}_fails_alone': later(fails_alone, *rest, *words)
          for claim, *rest, words in FAILS}
for test in (pieces_may_be_of_any_length, a_size_may_be_that_of_the_whole,
             a_window_of_a_call_without_streams_is_skipped,
             metadata_do_not_hide_whose_request_is_above_the_limit,
             wrong_types_are_told_with_both_views, a_wrong_name_is_told_with_both_views,
             an_id_that_the_server_gave_another_name_is_told_with_both_views,
             garbage_for_a_request_fails_alone, metadata_that_may_not_be_fail_alone,
             one_connection_too_many_is_told_so, half_a_frame_and_then_nothing_is_no_harm,
             frames_may_come_byte_by_byte, the_server_has_survived_it_all):
    TESTS['test_' + test.__name__] = test

with serve(MIRROR, 'tcp:127.0.0.1:0') as SERVER:
    main(TESTS)
