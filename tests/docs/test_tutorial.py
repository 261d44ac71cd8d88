#!/usr/bin/env python3
"""What the tutorial shows is what happens, in a clone that was built: what page.py says of its
blocks. Each block has a comment that says what it is.

    test_tutorial.py SOURCE_ROOT BUILD_ROOT MESON
"""

import re

from page import ROOT, Page, check, equal, main

TUTORIAL = ROOT / 'docs/tutorial.md'
PRELUDE = '''\
#include "places.hawser.h"
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
'''


def test_every_block_of_the_tutorial_is_true():
    counts = Page(TUTORIAL, PRELUDE, is_clone=True).read()
    # A pattern that matches nothing would prove nothing.
    equal(counts['compile'], 1)
    check(counts['from'] >= 15 and counts['run'] >= 10 and counts['serve'] == 2, f'only {counts}')


def test_no_block_goes_unchecked():
    text = TUTORIAL.read_text(encoding='utf-8')
    fences = re.findall(r'^```', text, re.MULTILINE)
    equal(len(fences), 2 * len(re.findall(r'^<!-- [^>]* -->\n```', text, re.MULTILINE)))


main(globals())
