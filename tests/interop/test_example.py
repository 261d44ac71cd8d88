#!/usr/bin/env python3
"""The client that was made from wire.proto alone, against servers in C: the program as it
stands, and of its calls what the program does not show."""

from interop import (GENERATED, GREETER_SERVER, HELLO, MIRROR, PATIENCE, ROOT, Peer, check,
                     contains, equal, greeter, main, pack, run, serve, temporary_directory, wire)

import os
import signal
import sys

sys.path.insert(0, str(ROOT / 'tests/interop'))
import client  # pylint: disable=wrong-import-position

CLIENT = str(ROOT / 'tests/interop/client.py')
ADA = greeter.HelloRequest(name='Ada')

CONVERSATION = '''\
opened by greeter-server (hawser 0.1.0)
ping 42, pong 42
0x02277bfd: Hello, Ada!
demo.Greeter/Hello: Hello, Ada!
status 12, OUTCOME_NOT_EXECUTED: demo.Greeter/Helo: no such method; demo.Greeter has Hello, \
Count, Upload, Chat
closed
'''


def run_the_program(address):
    with serve(GREETER_SERVER, address) as server:
        result = run(sys.executable, CLIENT, server.address, PYTHONPATH=GENERATED.name,
                     PYTHONDONTWRITEBYTECODE='1')
        equal((result.returncode, result.stdout, result.stderr), (0, CONVERSATION, ''))
        server.signal(signal.SIGTERM)
        equal(server.finish()[0], 0)


def test_the_program_talks_over_unix():
    with temporary_directory() as folder:
        address = os.path.join(folder, 'socket')
        run_the_program('unix:' + address)
        check(not os.path.exists(address), 'the server left its socket behind')


def test_the_program_talks_over_tcp():
    run_the_program('tcp:127.0.0.1:0')


class Mirror:
    """A connection to the mirror, which is there as long as the connection."""

    def __init__(self, *arguments, handlers=None):
        self.arguments, self.handlers = arguments, handlers

    def __enter__(self):
        self.server = serve(MIRROR, 'tcp:127.0.0.1:0', *self.arguments)
        self.connection = client.Connection(self.server.address, handlers=self.handlers)
        self.connection.socket.settimeout(PATIENCE)
        return self

    def __exit__(self, kind, *error):
        with self.server:
            if kind is None:
                self.connection.close()
                self.server.signal(signal.SIGTERM)
                equal(self.server.finish()[0], 0)

    def call(self, request, **options):
        return self.connection.call(HELLO, request, greeter.HelloReply, **options)

    def fail(self, request, **options):
        try:
            reply, _ = self.call(request, **options)
        except client.CallFailed as failure:
            return failure.end
        raise AssertionError(f'a reply came: {reply}')

    def hello(self, name):
        return self.call(greeter.HelloRequest(name=name))[0].text

    def upload(self, chunks):
        requests = (greeter.Chunk(data=chunk) for chunk in chunks)
        return self.connection.requests('demo.Greeter/Upload', requests, greeter.Chunk,
                                        greeter.Summary)[0].bytes

    def chat(self):
        return self.connection.start('demo.Greeter/Chat', greeter.ChatMessage,
                                     greeter.ChatMessage)


def test_opened_tells_the_servers_limits():
    with Mirror() as mirror:
        server = mirror.connection.server
        equal((server.version, server.name), (1, 'mirror'))
        equal(server.max_request_bytes, 100 * 1024)
        equal(server.max_calls, 1024)
        equal((server.heartbeat_ms, server.silence_timeout_ms), (15000, 45000))


def test_metadata_goes_both_ways_in_order_and_may_be_any_bytes():
    pairs = [('trace-id', b'abc'), ('Raw.bytes', bytes(range(256))), ('empty', b'')]
    with Mirror() as mirror:
        reply, metadata = mirror.call(ADA, metadata=pairs)
        equal(reply.text, 'Hello, Ada!')
        equal(list(metadata.items())[1:], pairs)


def test_the_handler_sees_the_time_that_is_left():
    with Mirror() as mirror:
        _, metadata = mirror.call(ADA, timeout_ms=20000)
        left = int(metadata['time-left-ms'])
        check(10000 < left <= 20000, f'{left} ms of 20000')
        _, metadata = mirror.call(ADA, timeout_ms=0)
        equal(int(metadata['time-left-ms']), 2 ** 63 - 1)


def test_a_failure_carries_a_typed_message_and_metadata():
    with Mirror() as mirror:
        end = mirror.fail(greeter.HelloRequest(), metadata=[('trace-id', b'abc')])
        equal((end.status, end.outcome, end.text), (3, wire.OUTCOME_EXECUTED, 'a name is needed'))
        equal([detail.type for detail in end.details], ['demo.HelloRequest'])
        equal(greeter.HelloRequest.FromString(end.details[0].value).name, 'Ada')
        equal(end.metadata[1].value, b'abc')


def test_a_call_ends_at_its_deadline():
    with Mirror() as mirror:
        end = mirror.fail(greeter.HelloRequest(name='slow'), timeout_ms=30)
        equal((end.status, end.outcome), (4, wire.OUTCOME_EXECUTED))
        mirror.server.line('^cancelled$')
        mirror.call(ADA)


def test_a_cancelled_call_is_answered_by_nothing():
    with Mirror() as mirror:
        connection = mirror.connection
        connection.send(call={'id': connection.next_call, 'method': client.method_id(HELLO)},
                        payload=greeter.HelloRequest(name='slow').SerializeToString())
        connection.send(cancel={'id': connection.next_call})
        connection.next_call += 2
        mirror.server.line('^cancelled$')
        # The next end to come is that of the next call.
        connection.send(call={'id': connection.next_call, 'method': client.method_id(HELLO)},
                        payload=ADA.SerializeToString())
        equal(connection.receive('end').end.id, connection.next_call)


def test_a_method_may_be_named_once_and_then_be_called_by_its_id():
    with Mirror() as mirror:
        mirror.call(ADA)
        connection = mirror.connection
        connection.send(call={'id': connection.next_call, 'method': client.method_id(HELLO)},
                        payload=ADA.SerializeToString())
        frame = connection.receive('end')
        equal(greeter.HelloReply.FromString(frame.payload).text, 'Hello, Ada!')


def test_a_stream_of_replies_comes_in_order_and_whole():
    with Mirror() as mirror:
        # Four windows full.
        replies = mirror.connection.replies('demo.Greeter/Count', greeter.CountRequest(upto=15000),
                                            greeter.CountReply)
        equal([reply.n for reply in replies], list(range(1, 15001)))
        mirror.call(ADA)


def test_a_stream_that_fails_says_why():
    with Mirror() as mirror:
        replies = mirror.connection.replies('demo.Greeter/Count', greeter.CountRequest(upto=1),
                                            greeter.Chunk)
        try:
            next(replies)
        except client.CallFailed as failure:
            equal((failure.end.status, failure.end.outcome), (9, wire.OUTCOME_NOT_EXECUTED))
            contains(failure.end.text, 'demo.Chunk', 'demo.CountReply')
        else:
            raise AssertionError('a reply came')


def test_a_stream_of_requests_is_taken_in_order_and_whole():
    with Mirror() as mirror:
        # Ten windows full, of all lengths.
        equal(mirror.upload(bytes(n) for n in range(2300)), sum(range(2300)))
        equal(mirror.upload([]), 0)
        mirror.call(ADA)


def test_a_chat_goes_both_ways_at_once():
    with Mirror() as mirror:
        chat = mirror.chat()
        for n in range(100):
            chat.send(greeter.ChatMessage(text=f'{n}'))
            equal(chat.receive().text, f'{n}')
        for n in range(100):
            chat.send(greeter.ChatMessage(text=f'{n}'))
        chat.send_last()
        equal([chat.receive().text for n in range(100)], [f'{n}' for n in range(100)])
        equal(chat.receive(), None)


def test_a_stream_of_requests_that_fails_says_why():
    with Mirror() as mirror:
        try:
            mirror.connection.requests('demo.Greeter/Upload', [ADA], greeter.HelloRequest,
                                       greeter.Summary)
        except client.CallFailed as failure:
            equal((failure.end.status, failure.end.outcome), (9, wire.OUTCOME_NOT_EXECUTED))
            contains(failure.end.text, 'demo.HelloRequest', 'demo.Chunk')
        else:
            raise AssertionError('a reply came')


# ---- large messages ----

MEBIBYTE = ('Ada, ' * (1 << 18))[:1 << 20]
LARGE = ('30000', str(4 << 20))  # what the mirror takes, and for how long it keeps a session


def test_a_mebibyte_goes_and_comes_in_pieces_as_the_windows_let_it():
    with Mirror(*LARGE) as mirror:
        for _ in range(3):
            equal(mirror.call(greeter.HelloRequest(name=MEBIBYTE))[0].text,
                  f'Hello, {MEBIBYTE}!')
        mirror.call(ADA)


def test_large_and_small_ones_of_a_stream_keep_their_order():
    with Mirror(*LARGE) as mirror:
        equal(mirror.upload([bytes(1 << 20), b'', bytes(5), bytes(1 << 20)]), (2 << 20) + 5)
        chat, texts = mirror.chat(), [MEBIBYTE, 'short', '', MEBIBYTE[::-1], 'and short again']
        for text in texts:
            chat.send(greeter.ChatMessage(text=text))
            equal(chat.receive().text, text)
        # A message goes through even while the server has one for us that we do not take yet.
        for text in texts[:2]:
            chat.send(greeter.ChatMessage(text=text))
        chat.send_last()
        equal([chat.receive().text, chat.receive().text, chat.receive()], [*texts[:2], None])


def test_a_large_request_that_is_refused_stops_on_its_way():
    with Mirror() as mirror:
        end = mirror.fail(greeter.HelloRequest(name=MEBIBYTE))
        equal((end.status, end.outcome), (8, wire.OUTCOME_NOT_EXECUTED))
        contains(end.text, f'{(1 << 20) + 4} bytes', f'limit is {100 * 1024}')
        mirror.call(ADA)


# ---- the server calls ----

def greet(request):
    if not request.name:
        raise client.CallFailed(wire.End(status=3, text='a name is needed'))
    return greeter.HelloReply(text=f'Good day, {request.name}!')


def count(request):
    for n in range(1, request.upto + 1):
        yield greeter.CountReply(n=n)


GREETS = {HELLO: (greeter.HelloRequest, greet),
          'demo.Greeter/Count': (greeter.CountRequest, count)}


def test_the_server_may_call_while_it_is_called():
    with Mirror(*LARGE, handlers=GREETS) as mirror:
        equal(mirror.hello('ask:Ada'), 'Good day, Ada!')
        equal(mirror.hello('Ada'), 'Hello, Ada!')
        equal(mirror.hello('ask:Grace'), 'Good day, Grace!')


def test_the_servers_requests_come_in_pieces_as_the_windows_let_it():
    with Mirror(*LARGE, handlers=GREETS) as mirror:
        for _ in range(3):
            equal(mirror.hello(f'ask:{MEBIBYTE}'), f'Good day, {MEBIBYTE}!')


def test_the_server_takes_a_stream_of_replies():
    with Mirror(*LARGE, handlers=GREETS) as mirror:
        equal(mirror.hello('count:3'), '3 numbers, 6 in all')
        equal(mirror.hello('count:0'), '0 numbers, 0 in all')
        # Several windows full.
        equal(mirror.hello('count:50000'), f'50000 numbers, {50000 * 50001 // 2} in all')


def test_the_server_may_cancel_its_call():
    with Mirror(*LARGE, handlers=GREETS) as mirror:
        equal(mirror.hello('count:50000:3'), '3 numbers, 6 in all')
        equal(mirror.hello('ask:Ada'), 'Good day, Ada!')
        equal(mirror.connection.incoming, {})


def test_the_servers_call_may_fail():
    with Mirror(*LARGE, handlers=GREETS) as mirror:
        end = mirror.fail(greeter.HelloRequest(name='ask:'))
        equal((end.status, end.text), (3, 'executed: a name is needed'))


def test_the_server_does_not_call_what_is_not_offered():
    other = {'demo.Other/Hello': (greeter.HelloRequest, greet)}
    with Mirror(*LARGE, handlers=other) as mirror:
        end = mirror.fail(greeter.HelloRequest(name='ask:Ada'))
        equal((end.status, end.text),
              (12, 'not sent: demo.Greeter/Hello: the peer "client.py" does not offer demo.Greeter; '
                   'it offers demo.Other'))
        # What hello does not say, the answer does.
        mirror.connection.send(hello={'services': ['demo.Greeter']}, ignorable=True)
        end = mirror.fail(greeter.HelloRequest(name='ask:Ada'))
        equal((end.status, end.text), (12, 'not executed: there is no such method'))
        mirror.connection.send(hello={}, ignorable=True)
        end = mirror.fail(greeter.HelloRequest(name='ask:Ada'))
        equal((end.status, end.text),
              (12, 'not sent: demo.Greeter/Hello: the peer "client.py" offers no services'))


def test_who_says_no_hello_is_not_called():
    with Mirror(*LARGE) as mirror:
        equal(mirror.hello('ask:Ada'), 'Hello, ask:Ada!')


def test_the_server_says_what_it_offers():
    with Mirror() as mirror:
        equal(list(mirror.connection.server.hello.services), ['demo.Greeter'])


def test_methods_named_in_open_are_checked_in_advance():
    methods = [{'name': HELLO, 'id': client.method_id(HELLO)},
               {'name': 'demo.Greeter/Helo'},
               {'name': HELLO, 'request': 'demo.Salute', 'reply': 'demo.HelloReply'}]
    with serve(MIRROR, 'tcp:127.0.0.1:0') as server, Peer.to(server.address) as peer:
        peer.send(pack(open={'version': 1, 'methods': methods}))
        problems = peer.expect('opened').problems
        equal(len(problems), 2)
        contains(problems[0], 'demo.Greeter/Helo: no such method')
        contains(problems[1], 'demo.Salute', 'demo.HelloRequest')


def test_shutdown_is_refused_over_tcp_and_obeyed_over_unix():
    with Mirror() as mirror:
        mirror.connection.send(shutdown={'text': 'enough'})
        contains(mirror.connection.receive('shutdown').shutdown.refused, 'unix socket')
        mirror.call(ADA)
    with temporary_directory() as folder:
        with serve(MIRROR, 'unix:' + os.path.join(folder, 'socket')) as server:
            connection = client.Connection(server.address)
            connection.send(shutdown={'text': 'enough'})
            equal(connection.receive('close').close.reason, wire.REASON_DRAINING)
            connection.close()
            equal(server.finish()[0], 0)


main(globals())
