"""What the interoperation tests share: Python's code for the two .proto files, made with
protoc when a test starts, and a peer that sends whatever bytes it is told to.

    test_NAME.py PROTOC GREETER_SERVER GREETER_CLIENT MIRROR
"""

import pathlib
import socket
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROTOC, GREETER_SERVER, GREETER_CLIENT, MIRROR = sys.argv[1:]

sys.path.insert(0, str(ROOT / 'tests/tools'))
# pylint: disable=wrong-import-position,unused-import
from support import (PATIENCE, Process, check, contains, equal, main, matches, run,
                     temporary_directory)

GENERATED = tempfile.TemporaryDirectory(prefix='hw')  # goes when the test ends
for folder, name in (('proto', 'hawser/wire.proto'), ('proto/examples', 'greeter.proto')):
    subprocess.run([PROTOC, f'--python_out={GENERATED.name}', f'-I{ROOT / folder}', name],
                   check=True)
sys.path.insert(0, GENERATED.name)
try:
    import greeter_pb2 as greeter
    from hawser import wire_pb2 as wire
except ImportError as error:
    print(f'1..0 # SKIP {error}; Debian has it in python3-protobuf')
    sys.exit(0)
except TypeError as error:
    # A protobuf from elsewhere may be too new for this protoc's code.
    print(f'1..0 # SKIP {str(error).splitlines()[0]}')
    sys.exit(0)

HELLO = 'demo.Greeter/Hello'


def serve(program, address, *more):
    """A server; .address is where it listens. The library's own log tells, for any program."""
    server = Process(program, address, *more, HAWSER_LOG='info')
    server.address = server.line(r'listening on (\S+)', 'stderr')[1]
    return server


def pack(**fields):
    """A frame with its length before it."""
    frame = wire.Frame(**fields).SerializeToString()
    return len(frame).to_bytes(4, 'big') + frame


OPEN = pack(open={'version': 1, 'name': 'test'})


class Peer:
    """One end of a connection, byte by byte."""

    def __init__(self, connected):
        self.socket = connected
        self.socket.settimeout(PATIENCE)
        self.stream = self.socket.makefile('rb')

    @classmethod
    def to(cls, address):
        transport, _, place = address.partition(':')
        if transport == 'unix':
            connected = socket.socket(socket.AF_UNIX)
            connected.connect(place)
        else:
            host, _, port = place.rpartition(':')
            connected = socket.create_connection((host, int(port)))
        return cls(connected)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stream.close()
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def receive(self):
        """The next frame, or None at the end."""
        prefix = self.stream.read(4)
        if not prefix:
            return None
        data = self.stream.read(int.from_bytes(prefix, 'big'))
        return wire.Frame.FromString(data)

    def expect(self, kind, *meanwhile):
        """The next frame, which must be of that kind; its body. Others may come before."""
        while (frame := self.receive()) and frame.WhichOneof('kind') in meanwhile:
            pass
        came = frame and frame.WhichOneof('kind')
        equal(came, kind)
        return getattr(frame, kind)

    def expect_end_of_stream(self):
        equal(self.stream.read(), b'')
