#!/usr/bin/env python3
"""What proto/hawser/protocol.md shows is what happens: its conversation, byte by byte, and
its worked example of a method's id.

    test_protocol.py SOURCE_ROOT GREETER_SERVER
"""

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


def turns():
    """The conversation as (who, bytes), one for each time that the other speaks."""
    said = []
    for line in re.search(r'^```hex\n(.*?)^```', PAGE, re.MULTILINE | re.DOTALL)[1].splitlines():
        if line[:1] in ('>', '<'):
            if not said or said[-1][0] != line[0]:
                said.append((line[0], b''))
            said[-1] = (line[0], said[-1][1] + bytes.fromhex(line[1:]))
        else:
            check(not line or line[0] == '#', f'neither bytes nor a comment: {line}')
    return said


def test_the_conversation_happens_word_for_word():
    said = turns()
    check(len(said) == 11, f'{len(said)} turns')
    with tempfile.TemporaryDirectory(prefix='hw') as folder:
        address = folder + '/socket'
        with Process(sys.argv[2], 'unix:' + address, HAWSER_LOG='info') as server:
            server.line('listening on', 'stderr')
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(PATIENCE)
                client.connect(address)
                stream = client.makefile('rb')
                for who, words in said:
                    if who == '>':
                        client.sendall(words)
                    else:
                        equal(stream.read(len(words)).hex(' '), words.hex(' '))
                equal(stream.read(), b'')
                stream.close()
            server.signal(15)
            equal(server.finish()[0], 0)


def test_each_length_is_that_of_its_frame():
    for _, words in turns():
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
