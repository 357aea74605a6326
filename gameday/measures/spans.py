# SPDX-License-Identifier: Apache-2.0
"""Several streams at once: from when to when did something certainly, or perhaps, hold?

A stream's looks become spans: stretches in which every look that told anything told the same, none
is missing, and they lie close together. Between spans the stream may have shown anything. A sweep
over all streams' spans then asks a question of each stretch of time, which is answered yes, no or
perhaps; the certain stretches add up to a lower bound, those with the possible ones to an upper.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from gameday.clock import Interval
from gameday.measures.base import Part
from gameday.record.columns import Ints
from gameday.record.looks import Looks
from gameday.record.types import Sample

GAP_PERIODS = 2
"""Looks that tell and lie further apart than this leave a hole between them."""

Label = Hashable
Tell = Callable[[Sample], Label]
"""What a sample showed; None where it tells nothing."""


@dataclass(frozen=True)
class ByOk:
    """A ``Tell`` that depends on whether the look succeeded alone; nothing is asked per look."""

    good: Label
    bad: Label

    def __call__(self, sample: Sample) -> Label:
        """What one sample showed."""
        return self.good if sample.ok else self.bad


Ask = Callable[[Sequence[Label]], bool | None]
"""Whether something holds, from what each stream shows; None in their place where that is not
certain, and as the answer where it is not."""


@dataclass(frozen=True)
class Span:
    """From ``lo`` to ``hi`` (the run's time, ns) a stream certainly showed ``label``."""

    lo: int
    hi: int
    label: Label


@dataclass(frozen=True)
class Stretch:
    """A time in which something held, or may have held; neither before nor after it.

    Attributes:
        lo, hi: from when to when it may have held, in the run's time, ns.
        sure: the spans of it in which it certainly held.
        open: whether it still held when the watch ended, as far as anybody saw.
    """

    lo: int
    hi: int
    sure: tuple[Interval, ...]
    open: bool = False

    @property
    def begin(self) -> Interval:
        """When it began."""
        return Interval(self.lo, self.sure[0].lo if self.sure else self.hi)

    @property
    def end(self) -> Interval:
        """When it ended."""
        return Interval(self.sure[-1].hi if self.sure else self.lo, self.hi)


def spans(looks: Looks, tell: Tell, reach_ns: int) -> list[Span]:
    """What one stream certainly showed, in order of time.

    Args:
        looks: in order of start. tell: what each showed, from its content alone.
        reach_ns: how far apart two looks that tell may have begun.
    """
    if not len(looks):
        return []
    codes, labels = _codes(looks, tell)
    told = np.flatnonzero(codes >= 0)
    if not len(told):
        return []
    breaks = _breaks(looks, codes, told, reach_ns)
    firsts = told[np.append(0, breaks + 1)]
    lasts = told[np.append(breaks, len(told) - 1)]
    lows, highs = looks.end_hi[firsts].tolist(), looks.start_lo[lasts].tolist()
    return [
        Span(lo, hi, labels[codes[first]])
        for lo, hi, first in zip(lows, highs, firsts, strict=True)
        if lo < hi
    ]


def _codes(looks: Looks, tell: Tell) -> tuple[Ints, list[Label]]:
    """What every look showed as its label's place in a list; -1 where it told nothing."""
    if isinstance(tell, ByOk):
        return looks.ok.astype(np.int64), [tell.bad, tell.good]
    labels: list[Label] = []
    places: dict[Label, int] = {}

    def code(sample: Sample) -> int:
        label = tell(sample)
        if label is None:
            return -1
        if label not in places:
            places[label] = len(labels)
            labels.append(label)
        return places[label]

    return looks.codes(code), labels


def _breaks(looks: Looks, codes: Ints, told: Ints, reach_ns: int) -> Ints:
    """Places in ``told`` after which a span cannot go on."""
    other = np.diff(codes[told]) != 0
    missing = np.diff(looks.seq[told]) != np.diff(told)
    far = np.diff(looks.start_ns[told]) > reach_ns
    found: Ints = np.flatnonzero(other | missing | far)
    return found


def sweep(streams: Sequence[Sequence[Span]], ask: Ask, window: Interval) -> list[Stretch]:
    """The stretches inside ``window`` in which something held or may have held.

    Args:
        streams: each one's spans in order. ask: see ``Ask``.
        window: beyond it nothing counts.
    """
    edges = {window.lo, window.hi}
    for stream in streams:
        edges.update(m for s in stream for m in (s.lo, s.hi) if window.lo < m < window.hi)
    places = [0] * len(streams)
    found: list[Stretch] = []
    answer: bool | None = False
    lo, sure = 0, list[Interval]()
    last: bool | None = None
    for start, stop in pairwise(sorted(edges)):
        shown = [_shown(stream, places, at, start) for at, stream in enumerate(streams)]
        before, answer = answer, ask(shown)
        last = last if answer is None else answer
        if answer is False:
            if before is not False:
                found.append(Stretch(lo, start, tuple(sure)))
            continue
        if before is False:
            lo, sure = start, []
        if answer and sure and sure[-1].hi == start:
            sure[-1] = Interval(sure[-1].lo, stop)
        elif answer:
            sure.append(Interval(start, stop))
    if answer is not False:
        found.append(Stretch(lo, window.hi, tuple(sure), open=last is True))
    return found


def _shown(stream: Sequence[Span], places: list[int], at: int, moment: int) -> Label:
    """What a stream certainly shows from ``moment`` on; its place only ever moves on."""
    while places[at] < len(stream) and stream[places[at]].hi <= moment:
        places[at] += 1
    if places[at] < len(stream) and stream[places[at]].lo <= moment:
        return stream[places[at]].label
    return None


@dataclass(frozen=True)
class Total:
    """How long something held in all: at least ``lo``, at most ``hi``, in ns."""

    lo: int
    hi: int
    parts: tuple[Part, ...]


def total(stretches: Sequence[Stretch], certain: Interval, clock_ns: int) -> Total:
    """All stretches added up.

    Args:
        stretches: as ``sweep`` finds them. certain: only what lies in it surely counts.
        clock_ns: how exactly any look's moment is known.
    """
    lo = 0
    for stretch in stretches:
        for one in stretch.sure:
            lo += max(0, min(one.hi, certain.hi) - max(one.lo, certain.lo))
    hi = sum(stretch.hi - stretch.lo for stretch in stretches)
    clock = min(hi - lo, 2 * clock_ns * len(stretches))
    parts = (Part("sampling at both ends", hi - lo - clock), Part("clock bound", clock))
    return Total(lo, hi, parts)


def clock_ns(streams: Sequence[Looks]) -> int:
    """The widest bound of any look's moment, in ns."""
    return max((int((one.end_hi - one.end_lo).max()) for one in streams if len(one)), default=0)
