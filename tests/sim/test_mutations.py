#!/usr/bin/env python3
"""Do the simulators notice? Each mistake of mutations.py and lease_mutations.py is made in a copy of the sources,
compiled, and must make the simulator fail, or the suite that it is meant for; without a mistake the same copies
must pass.

    test_mutations.py SOURCE_ROOT GENERATED_HEADERS SESSION_OBJECTS LEASE_OBJECTS OBJECTS… -- COMPILER…

The objects are the archives of the simulators as they are: what a mistake does not touch comes from there."""

import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from lease_mutations import MUTATIONS_OF_LEASES
from mutations import MUTATIONS, MUTATIONS_FOR_SUITES

ROOT, GENERATED = pathlib.Path(sys.argv[1]), sys.argv[2]
SPLIT = sys.argv.index('--')
SESSIONS, LEASES, *GROUND = sys.argv[3:SPLIT]
COMPILER = sys.argv[SPLIT + 1:]

# Most are noticed within the first thousand disconnections, or acts.
PROGRAMS = {
    'session-sim': (SESSIONS, ['--disconnections', '150000']),
    'lease-sim': (LEASES, ['--acts', '300000']),
}

FOLDERS = ['src/util', 'src/wire', 'tests/sim']
# What can see a changed header.
ABOVE_WIRE = ['src/wire', 'tests/sim']
SOME_FILE = 'src/wire/session.c'
# heap.c counts what is alive.
WRAPPED = [f'-Wl,--wrap={name}' for name in ('malloc', 'calloc', 'realloc', 'aligned_alloc', 'free')]
SUPPORT = ['tests/wire/frames.c', 'tests/support/failing_alloc.c', 'tests/support/random.c', 'tests/support/suite.c']


class Unfit(Exception):
    """The mutation cannot be made."""


def copy_sources(to):
    for folder in FOLDERS:
        (to / folder).mkdir(parents=True)
        for path in (ROOT / folder).glob('*.[ch]'):
            (to / folder / path.name).write_text(path.read_text())


def mutate(tree, name, file, changes):
    path = tree / file
    text = path.read_text()
    for old, new in changes:
        if text.count(old) != 1:
            raise Unfit(f'{file} has {text.count(old)} times, not once:\n{old}\n'
                        f'Adapt {name} in mutations.py to what is there now.')
        text = text.replace(old, new)
    path.write_text(text)


def check_flags():
    return subprocess.run(['pkg-config', '--cflags', '--libs', 'check'], stdout=subprocess.PIPE, text=True,
                          check=True).stdout.split()


def compile_tree(tree, file, suite, name=None):
    folders = ABOVE_WIRE if file.endswith('.h') else []
    sources = [path for folder in folders for path in sorted((tree / folder).glob('*.c'))
               if folder != 'tests/sim' or path.name.startswith('lease_') == (name == 'lease-sim')] or [tree / file]
    program = tree / (suite or name)
    command = [*COMPILER, '-std=gnu11', '-D_GNU_SOURCE', '-O1', '-w', '-fno-strict-aliasing',
               f'-I{tree}/src', f'-I{tree}/tests/sim', f'-I{ROOT}/include', f'-I{GENERATED}', f'-I{GENERATED}/wire']
    if suite:
        # What it has of its own comes before the simulator's, which is not linked then.
        command += [f'-I{ROOT}/tests', f'-I{ROOT}/tests/wire', str(ROOT / f'tests/wire/test_{suite}.c'),
                    *(str(ROOT / path) for path in SUPPORT), *map(str, sources), *GROUND, *check_flags()]
    else:
        command += [*map(str, sources), PROGRAMS[name][0], *GROUND, *WRAPPED]
    done = subprocess.run([*command, '-lprotobuf-c', '-pthread', '-o', str(program)], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise Unfit(f'it does not compile:\n{done.stdout}')
    return program


def run(command):
    # A mistake may well end in a crash or without an end; the simulator should say what is wrong before that.
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=200,
                          check=False)


def attempt_for_suite(suite, name, file, changes):
    """What is wrong, or None, and what the suite said."""
    with tempfile.TemporaryDirectory() as folder:
        tree = pathlib.Path(folder)
        copy_sources(tree)
        try:
            mutate(tree, name, file, changes)
            done = run([compile_tree(tree, file, suite)])
        except Unfit as problem:
            return str(problem), ''
        except subprocess.TimeoutExpired:
            return f'{suite} comes to no end', ''
    said = [line for line in done.stdout.splitlines() if re.search(r':[EF]:', line)]
    if not changes:
        return None if done.returncode == 0 else f'it fails without a mistake:\n{done.stdout}', ''
    if done.returncode == 0:
        return f'{suite} does not notice', ''
    return (None, f'{suite}: {said[0].split("/")[-1]}') if said else (f'{suite} fails:\n{done.stderr}', '')


def attempt(simulator, name, file, changes):
    """What is wrong, or None, and what the simulator said."""
    with tempfile.TemporaryDirectory() as folder:
        tree = pathlib.Path(folder)
        copy_sources(tree)
        try:
            mutate(tree, name, file, changes)
            done = run([compile_tree(tree, file, None, simulator), *PROGRAMS[simulator][1]])
        except Unfit as problem:
            return str(problem), ''
        except subprocess.TimeoutExpired:
            return 'the simulator comes to no end', ''
    if not changes:
        return None if done.returncode == 0 else f'it fails without a mistake:\n{done.stderr}', done.stdout
    if done.returncode == 0:
        return f'not noticed: {done.stdout}', ''
    found = re.search(r'^seed (\d+) failed:\n(.*)\n', done.stderr, re.M)
    if done.returncode != 1 or not found:
        return f'status {done.returncode}, and no seed to see it again with:\n{done.stderr[-2000:]}', ''
    return None, f'seed {found[1]}:{found[2][16:]}'


def main():
    jobs = []
    for simulator, mistakes in (('session-sim', MUTATIONS), ('lease-sim', MUTATIONS_OF_LEASES)):
        name = f'without_a_mistake_{simulator}_passes'
        jobs.append((name, attempt, (simulator, name, SOME_FILE, [])))
        jobs += [(name, attempt, (simulator, name, file, changes)) for name, (file, *changes) in mistakes.items()]
    for suite, mistakes in MUTATIONS_FOR_SUITES.items():
        name = f'without_a_mistake_{suite}_passes'
        jobs.append((name, attempt_for_suite, (suite, name, SOME_FILE, [])))
        jobs += [(name, attempt_for_suite, (suite, name, file, changes))
                 for name, (file, *changes) in mistakes.items()]
    print(f'1..{len(jobs)}', flush=True)
    failed = False
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = [(name, pool.submit(function, *arguments)) for name, function, arguments in jobs]
        for number, (name, result) in enumerate(results, 1):
            problem, said = result.result()
            for line in (problem or said).strip().splitlines():
                print('# ' + line)
            print(f'{"not " if problem else ""}ok {number} {name}', flush=True)
            failed |= problem is not None
    sys.exit(failed)


main()
