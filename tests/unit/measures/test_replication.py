# SPDX-License-Identifier: Apache-2.0
"""Replication made up at random, whose lag is known exactly, lies within what is measured."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import numpy as np
import pytest

from gameday.clock import Interval
from gameday.measures.replication import Marks, behind, late
from gameday.record.columns import Ints

MS = 1_000_000
WATCHED = Interval(3_000 * MS, 50_000 * MS)
ABOVE = 1_500 * MS


def ints(values: list[int]) -> Ints:
    return np.array(values, np.int64)


def replication(random: Random) -> tuple[list[int], list[int]]:
    """When each beat was committed, and when it was applied on the standby: in order."""
    commits, applied, at, stuck_to = list[int](), list[int](), 0, 0
    while at < 55_000 * MS:
        at += random.randrange(50 * MS, 400 * MS)
        if random.random() < 0.03:
            stuck_to = at + random.randrange(6_000 * MS)
        commits.append(at)
        least = max(at + random.randrange(MS, 30 * MS), stuck_to)
        applied.append(max([least, *applied[-1:]]))
    return commits, applied


def watched(random: Random, commits: list[int], applied: list[int]) -> tuple[Marks, Marks]:
    """What looks told: slow ones and missing ones among them, and clocks that are off."""
    error = random.randrange(5 * MS)
    wrote = [(n + 1, c - random.randrange(60 * MS), c + random.randrange(90 * MS))
             for n, c in enumerate(commits) if random.random() < 0.9]  # fmt: skip
    found, at = list[tuple[int, int, int]](), 0
    while at < 55_000 * MS:
        at += random.randrange(100 * MS, 500 * MS)
        begin, end = at - random.randrange(40 * MS), at + random.randrange(300 * MS)
        found.append((sum(moment <= at for moment in applied), begin, end))
    marks = []
    for each in (wrote, found):
        numbers, begins, ends = (ints(list(column)) for column in zip(*each, strict=True))
        marks.append(Marks(numbers, begins - error, ends + error))
    return marks[0], marks[1]


def inside(lo: int, hi: int) -> int:
    return max(0, min(hi, WATCHED.hi) - max(lo, WATCHED.lo))


@pytest.mark.parametrize("seed", range(60))
def test_the_truth_lies_between_the_bounds(seed: int) -> None:
    random = Random(seed)  # noqa: S311 - reproducible, not secret
    commits, applied = replication(random)
    log, standby = watched(random, commits, applied)
    before = [0, *applied[:-1]]
    truth = sum(
        inside(max(c + ABOVE, b), a) for c, b, a in zip(commits, before, applied, strict=True)
    )
    found = late(log, standby, ABOVE, WATCHED, WATCHED)
    assert found.lo <= truth <= found.hi
    assert found.hi - found.lo < 12_000 * MS, "bounds that say nothing are of no use"

    # A beat is a byte of log; more than five are too many.
    edges = sorted({WATCHED.lo, WATCHED.hi, *commits, *applied})
    lacked = [
        (a, b, sum(c <= a for c in commits) - sum(x <= a for x in applied))
        for a, b in pairwise(edges)
    ]
    truth = sum(inside(a, b) for a, b, lacks in lacked if lacks > 5)
    found = behind(log, standby, 5, WATCHED, WATCHED)
    assert found.lo <= truth <= found.hi
    assert found.worst <= max(lacks for *_, lacks in lacked)


def test_nothing_that_was_told_leaves_everything_open() -> None:
    nothing = Marks(ints([]), ints([]), ints([]))
    found = late(nothing, nothing, ABOVE, WATCHED, WATCHED)
    assert (found.lo, found.hi) == (0, WATCHED.width)


def test_a_standby_that_went_back_is_noticed() -> None:
    assert Marks(ints([5, 4]), ints([0, 10]), ints([5, 12])).went_back()
    assert not Marks(ints([5, 4]), ints([0, 10]), ints([15, 12])).went_back()
