"""The commands of hawser proxy: on its control socket and on standard input, right ones
and wrong ones."""

import os
import re
import threading

from proxy_ends import (HAWSER, Control, Proxy, Sender, Target, another_works, differences, noise,
                        pair, receive, relayed, rest, same, works)
from support import (check, equal, main, matches, run, temporary_directory)


def test_wrong_commands_get_a_reason_and_change_nothing():
    with relayed() as (target, proxy):
        with pair(target, proxy) as (client, server):
            for command, reason in [
                    ('cutt', r'there is no command "cutt"; did you mean "cut"\?'),
                    ('frobnicate', 'there is no command "frobnicate"; "help" lists them'),
                    ('\033[2J', r'there is no command "\?\[2J"; '),
                    ('cut hard', 'cut "hard": must be fin, rst, silent, random or mid'),
                    ('cut fin rst', 'cut "rst": must be'),
                    ('cut fin mid now', r'too many words: write cut \[fin'),
                    ('stall left', 'time in ms "left": must be a whole number from 1 to 86400000'),
                    ('stall up 0', 'time in ms "0": must be'),
                    ('stall 5 up', 'unexpected word "up"'),
                    ('go up', 'too many words: write go$'),
                    ('delay', r'a word is missing: write delay \[DIR\] MS \[JITTER\]'),
                    ('delay up', 'the delay in ms is missing'),
                    ('delay x', 'delay in ms "x": must be a whole number from 0 to 86400000'),
                    ('delay 1 -1', 'jitter in ms "-1": must be'),
                    ('delay up 1 2 3', 'too many words'),
                    ('rate 1G', 'bytes per second "1G": must be'),
                    ('rate 1 2', 'unexpected word "2"'),
                    ('segment -1', 'bytes "-1": must be'),
                    ('corrupt 1000001', 'bytes in a million "1000001": must be a whole .* 0 to 1000000'),
                    ('blackhole', r'a word is missing: write blackhole on\|off'),
                    ('blackhole maybe', '"maybe": must be on or off'),
                    ('refuse 1', '"1": must be on or off'),
                    ('cut-every now', 'time in ms "now": must be'),
                    ('stall-every 5 0', 'duration in ms "0": must be'),
                    ('stats all', 'too many words: write stats$'),
                    ('x' * 1001, 'the line is too long'),
                    ('x' * 100_000, 'the line is too long'),
                    ('go\0', 'the line has a zero byte in it')]:
                answer = proxy.control.ask(command)
                equal(len(answer), 1)
                matches(answer[0], '^error: ' + reason)
            works(client, server)
        stats = proxy.wait(open=0)
    equal((stats['accepted'], stats['stalls'], stats['cut-fin']), (1, 0, 0))


def test_help_lists_every_command_as_the_manual_does():
    with relayed() as (_, proxy):
        listed = [line.split()[0] for line in proxy.control.ask('help')[:-1]]
        for line in proxy.control.ask('help'):
            check(len(line) <= 100, line)
    notes = run(HAWSER, 'help', 'proxy').stdout
    equal(re.findall(r'[a-z-]+(?=[,.])', notes[notes.index('lists them:'):notes.index('Ctrl-C')]), listed)


def test_empty_lines_and_carriage_returns_are_taken():
    with relayed() as (_, proxy):
        proxy.do('', '   ', 'go\r', '\tdelay \t 0  ')


def test_shapes_change_for_open_connections():
    data = noise(19, 30_000)
    with relayed() as (target, proxy):
        with pair(target, proxy) as (client, server):
            for command in ('segment 100', 'segment up 0', 'rate down 2M', 'rate 1M', 'delay up 5 5',
                            'delay 0', 'corrupt down 1000000'):
                proxy.do(command)
                sender = Sender(client, data)
                same(receive(server, len(data)), data)
                sender.join()
            server.sendall(data)
            equal(differences(receive(client, len(data)), data), len(data))
            proxy.do('corrupt 0', 'rate 0')
            works(client, server)
            proxy.do('rate up 1')
            client.sendall(data)
            equal(receive(server, 1), data[:1])
            proxy.do('rate 0')
            same(receive(server, len(data) - 1), data[1:])


def test_control_connections_have_a_limit():
    with relayed() as (_, proxy):
        others = [Control(proxy.path) for _ in range(15)]
        for other in others:
            equal(other.ask('go'), ['ok'])
        surplus = Control(proxy.path)
        equal(surplus.lines.readline(), 'error: there are too many control connections\n')
        surplus.close()
        for other in others:
            other.close()
        proxy.do('go')


def test_control_connection_that_does_not_read_is_let_go():
    with relayed() as (_, proxy):
        deaf = Control(proxy.path)
        try:
            for _ in range(100_000):
                deaf.socket.sendall(b'help\n' * 100)
            check(False, 'its answers pile up')
        except (BrokenPipeError, ConnectionResetError):
            pass
        deaf.close()
        proxy.do('go')


class Fed:
    """A launcher that gives the proxy a standard input: a pipe's other end, or a file."""

    def __init__(self, directory, text=None):
        self.path = f'{directory}/in'
        if text is None:
            os.mkfifo(self.path)
        else:
            with open(self.path, 'w', encoding='ascii') as file:
                file.write(text)

    def launcher(self):
        return ['sh', '-c', 'input=$1; shift; exec "$@" <"$input"', 'sh', self.path]


def test_standard_input_takes_commands_and_its_end_ends_nothing():
    with temporary_directory() as directory, Target() as target:
        fed = Fed(directory)
        opened = []
        opener = threading.Thread(target=lambda: opened.append(open(fed.path, 'w', encoding='ascii')))
        opener.start()
        with Proxy(target.address, launcher=fed.launcher()) as proxy:
            opener.join()
            with opened[0] as stdin, pair(target, proxy) as (client, server):
                works(client, server)
                for command, answer in (('delay 1\n', '^ok$'),
                                        ('dela\ny 1\n', '^error: there is no command "dela"'),
                                        ('', '^error: there is no command "y"'),
                                        ('stats\n', '^accepted 1$'), ('', '^ok$'),
                                        ('cut rst', None)):
                    stdin.write(command)
                    stdin.flush()
                    if answer:
                        proxy.line(answer)
                works(client, server)  # a line without its end is none yet
                stdin.close()
                equal((rest(client), rest(server)), ((b'', 'rst'), (b'', 'rst')))
            proxy.line('^ok$')
            another_works(target, proxy)
            equal(proxy.terminate()[0], 0)


def test_standard_input_may_be_a_file():
    with temporary_directory() as directory, Target() as target:
        fed = Fed(directory, 'delay 7\nblackhole on\nstats')
        with Proxy(target.address, launcher=fed.launcher()) as proxy:
            for line in ('^ok$', '^ok$', '^accepted 0$', '^ok$'):
                proxy.line(line)
            with proxy.connect():
                proxy.wait(black_holed=1)
            code, _, err = proxy.terminate()
    equal((code, err), (0, ''))


def test_standard_input_may_be_closed():
    with Target() as target:
        with Proxy(target.address, launcher=['sh', '-c', 'exec "$@" <&-', 'sh']) as proxy:
            another_works(target, proxy)
            code, _, err = proxy.terminate()
    equal((code, err), (0, ''))


main(globals())
