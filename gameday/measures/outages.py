# SPDX-License-Identifier: Apache-2.0
"""Runs of failed requests of one user, as intervals. Shared by the client-failure kinds.

An outage that failed requests F1 … Fk saw, between the good requests A (before) and B
(after), began after the start of A and by the end of F1, and ended after the start of Fk
and by the end of B. So it lasted at least from F1's end to Fk's start, at most from A's
start to B's end. Missing samples are neither good nor failed: they end what is certain
and prolong what is possible.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gameday.clock import Interval
from gameday.measures.base import Part
from gameday.record.columns import Flags
from gameday.record.looks import Looks, Seen

GAP_PERIODS = 2
"""Two samples that began further apart than this have a hole between them."""


@dataclass(frozen=True)
class Outage:
    """One stretch in which the user was, or may have been, without service.

    Attributes:
        lo, hi: how long it lasted, in ns; hi is None where it had no end yet.
        begin, end: where it lies in the run's time.
        failed: requests that failed; 0 where only samples are missing.
        parts: what hi - lo is made of.
    """

    lo: int
    hi: int | None
    begin: Interval
    end: Interval | None
    failed: int
    parts: tuple[Part, ...] = ()


def outages(samples: Sequence[Seen], window: Interval, period: int) -> list[Outage]:
    """Every outage that touches the window, cut to it.

    Args:
        samples: one user's requests, in order of start.
        window: from onset to the end of recovery.
        period: nanoseconds between two requests.
    """
    found: list[Outage] = []
    good: Seen | None = None
    run: list[Seen] = []
    last: Seen | None = None
    hole = False
    looks = Looks.of(samples)
    apart = np.zeros(len(looks), bool)
    apart[1:] = (np.diff(looks.start_ns) > GAP_PERIODS * period) | (np.diff(looks.seq) > 1)
    for place in _telling(looks, apart):
        seen = last = looks[place]
        hole = hole or bool(apart[place])
        if not seen.sample.ok:
            run.append(seen)
            continue
        if run or hole:
            found.append(_outage(good, run, seen, hole, window))
        good, run, hole = seen, [], False
    if run or (last is not None and last.start.lo < window.lo):
        found.append(_outage(good, run, None, hole, window))
    elif last is not None and window.hi - last.start.lo > GAP_PERIODS * period + period:
        found.append(_outage(last, [], None, True, window))
    return [o for o in found if o.begin.lo < window.hi and (o.end is None or o.end.hi > window.lo)]


def _telling(looks: Looks, apart: Flags) -> list[int]:
    """Places of the looks that an outage is made of: failed ones, holes and what is beside them.

    Good looks among good ones, which are nearly all, change nothing.
    """
    told = ~looks.ok | apart
    told[-1:] = True
    beside = told.copy()
    beside[:-1] |= told[1:]
    beside[1:] |= told[:-1]
    places: list[int] = np.flatnonzero(beside).tolist()
    return places


def _cut(moment: int, window: Interval) -> int:
    return min(max(moment, window.lo), window.hi)


def _outage(
    before: Seen | None, run: Sequence[Seen], after: Seen | None, hole: bool, window: Interval
) -> Outage:
    start = window.lo if before is None else _cut(before.start.lo, window)
    begin = Interval(start, max(start, _cut(run[0].end.hi, window) if run else start))
    certain = _certain(run, window)
    if after is None:
        return Outage(certain, None, begin, None, len(run))
    stop = _cut(after.end.hi, window)
    resumed = _cut(run[-1].start.lo, window) if run else start
    end = Interval(min(resumed, stop), stop)
    longest = max(certain, stop - start)
    word = "missing samples" if hole else "sampling at both ends"
    clock = min(longest - certain, after.end.width + (before.start.width if before else 0))
    parts = (Part(word, longest - certain - clock), Part("clock bound", clock))
    return Outage(certain, longest, begin, end, len(run), parts)


def _certain(run: Sequence[Seen], window: Interval) -> int:
    """The longest stretch of the run without a number missing, from first end to last start."""
    longest, first = 0, 0
    for at in range(len(run)):
        if at and run[at].sample.seq != run[at - 1].sample.seq + 1:
            first = at
        lo, hi = _cut(run[first].end.hi, window), _cut(run[at].start.lo, window)
        longest = max(longest, hi - lo)
    return longest
