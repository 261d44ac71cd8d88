#!/usr/bin/env python3
"""What proto/hawser/protocol.md shows is what happens: its conversations, byte by byte, and
its worked example of a method's id.

    test_protocol.py SOURCE_ROOT GREETER_SERVER
"""

import contextlib
import pathlib
import re
import socket
import sys
import tempfile

ROOT = pathlib.Path(sys.argv[1])
sys.path.insert(0, str(ROOT / 'tests/tools'))
# pylint: disable=wrong-import-position
from support import PATIENCE, Process, check, equal, main

PAGE = (ROOT / 'proto/hawser/protocol.md').read_text(encoding='utf-8')


def turns(block):
    """A conversation as (who, bytes), one for each time that the other speaks."""
    said = []
    for line in block.splitlines():
        if line[:1] in ('>', '<'):
            if not said or said[-1][0] != line[0]:
                said.append((line[0], b''))
            said[-1] = (line[0], said[-1][1] + bytes.fromhex(line[1:]))
        else:
            check(not line or line[0] == '#', f'neither bytes nor a comment: {line}')
    return said


# One for each connection: without a session; with one, until it breaks; and how that goes on.
CONNECTIONS = [turns(block) for block in
               re.findall(r'^```hex\n(.*?)^```', PAGE, re.MULTILINE | re.DOTALL)]
# The fields id and token of the session: each server chooses others.
SHOWN = re.search(rb'\x09.{8}\x12\x10.{16}', CONNECTIONS[1][1][1], re.DOTALL)[0]


@contextlib.contextmanager
def connection(address):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(address)
        with client.makefile('rb') as stream:
            yield client, stream


def talk(client, stream, said, chosen=None):
    """Says and hears it word for word, but for what is chosen by the server, and returned."""
    for who, words in said:
        if who == '>':
            client.sendall(words.replace(SHOWN, chosen or SHOWN))
        else:
            came = stream.read(len(words))
            if not chosen and SHOWN in words:
                place = words.index(SHOWN)
                chosen = came[place:place + len(SHOWN)]
            equal(came.hex(' '), words.replace(SHOWN, chosen or SHOWN).hex(' '))
    return chosen


def test_the_conversations_happen_word_for_word():
    equal([len(said) for said in CONNECTIONS], [13, 6, 3])
    plain, begun, resumed = CONNECTIONS
    with tempfile.TemporaryDirectory(prefix='hw') as folder:
        address = folder + '/socket'
        with Process(sys.argv[2], 'unix:' + address, HAWSER_LOG='info') as server:
            server.line('listening on', 'stderr')
            with connection(address) as (client, stream):
                talk(client, stream, plain)
                equal(stream.read(), b'')
            with connection(address) as (client, stream):
                chosen = talk(client, stream, begun)
            check((chosen[:1], chosen[9:11]) == (SHOWN[:1], SHOWN[9:11]) and chosen != SHOWN,
                  f'no id and token of its own: {chosen.hex(" ")}')
            with connection(address) as (client, stream):
                talk(client, stream, resumed, chosen)
                equal(stream.read(), b'')
            server.signal(15)
            equal(server.finish()[0], 0)


def test_each_length_is_that_of_its_frame():
    for words in (words for said in CONNECTIONS for _, words in said):
        while words:
            length = int.from_bytes(words[:4], 'big')
            check(0 < length <= len(words) - 4, f'a length of {length} in {len(words)} bytes')
            words = words[4 + length:]


def test_the_methods_id_is_worked_out_rightly():
    rows = re.findall(r'^\| `(..)` (.) \| `(\w+)` \| `(\w+)` \|$', PAGE, re.MULTILINE)
    check(len(rows) == 6, f'{len(rows)} rows')
    name = re.search(r'So `(\S+)` is `0x(\w+)`', PAGE)
    steps = {}
    value = 0x811c9dc5
    for position, byte in enumerate(name[1].encode()):
        mixed = value ^ byte
        value = mixed * 0x01000193 & 0xffffffff
        steps[position] = (f'{byte:02x}', chr(byte), f'{mixed:08x}', f'{value:08x}')
    equal(rows[:5], [steps[i] for i in range(5)])
    equal(rows[5], steps[len(steps) - 1])
    equal(name[2], f'{value:08x}')


def test_each_reason_is_explained():
    enum = re.search(r'enum Reason \{(.*?)\}', (ROOT / 'proto/hawser/wire.proto').read_text(
        encoding='utf-8'), re.DOTALL)[1]
    for reason in re.findall(r'REASON_(\w+) = [1-9]', enum):
        check(re.search(rf'^\|.*`{reason}`.*\|', PAGE, re.MULTILINE), f'{reason} is not explained')


main(globals())
