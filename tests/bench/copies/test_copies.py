"""How often a large message is copied within each end, between the program's memory and
the socket: bytes of memcpy(), memmove() and realloc() for each byte of payload.

Only what more calls add is looked at: what grows once is not the price of a message."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent.parent / 'tools'))

# pylint: disable=wrong-import-position
from support import Server, check, contains, equal, main, run, temporary_directory

PROGRAM, LIBRARY = sys.argv[1:]
MIB = 1 << 20
FEW, MANY = 3, 11
# Packed into what is sent: once, and a little for what goes with it.
ONCE = 1.1
# Received where it stays: only what came together with something else is moved.
HARDLY = 0.5


def copied(path):
    """What the program that exited first wrote, and what it added up to."""
    lines = path.read_text().splitlines()
    equal(len(lines), 1)
    return sum(int(number) for number in lines[0].split())


def measure(mode, payload, calls):
    """Bytes copied by the client and by the server."""
    with temporary_directory() as directory:
        client, server = pathlib.Path(directory, 'client'), pathlib.Path(directory, 'server')
        with Server(PROGRAM, 'server', f'unix:{directory}/s', 'loop', LD_PRELOAD=LIBRARY,
                    COPIES=str(server)) as process:
            done = run(PROGRAM, 'client', process.address, 'W4a', mode, '--payload', str(payload),
                       '--calls', str(calls), LD_PRELOAD=LIBRARY, COPIES=str(client))
            equal((done.returncode, done.stderr), (0, ''))
            contains(done.stdout, 'mib_per_s')
            equal(process.terminate(), (0, '', ''))
        return copied(client), copied(server)


def times(mode, payload):
    """How many times each end copies a payload, for one call."""
    few, many = measure(mode, payload, FEW), measure(mode, payload, MANY)
    result = [(b - a) / payload / (MANY - FEW) for a, b in zip(few, many)]
    print(f'# {mode}, {payload // MIB} MiB: client {result[0]:.2f}, server {result[1]:.2f}')
    return result


def at_most(client, server, *modes):
    for mode in modes:
        for payload in (MIB, 16 * MIB):
            found = times(mode, payload)
            check(found[0] <= client and found[1] <= server,
                  f'{mode}, {payload} bytes: {found} times instead of {client}, {server}')


def test_a_request_is_copied_once_on_its_way_out_and_not_on_its_way_in():
    at_most(ONCE, HARDLY, 'async-up', 'block-up')


def test_a_reply_is_copied_once_on_its_way_out_and_not_on_its_way_in():
    at_most(HARDLY, ONCE, 'async-down', 'block-down')


def test_a_reply_that_is_packed_already_is_not_copied():
    at_most(HARDLY, 0.1, 'async-down-raw', 'block-down-raw')


def test_an_echo_is_copied_once_by_each_end():
    at_most(ONCE + HARDLY, ONCE + HARDLY, 'async', 'block')


def test_copies_are_counted():
    """A request has to be packed: who sees nothing of that sees nothing."""
    client, _ = times('async-up', MIB)
    check(client > 0.9, client)


main(globals())
