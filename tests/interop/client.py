#!/usr/bin/env python3
"""A Hawser client made from wire.proto alone, for people who write one.

    protoc --python_out=. -I proto hawser/wire.proto
    protoc --python_out=. -I proto/examples greeter.proto
    PYTHONPATH=. tests/interop/client.py tcp:127.0.0.1:7000

One call at a time, on a blocking socket; proto/hawser/protocol.md gives the reasons. It has no
session, so what is in flight when its connection breaks is lost: test_session.py beside this
file shows what a client needs to come back."""

import socket
import sys

import greeter_pb2 as greeter
from hawser.wire_pb2 import REASON_DONE, Close, Frame, Metadata, Method, Outcome, Reason


def method_id(name):
    """What a method is called on the wire: FNV-1a over its full name, never 0."""
    value = 0x811c9dc5
    for byte in name.encode():
        value = (value ^ byte) * 0x01000193 & 0xffffffff
    return value or 1


class CallFailed(Exception):
    """The call ended with a status other than 0, OK; `end` is the hawser.End that says so."""

    def __init__(self, end):
        super().__init__(f'status {end.status}, {Outcome.Name(end.outcome)}: {end.text}')
        self.end = end


class Connection:
    def __init__(self, address, name='client.py'):
        transport, _, place = address.partition(':')
        if transport == 'unix':
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(place)
        else:
            host, _, port = place.rpartition(':')
            self.socket = socket.create_connection((host.strip('[]'), int(port)))
        self.stream = self.socket.makefile('rb')
        self.next_call = 1  # whoever connects counts 1, 3, 5, …
        self.send(open={'version': 1, 'name': name, 'software': 'client.py'})
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
            if kind in wanted:
                return frame
            if kind == 'ping':
                self.send(pong={'number': frame.ping.number})
            if kind in ('rejected', 'close'):
                why = getattr(frame, kind)
                raise ConnectionError(f'{kind}: {Reason.Name(why.reason)}: {why.text}')
        raise ConnectionError('the server closed the connection')

    def ping(self, number):
        self.send(ping={'number': number})
        return self.receive('pong').pong.number

    def start(self, method, request, reply_type, *, by_name=False, timeout_ms=30000, metadata=()):
        # Each call names its method in full. To do so once per connection is enough.
        announce = Method(name=method, request=request.DESCRIPTOR.full_name,
                          reply=reply_type.DESCRIPTOR.full_name)
        self.send(call={'id': self.next_call, 'method': 0 if by_name else method_id(method),
                        'announce': announce, 'timeout_ms': timeout_ms,
                        'metadata': [Metadata(key=k, value=v) for k, v in metadata]},
                  payload=request.SerializeToString())
        self.next_call += 2

    def call(self, method, request, reply_type, **options):
        """Calls a unary method; returns its reply and the metadata that came with it."""
        self.start(method, request, reply_type, **options)
        frame = self.receive('end')
        if frame.end.status:
            raise CallFailed(frame.end)
        return reply_type.FromString(frame.payload), {m.key: m.value for m in frame.end.metadata}

    def replies(self, method, request, reply_type, **options):
        """Calls a method that streams its replies; yields each."""
        self.start(method, request, reply_type, **options)
        while (frame := self.receive('message', 'end')).WhichOneof('kind') == 'message':
            yield reply_type.FromString(frame.payload)
            # It has been taken, so the server may send as much again.
            self.send(window={'id': frame.message.id, 'bytes': len(frame.payload) + 16})
        if frame.end.status:
            raise CallFailed(frame.end)

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
