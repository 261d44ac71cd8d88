#!/usr/bin/env python3
"""A Hawser client made from wire.proto alone, for people who write one.

    protoc --python_out=. -I proto hawser/wire.proto
    protoc --python_out=. -I proto/examples greeter.proto
    PYTHONPATH=. tests/interop/client.py tcp:127.0.0.1:7000

One call at a time, of any kind, on a blocking socket; proto/hawser/protocol.md gives the reasons.
Meanwhile the server may call, too, if the connection was given handlers. It has no session, so what is in flight when its connection breaks is lost: test_session.py beside
this file shows what a client needs to come back."""

import socket
import sys

import greeter_pb2 as greeter
from hawser.wire_pb2 import (OUTCOME_EXECUTED, OUTCOME_NOT_EXECUTED, REASON_DONE, Close, Frame,
                             Metadata, Method, Outcome, Reason)


def method_id(name):
    """What a method is called on the wire: FNV-1a over its full name, never 0."""
    value = 0x811c9dc5
    for byte in name.encode():
        value = (value ^ byte) * 0x01000193 & 0xffffffff
    return value or 1


PIECE = 64 << 10   # what is longer goes in pieces of so many bytes
WINDOW = 64 << 10  # with which a call begins in each direction, unless open or opened name another
COST = 16          # what a message frame takes from it, besides its payload


class CallFailed(Exception):
    """The call ended with a status other than 0, OK; `end` is the hawser.End that says so."""

    def __init__(self, end):
        super().__init__(f'status {end.status}, {Outcome.Name(end.outcome)}: {end.text}')
        self.end = end


class Call:
    """A call that has begun: its messages in both directions, up to its end."""

    def __init__(self, connection, number, reply_type):
        self.connection, self.id, self.reply_type = connection, number, reply_type
        self.window = connection.server.stream_window_bytes or WINDOW  # what may be sent
        self.unread = 0                     # what has come since the server was given a window
        self.coming, self.size = b'', None  # a message that is not complete
        self.messages = []                  # those that are, and were not received yet
        self.end = None                     # the frame

    def send(self, request):
        """Sends the next of a stream of requests."""
        packed = request.SerializeToString()
        self.send_pieces(packed, len(packed) if len(packed) > PIECE else 0)

    def send_pieces(self, packed, size):
        """`size` goes with the first piece, unless the message is whole or the call told it."""
        for at in range(0, len(packed) or 1, PIECE):
            while self.window <= 0 and not self.end:
                self.wait()
            if self.end:
                return  # nobody wants the rest
            piece = packed[at:at + PIECE]
            self.connection.send(message={'id': self.id, 'size': 0 if at else size}, payload=piece)
            self.window -= len(piece) + COST

    def send_last(self):
        """Says that no more requests follow."""
        if not self.end:
            self.connection.send(message={'id': self.id, 'last': True})

    def wait(self):
        """Takes in one frame."""
        frame = self.connection.receive('message', 'end', 'window')
        body = getattr(frame, frame.WhichOneof('kind'))
        if body.id != self.id:
            return  # of a call that nobody waits for any more
        if frame.HasField('window'):
            self.window += body.bytes
        elif frame.HasField('end'):
            self.end = frame
        else:
            if self.size is None:
                self.size = body.size or len(frame.payload)
            self.coming += frame.payload
            self.unread += len(frame.payload) + COST
            if len(self.coming) == self.size:
                self.messages.append(self.coming)
                self.coming, self.size = b'', None
            self.open_window()

    def open_window(self):
        """Lets the server send more, once every complete message was received."""
        if self.unread and not self.messages and not self.end:
            self.connection.send(window={'id': self.id, 'bytes': self.unread})
            self.unread = 0

    def receive(self):
        """The next of a stream of replies, or None at the end."""
        while not self.messages and not self.end:
            self.wait()
        if self.messages:
            reply = self.reply_type.FromString(self.messages.pop(0))
            self.open_window()
            return reply
        if self.end.end.status:
            raise CallFailed(self.end.end)
        return None

    def result(self):
        """The only reply, and the metadata that came with the end."""
        while not self.end:
            self.wait()
        if self.end.end.status:
            raise CallFailed(self.end.end)
        # What came in pieces is there already.
        reply = self.reply_type.FromString(self.messages[0] if self.messages else self.end.payload)
        return reply, {m.key: m.value for m in self.end.end.metadata}


class Incoming:
    """A call by the server: one request, and one reply or a stream of them."""

    def __init__(self, connection, call):
        self.connection, self.call = connection, call
        self.window = connection.server.stream_window_bytes or WINDOW  # what may be sent
        self.coming = b''    # of a request that comes in pieces
        self.replies = None  # an iterator: a stream

    def begin(self, payload):
        handler = self.connection.handlers.get(self.call.method)
        if not handler:
            self.end(status=12, outcome=OUTCOME_NOT_EXECUTED, text='there is no such method')
        elif not self.call.size:
            self.answer(payload)

    def take(self, piece):
        """A piece of the request; the server may send as much again."""
        self.connection.send(window={'id': self.call.id, 'bytes': len(piece) + COST})
        self.coming += piece
        if len(self.coming) == self.call.size:
            self.answer(self.coming)

    def answer(self, packed):
        request_type, handler = self.connection.handlers[self.call.method]
        try:
            reply = handler(request_type.FromString(packed))
        except CallFailed as failure:
            self.end(status=failure.end.status, outcome=OUTCOME_EXECUTED, text=failure.end.text)
            return
        if hasattr(reply, 'SerializeToString'):
            self.end(reply.SerializeToString())
        else:
            self.replies = iter(reply)
            self.go_on()

    def go_on(self):
        """Sends as many replies as the window lets through; the rest when that opens again."""
        while self.replies and self.window > 0:
            if (reply := next(self.replies, None)) is None:
                self.end()
                return
            packed = reply.SerializeToString()
            self.connection.send(message={'id': self.call.id}, payload=packed)
            self.window -= len(packed) + COST

    def end(self, payload=b'', **how):
        self.connection.send(end={'id': self.call.id, **how}, payload=payload)
        self.connection.incoming.pop(self.call.id)


class Connection:
    """`handlers` is what the server may call: 'demo.Greeter/Hello' with the type of its request and
    a function, which returns a reply or yields several, or raises CallFailed."""

    def __init__(self, address, name='client.py', handlers=None):
        transport, _, place = address.partition(':')
        if transport == 'unix':
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(place)
        else:
            host, _, port = place.rpartition(':')
            self.socket = socket.create_connection((host.strip('[]'), int(port)))
            # What is small must not wait until the server has answered what was sent before.
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = self.socket.makefile('rb')
        self.next_call = 1  # whoever connects counts 1, 3, 5, …
        self.incoming = {}  # the server's calls, 2, 4, 6, …
        self.handlers = {method_id(method): by for method, by in (handlers or {}).items()}
        services = {method.partition('/')[0] for method in handlers or {}}
        self.send(open={'version': 1, 'name': name, 'software': 'client.py',
                        'hello': {'services': sorted(services)} if services else None})
        self.server = self.receive('opened').opened

    def send(self, **fields):
        # Python packs fields in the order of their numbers, so the payload is last.
        frame = Frame(**fields).SerializeToString()
        self.socket.sendall(len(frame).to_bytes(4, 'big') + frame)

    def receive(self, *wanted):
        """The next frame of these kinds. What else may come meanwhile is dealt with here."""
        while prefix := self.stream.read(4):
            frame = Frame.FromString(self.stream.read(int.from_bytes(prefix, 'big')))
            kind = frame.WhichOneof('kind')
            if kind in ('call', 'message', 'cancel', 'window') and getattr(frame, kind).id % 2 == 0:
                self.serve(kind, frame)
            elif kind in wanted:
                return frame
            if kind == 'ping':
                self.send(pong={'number': frame.ping.number})
            if kind in ('rejected', 'close'):
                why = getattr(frame, kind)
                raise ConnectionError(f'{kind}: {Reason.Name(why.reason)}: {why.text}')
        raise ConnectionError('the server closed the connection')

    def serve(self, kind, frame):
        """A frame about a call by the server. Of one that is over there may be more to come."""
        body = getattr(frame, kind)
        if kind == 'call':
            self.incoming[body.id] = Incoming(self, body)
            self.incoming[body.id].begin(frame.payload)
        elif body.id not in self.incoming:
            return
        elif kind == 'message':
            self.incoming[body.id].take(frame.payload)
        elif kind == 'window':
            self.incoming[body.id].window += body.bytes
            self.incoming[body.id].go_on()
        else:
            self.incoming.pop(body.id)  # nothing answers a cancel

    def ping(self, number):
        self.send(ping={'number': number})
        return self.receive('pong').pong.number

    def start(self, method, request_type, reply_type, request=None, *, by_name=False,
              timeout_ms=30000, metadata=()):
        """Begins a call; without a request for a method that takes a stream of them."""
        packed = b'' if request is None else request.SerializeToString()
        in_pieces = len(packed) > PIECE
        # Each call names its method in full. To do so once per connection is enough.
        announce = Method(name=method, request=request_type.DESCRIPTOR.full_name,
                          reply=reply_type.DESCRIPTOR.full_name)
        self.send(call={'id': self.next_call, 'method': 0 if by_name else method_id(method),
                        'announce': announce, 'timeout_ms': timeout_ms,
                        'size': len(packed) if in_pieces else 0,
                        'metadata': [Metadata(key=k, value=v) for k, v in metadata]},
                  payload=b'' if in_pieces else packed)
        call = Call(self, self.next_call, reply_type)
        self.next_call += 2
        if in_pieces:
            call.send_pieces(packed, 0)
        return call

    def call(self, method, request, reply_type, **options):
        """Calls a unary method; returns its reply and the metadata that came with it."""
        return self.start(method, type(request), reply_type, request, **options).result()

    def replies(self, method, request, reply_type, **options):
        """Calls a method that streams its replies; yields each."""
        call = self.start(method, type(request), reply_type, request, **options)
        while (reply := call.receive()) is not None:
            yield reply

    def requests(self, method, requests, request_type, reply_type, **options):
        """Calls a method that takes a stream of requests; returns the same as call()."""
        call = self.start(method, request_type, reply_type, **options)
        for request in requests:
            call.send(request)
        call.send_last()
        return call.result()

    def close(self):
        self.send(close=Close(reason=REASON_DONE))
        self.stream.read()  # the server closes its end, too
        self.stream.close()
        self.socket.close()


def main(address):
    method = 'demo.Greeter/Hello'
    request = greeter.HelloRequest(name='Ada')
    connection = Connection(address)
    print(f'opened by {connection.server.name} ({connection.server.software})')
    print(f'ping 42, pong {connection.ping(42)}')
    reply, _ = connection.call(method, request, greeter.HelloReply)
    print(f'{method_id(method):#010x}: {reply.text}')
    reply, _ = connection.call(method, request, greeter.HelloReply, by_name=True)
    print(f'{method}: {reply.text}')
    try:
        connection.call('demo.Greeter/Helo', request, greeter.HelloReply)
    except CallFailed as failure:
        print(failure)
    connection.close()
    print('closed')


if __name__ == '__main__':
    main(sys.argv[1])
