#!/usr/bin/env python3
"""What the README shows is what happens: each of its blocks is what its comment says (page.py
has the list), in an empty directory, with an installed Hawser. And its links lead somewhere, and
its tables say what the headers say.

    test_readme.py SOURCE_ROOT BUILD_ROOT MESON
"""

import re

from page import ROOT, Page, check, equal, main

README = ROOT / 'README.md'
PRELUDE = '''\
#include "greeter.hawser.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
'''


def test_every_block_of_the_readme_is_true():
    page = Page(README, PRELUDE)
    counts = page.read()
    # A pattern that matches nothing would prove nothing.
    equal(counts, {'file': 5, 'run': 6, 'serve': 1, 'output': 4, 'compile': 10, 'proto': 1})


def test_each_link_leads_to_a_file():
    pages = [README, *(ROOT / 'docs').glob('*.md'), *(ROOT / 'proto').rglob('*.md')]
    links = 0
    for page in pages:
        for target in re.findall(r'\]\(([^)#\s]+)[^)]*\)', page.read_text(encoding='utf-8')):
            if not target.startswith('http'):
                links += 1
                check((page.parent / target).exists(), f'{page.name}: no {target}')
    check(links >= 8, f'{links} links')


DEFAULT = re.compile(r'^\| ((?:`\w+`(?:, )?)+) \| ([^|]+) \|')
NUMBER = re.compile(r'[\d,]+')


def test_the_defaults_are_those_of_the_headers():
    """The number after the last ';' of an option's comment is its default."""
    text, checked = README.read_text(encoding='utf-8'), 0
    for side, struct in (('server', 'server_options'), ('client', 'client_options'),
                         ('hub', 'hub_options'), ('hub', 'broadcast_options'),
                         ('lease', 'exclusive')):
        header = (ROOT / f'include/hawser/{side}.h').read_text(encoding='utf-8')
        table = text.split(f'| `struct hawser_{struct}` |')[1].split('\n\n')[0]
        for row in table.split('\n')[2:]:
            names, stated = DEFAULT.match(row).groups()
            for name in re.findall(r'\w+', names):
                comment = re.search(r'/\*\*((?:(?!\*/).)*)\*/\s*[\w ]+\b' + name + ';', header,
                                    re.DOTALL)[1]
                said = ' '.join(comment.replace('*', ' ').split())
                number = NUMBER.search(stated)
                if number:
                    check(re.search(rf'(?:^|[; ]){number[0]}\b', said),
                          f'{side} {name}: the README says {stated}, the header: {said}')
                else:
                    check(stated.strip('`') in said, f'{side} {name}: {stated} is not in: {said}')
                checked += 1
    equal(checked, 51)


main(globals())
