# SPDX-License-Identifier: Apache-2.0
"""How far a standby was behind at every moment, between bounds, by postgresql probes. Pure.

A look at the primary writes a beat, between the look's start and its end. A look at a standby finds
the last beat that came. So at any moment, with the looks around it:

- the standby has at least what the last look before the moment found. Everything that was
  committed before that beat began is there, so what is missing is no older than that.
- it has at most what the next look after the moment found. The first later beat is missing, and
  has been since it was acknowledged at the latest.

Positions in the write-ahead log bound bytes in the same way. No look has to be near: where some are
missing, the bounds lie further apart by themselves, and no server's clock matters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gameday.clock import Interval
from gameday.measures.common import Stream
from gameday.record.columns import Flags, Ints
from gameday.record.looks import Looks
from gameday.record.types import Sample

PRIMARY, STANDBY = "primary", "standby"
TIMELINE = 2**40
"""Beats of a later timeline come after all of an earlier one."""

FAR = 2**62
NONE = -1


@dataclass(frozen=True)
class Marks:
    """What looks told, each somewhere between its start and its end: numbers that only grow.

    Attributes:
        numbers: what was told. start, end: the first and last moment it may have been, in ns.
    """

    numbers: Ints
    start: Ints
    end: Ints

    @staticmethod
    def of(streams: Sequence[Looks], tell: Callable[[Sample], int]) -> Marks:
        """Those that ``tell`` finds in good looks; NONE for a look that tells nothing."""
        found: list[tuple[Ints, Ints, Ints]] = []
        for looks in streams:
            good = looks.where(looks.ok)
            numbers = good.codes(tell) if len(good) else np.zeros(0, np.int64)
            told = numbers != NONE
            found.append((numbers[told], good.start_lo[told], good.end_hi[told]))
        columns = [np.concatenate(each) for each in zip(*found, strict=True)] if found else []
        return Marks(*columns) if columns else Marks(*(np.zeros(0, np.int64) for _ in range(3)))

    def least_after_start(self) -> tuple[Ints, Ints]:
        """(moments, numbers): up to each moment, no more than its number was there."""
        order = np.argsort(self.start, kind="stable")
        return self.start[order], np.minimum.accumulate(self.numbers[order][::-1])[::-1]

    def most_by_end(self) -> tuple[Ints, Ints]:
        """(moments, numbers): from each moment on, no less than its number was there."""
        order = np.argsort(self.end, kind="stable")
        return self.end[order], np.maximum.accumulate(self.numbers[order])

    def went_back(self) -> bool:
        """Whether a look certainly found less than one that had ended before it began."""
        ends, most = self.most_by_end()
        place = np.searchsorted(ends, self.start, side="left") - 1
        known = place >= 0
        return bool(np.any(most[place[known]] > self.numbers[known]))


@dataclass(frozen=True)
class Excess:
    """How long one standby was further behind than a bound, in ns.

    Attributes:
        lo, hi: certainly, and at most.
        worst: how far behind it certainly was at worst, in the bound's own unit.
        still: whether it certainly was when it was last looked at.
        last: when that was, in the run's time.
    """

    lo: int
    hi: int
    worst: int
    still: bool
    last: int


@dataclass(frozen=True)
class Pieces:
    """What is watched in pieces, in each of which what bounds the standby stays the same.

    Attributes:
        begin, end: of each, in the run's time. counts: whether excess in it is certain to count.
        least, most: what was on the standby meanwhile; NONE and FAR where no look tells.
    """

    begin: Ints
    end: Ints
    counts: Flags
    least: Ints
    most: Ints


def beat(sample: Sample) -> int:
    """The beat that a look wrote or found, as a number that orders beats of all timelines."""
    value = sample.value
    if value.get("role") == STANDBY and "beat" not in value:
        return 0  # The row is not there yet, so no beat is.
    if "beat" not in value:
        return NONE
    return int(value.get("beat_timeline", 0)) * TIMELINE + int(value["beat"])


def written(sample: Sample) -> int:
    """The beat that a look at a primary wrote."""
    return beat(sample) if sample.value.get("role") == PRIMARY else NONE


def position(sample: Sample) -> int:
    """How far the write-ahead log is applied on the server, in bytes."""
    value = sample.value
    name = "wal_bytes" if value.get("role") == PRIMARY else "replayed_bytes"
    return int(value.get(name, NONE))


def log_end(sample: Sample) -> int:
    """How far a primary has written its log, in bytes."""
    return position(sample) if sample.value.get("role") == PRIMARY else NONE


def standbys(streams: Mapping[Stream, Looks], onset: Interval) -> list[str]:
    """Targets whose last good look before the onset found a standby."""
    found: dict[str, tuple[int, bool]] = {}
    for (_, target), looks in streams.items():
        before = looks.where(looks.ok & (looks.end_hi < onset.lo))
        if len(before):
            last = before[-1]
            told = (last.start.lo, last.sample.value.get("role") == STANDBY)
            found[target] = max(found.get(target, told), told)
    return sorted(target for target, (_, standby) in found.items() if standby)


def primaries(streams: Mapping[Stream, Looks]) -> int:
    """How many servers said that they were the primary."""
    marks = {key: Marks.of([looks], log_end) for key, looks in streams.items()}
    return len({target for (_, target), found in marks.items() if len(found.numbers)})


def late(beats: Marks, standby: Marks, above: int, window: Interval, certain: Interval) -> Excess:
    """How long a standby lacked something that was older than ``above``, in ns."""
    pieces = _pieces(standby, (), window, certain)
    order = np.argsort(beats.numbers, kind="stable")
    numbers = beats.numbers[order]
    # Of all beats after one, the first that was acknowledged; of it and those before, the last
    # that was begun.
    acked = np.append(np.minimum.accumulate(beats.end[order][::-1])[::-1], FAR)
    begun = np.append(-FAR, np.maximum.accumulate(beats.start[order]))
    lacks_since = acked[np.searchsorted(numbers, pieces.most, side="right")]
    may_lack_since = begun[np.searchsorted(numbers, pieces.least, side="right")]
    worst = int((pieces.end - lacks_since)[pieces.counts].max(initial=0))
    return _excess(pieces, lacks_since + above, may_lack_since + above, worst)


def behind(log: Marks, standby: Marks, above: int, window: Interval, certain: Interval) -> Excess:
    """How long a standby lacked more than ``above`` bytes of the primary's log."""
    ends, least = log.most_by_end()
    starts, most = log.least_after_start()
    pieces = _pieces(standby, (ends, starts), window, certain)
    wrote_least = np.append(NONE, least)[np.searchsorted(ends, pieces.begin, side="right")]
    wrote_most = np.append(most, FAR)[np.searchsorted(starts, pieces.end, side="left")]
    lacks, may_lack = wrote_least - pieces.most, wrote_most - pieces.least
    worst = int(lacks[pieces.counts].max(initial=0))
    return _excess(
        pieces, np.where(lacks > above, -FAR, FAR), np.where(may_lack > above, -FAR, FAR), worst
    )


def _pieces(standby: Marks, edges: Sequence[Ints], window: Interval, certain: Interval) -> Pieces:
    ends, least = standby.most_by_end()
    starts, most = standby.least_after_start()
    fixed = np.array([window.lo, window.hi, certain.lo, certain.hi], np.int64)
    moments = np.unique(np.concatenate([ends, starts, fixed, *edges]))
    moments = moments[(moments >= window.lo) & (moments <= window.hi)]
    begin, end = moments[:-1], moments[1:]
    return Pieces(
        begin, end, (begin >= certain.lo) & (end <= certain.hi),
        np.append(NONE, least)[np.searchsorted(ends, begin, side="right")],
        np.append(most, FAR)[np.searchsorted(starts, end, side="left")],
    )  # fmt: skip


def _excess(pieces: Pieces, sure_from: Ints, perhaps_from: Ints, worst: int) -> Excess:
    """Adds up, of each piece, what lies after a moment."""
    sure = np.maximum(0, pieces.end - np.maximum(pieces.begin, sure_from))
    perhaps = np.maximum(0, pieces.end - np.maximum(pieces.begin, perhaps_from))
    told = np.flatnonzero(pieces.most < FAR)
    lo = int(sure[pieces.counts].sum())
    last = int(pieces.end[told[-1]]) if len(told) else -FAR
    still = bool(len(told) and sure[told[-1]] > 0)
    return Excess(lo, max(lo, int(perhaps.sum())), worst, still, last)
