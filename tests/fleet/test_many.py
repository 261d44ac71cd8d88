#!/usr/bin/env python3
"""A fleet of 2,000 remotes: all are listed, all are called once by one call to all, all end when
they are told. With a sanitizer there are fewer of them, for there it is slow."""

import contextlib
import re
import resource
import time

from programs import (NOWHERE, SANITIZER, Central, check, ended, equal, main, remote, same,
                      temporary_directory)

PROCESSES = 20
EACH = 100 if SANITIZER == 'none' else 10
ALL = PROCESSES * EACH


def kibibytes(process):
    """What it has in memory."""
    with open(f'/proc/{process.popen.pid}/status', encoding='ascii') as status:
        return int(re.search(r'^VmRSS:\s+(\d+)', status.read(), re.MULTILINE)[1])


def cpu_seconds(process):
    with open(f'/proc/{process.popen.pid}/stat', encoding='ascii') as stat:
        fields = stat.read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def names_in(matches):
    """Each once."""
    names = [match[1] for match in matches]
    equal(len(set(names)), len(names))
    return set(names)


class Clock:
    """Tells how long each step took."""

    def __init__(self, central):
        self.central = central
        self.at = time.monotonic()
        self.cpu = cpu_seconds(central)

    def tell(self, what):
        now, cpu = time.monotonic(), cpu_seconds(self.central)
        print(f'# {what}: {now - self.at:.2f} s, of which central computed {cpu - self.cpu:.2f} s',
              flush=True)
        self.at, self.cpu = now, cpu


def test_many_remotes_are_listed_called_once_each_and_shut_down():
    least, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    check(most == resource.RLIM_INFINITY or most > ALL + 100,
          f'only {most} descriptors are allowed; raise the limit (ulimit -Hn)')
    wanted = {f'r{i}-{j}' for i in range(PROCESSES) for j in range(1, EACH + 1)}
    with temporary_directory() as directory, contextlib.ExitStack() as stack:
        central = stack.enter_context(Central('--timeout', '60000', '--heartbeat', '5000',
                                              addresses=(f'unix:{directory}/central', NOWHERE)))
        before, clock = kibibytes(central), Clock(central)
        remotes = [stack.enter_context(remote(central.addresses[i % 2], '--count', str(EACH),
                                              '--label', f'process={i}', '--alone', '60000',
                                              name=f'r{i}'))
                   for i in range(PROCESSES)]
        lines = central.lines(r'^(?:joined|report) ([^\s:]+)', 2 * ALL)
        same(names_in(line for line in lines if line[0].startswith('joined')), wanted)
        same(names_in(line for line in lines if line[0].startswith('report')), wanted)
        clock.tell(f'{ALL} remotes joined and reported')
        print(f'# central has {(kibibytes(central) - before) / ALL:.1f} KiB more for each of them',
              flush=True)

        lines = central.listed()
        same(set(lines), wanted)
        check(all(' here ' in line for line in lines.values()), 'some are not here')
        clock.tell('all were listed')

        # The second call shows by the number of the job that the first came once.
        for job in (1, 2):
            central.tell('run-all so many words')
            results = central.lines(r'^result (\S+): 3 words, job ' + str(job), ALL)
            same(names_in(results), wanted)
            central.line(rf'^done: {ALL} answered, 0 failed')
            clock.tell('all were called')
        central.tell('run-where process=7 some')
        same(names_in(central.lines(r'^result (\S+): 1 words, job 3', EACH)),
              {f'r7-{j}' for j in range(1, EACH + 1)})
        central.line(rf'^done: {EACH} answered, 0 failed')

        central.tell('shutdown all')
        gone = central.lines(r'^gone (\S+)', ALL)
        same(names_in(gone), wanted)
        for each in remotes:
            equal(ended(each), '')
        clock.tell('all were shut down')
        equal(central.listed(), {})
        central.quit()


main(globals())
