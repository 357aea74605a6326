# SPDX-License-Identifier: Apache-2.0
"""When something changed, from samples that each looked at one unknown moment.

A sample that began at ``start`` and ended at ``end`` saw the state at some moment in
between. So a change lies after the *start of the last sample that saw the old state* and
not after the *end of the first that saw the new one*. Two questions are asked:

- ``settled``: the change after which the old state was never seen again;
- ``first``: the first time the new state was seen after a given moment.

Samples of one stream come from one node, so their order is read from that node's own
clock and is exact; only the answer carries the clock's bound. Samples may overlap (a slow
one still waits while the next begins), and they may be missing: the interval then reaches
from one existing sample to the next existing one, and gets wider by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gameday.clock import Interval
from gameday.measures.base import Part, Status
from gameday.record.columns import Ints
from gameday.record.looks import Looks, Seen
from gameday.record.types import Sample

State = Callable[[Seen], bool | None]
"""True: the sample saw the new state. False: the old one. None: it tells nothing."""

NEW, OLD, BLIND = 1, 0, -1
"""The three answers of a ``State`` as numbers."""


@dataclass(frozen=True)
class ByContent:
    """A ``State`` that depends only on a sample's ok, value and reason, not on when it was.

    It is asked once per distinct content; a stream of a million looks has a handful.
    """

    tell: Callable[[Sample], bool | None]

    def __call__(self, seen: Seen) -> bool | None:
        """What the sample of ``seen`` tells."""
        return self.tell(seen.sample)


@dataclass(frozen=True)
class ByLooks:
    """A ``State`` of all looks of a stream at once, where it also depends on when each was.

    ``tell`` answers NEW, OLD or BLIND for each.
    """

    tell: Callable[[Looks], Ints]

    def __call__(self, seen: Seen) -> bool | None:
        """What one look tells."""
        return {NEW: True, OLD: False, BLIND: None}[int(self.tell(Looks.of([seen]))[0])]


ACKNOWLEDGED = ByContent(lambda sample: sample.ok)
"""New is a look that succeeded, old one that failed."""

SILENT = ByContent(lambda sample: not sample.ok)
"""New is a look that failed, old one that succeeded."""

TAIL_PERIODS = 3
"""A stream must reach to within this many periods of the end of what is watched before
"it did not happen" may be said; a stream that stopped earlier tells nothing."""


@dataclass(frozen=True)
class Transition:
    """When one stream changed state.

    Attributes:
        status: measured, never (not by the end of the samples) or unknown.
        lo, hi: bounds of the moment in the run's time; hi is None unless measured.
        old, new: the samples that the bounds come from.
        parts: what hi - lo is made of, in ns.
        missing: how many samples are absent between ``old`` and ``new``.
        reason: why it is never or unknown.
    """

    status: Status
    lo: int | None = None
    hi: int | None = None
    old: Seen | None = None
    new: Seen | None = None
    parts: tuple[Part, ...] = ()
    missing: int = 0
    reason: str = ""

    @property
    def moment(self) -> Interval:
        """The interval of a measured transition.

        Raises:
            ValueError: where it was not measured.
        """
        if self.lo is None or self.hi is None:
            raise ValueError(f"no moment: {self.reason}")
        return Interval(self.lo, self.hi)


def settled(samples: Sequence[Seen], state: State, period: int, until: Interval) -> Transition:
    """The change to the new state after which the old one was not seen any more.

    Args:
        samples: one stream, in order of start. Only those that ended before ``until``
            count: one that reaches beyond it may have seen what comes after.
        state: what each sample saw.
        period: nanoseconds between two looks.
        until: end of what is watched, in the run's time.
    """
    looks = Looks.of(samples)
    watched = looks.where(looks.end_hi <= until.lo)
    states = states_of(watched, state)
    olds = watched.where(states == OLD)
    if not len(watched):
        return Transition("unknown", reason="no samples")
    if not len(olds):
        return Transition("unknown", reason="no sample saw the state before the change")
    old = olds[int(np.argmax(olds.start_ns))]
    later = watched.start_ns >= int(np.max(olds.end_ns))
    news = watched.where(later & (states == NEW))
    if len(news):
        return _between(watched, old, news[int(np.argmin(news.end_ns))], period)
    return _not_seen(watched, old, period, until, bool(np.any(later & (states == BLIND))))


def first(
    samples: Sequence[Seen], state: State, period: int, since: Interval, until: Interval
) -> Transition:
    """The first time the new state was seen by a sample begun after ``since``.

    The old state is looked for among samples that ended after ``since``; where none saw
    it, the new state may have held all along and the bound reaches down to ``since``.

    Args:
        samples, state, period, until: as for ``settled``.
        since: where to look from, in the run's time.
    """
    looks = Looks.of(samples)
    watched = looks.where((looks.end_hi >= since.lo) & (looks.start_lo <= until.lo))
    if not len(watched):
        return Transition("unknown", reason="no samples")
    states = states_of(watched, state)
    news = watched.where((states == NEW) & (watched.start_lo >= since.hi))
    olds = watched.where(states == OLD)
    if not len(news):
        if not len(olds):
            return Transition("unknown", reason="no sample tells the state")
        last = olds[int(np.argmax(olds.start_ns))]
        blind = bool(np.any((watched.start_ns > last.sample.start_ns) & (states == BLIND)))
        return _not_seen(watched, last, period, until, blind)
    new = news[int(np.argmin(news.end_ns))]
    olds = olds.where(olds.start_ns < new.sample.start_ns)
    if len(olds):
        return _between(watched, olds[int(np.argmax(olds.start_ns))], new, period)
    sampling = max(0, new.end.hi - since.lo - new.end.width)
    parts = (Part("onset to first sample", sampling), Part("clock bound", new.end.width))
    return Transition("measured", since.lo, new.end.hi, None, new, parts)


def states_of(looks: Looks, state: State) -> Ints:
    """What every look saw: NEW, OLD or BLIND; without making it an object where that can be."""
    if isinstance(state, ByLooks):
        return state.tell(looks)
    if isinstance(state, ByContent):
        tell = state.tell
        return looks.codes(lambda sample: _code(tell(sample)))
    return np.fromiter((_code(state(seen)) for seen in looks), np.int64, len(looks))


def _code(told: bool | None) -> int:
    return BLIND if told is None else NEW if told else OLD


def _not_seen(watched: Looks, old: Seen, period: int, until: Interval, blind: bool) -> Transition:
    """The old state was the last that was seen: never, where the samples reach far enough."""
    last = watched[int(np.argmax(watched.start_ns))]
    if last.start.hi < until.lo - TAIL_PERIODS * period:
        return Transition("unknown", old=old, reason="the samples stop before the end")
    if blind:
        return Transition("unknown", old=old, reason="the last samples tell nothing")
    reason = "still the old state in the last sample"
    return Transition("never", old.start.lo, None, old, None, (), 0, reason)


def _between(watched: Looks, old: Seen, new: Seen, period: int) -> Transition:
    """The transition between two samples of one stream, with what its width is made of."""
    low, high = old.sample, new.sample
    lo, hi = old.start.lo, max(new.end.hi, old.start.lo)
    between = (watched.seq > low.seq) & (watched.seq < high.seq)
    there = len(np.unique(watched.seq[between]))
    missing = max(0, high.seq - low.seq - 1 - there)
    spacing = high.start_ns - low.start_ns
    parts = [
        Part("probe period", min(spacing, period)),
        Part("probe duration", high.end_ns - high.start_ns),
        Part("clock bound", max(0, (hi - lo) - (high.end_ns - low.start_ns))),
    ]
    if spacing > period:
        parts.insert(1, Part("slow, missing or unusable samples", spacing - period))
    return Transition("measured", lo, hi, old, new, tuple(parts), missing)
