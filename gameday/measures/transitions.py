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

from gameday.clock import Interval
from gameday.measures.base import Part, Status
from gameday.record.record import Seen

State = Callable[[Seen], bool | None]
"""True: the sample saw the new state. False: the old one. None: it tells nothing."""

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
    watched = [s for s in samples if s.end.hi <= until.lo]
    olds = [s for s in watched if state(s) is False]
    if not watched:
        return Transition("unknown", reason="no samples")
    if not olds:
        return Transition("unknown", reason="no sample saw the state before the change")
    old = max(olds, key=lambda s: s.sample.start_ns)
    barrier = max(s.sample.end_ns for s in olds)
    later = [s for s in watched if s.sample.start_ns >= barrier]
    news = [s for s in later if state(s)]
    if news:
        return _between(watched, old, min(news, key=lambda s: s.sample.end_ns), period)
    blind = [s for s in later if state(s) is None]
    return _not_seen(watched, old, period, until, bool(blind))


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
    watched = [s for s in samples if s.end.hi >= since.lo and s.start.lo <= until.lo]
    if not watched:
        return Transition("unknown", reason="no samples")
    news = [s for s in watched if state(s) and s.start.lo >= since.hi]
    if not news:
        olds = [s for s in watched if state(s) is False]
        if not olds:
            return Transition("unknown", reason="no sample tells the state")
        last = max(olds, key=lambda s: s.sample.start_ns)
        later = [s for s in watched if s.sample.start_ns > last.sample.start_ns]
        blind = any(state(s) is None for s in later)
        return _not_seen(watched, last, period, until, blind)
    new = min(news, key=lambda s: s.sample.end_ns)
    olds = [s for s in watched if state(s) is False and s.sample.start_ns < new.sample.start_ns]
    if olds:
        return _between(watched, max(olds, key=lambda s: s.sample.start_ns), new, period)
    sampling = max(0, new.end.hi - since.lo - new.end.width)
    parts = (Part("onset to first sample", sampling), Part("clock bound", new.end.width))
    return Transition("measured", since.lo, new.end.hi, None, new, parts)


def _not_seen(
    watched: Sequence[Seen], old: Seen, period: int, until: Interval, blind: bool
) -> Transition:
    """The old state was the last that was seen: never, where the samples reach far enough."""
    last = max(watched, key=lambda s: s.sample.start_ns)
    if last.start.hi < until.lo - TAIL_PERIODS * period:
        return Transition("unknown", old=old, reason="the samples stop before the end")
    if blind:
        return Transition("unknown", old=old, reason="the last samples tell nothing")
    reason = "still the old state in the last sample"
    return Transition("never", old.start.lo, None, old, None, (), 0, reason)


def _between(watched: Sequence[Seen], old: Seen, new: Seen, period: int) -> Transition:
    """The transition between two samples of one stream, with what its width is made of."""
    low, high = old.sample, new.sample
    lo, hi = old.start.lo, max(new.end.hi, old.start.lo)
    numbers = {s.sample.seq for s in watched}
    missing = sum(1 for seq in range(low.seq + 1, high.seq) if seq not in numbers)
    spacing = high.start_ns - low.start_ns
    parts = [
        Part("probe period", min(spacing, period)),
        Part("probe duration", high.end_ns - high.start_ns),
        Part("clock bound", max(0, (hi - lo) - (high.end_ns - low.start_ns))),
    ]
    if spacing > period:
        parts.insert(1, Part("slow, missing or unusable samples", spacing - period))
    return Transition("measured", lo, hi, old, new, tuple(parts), missing)
