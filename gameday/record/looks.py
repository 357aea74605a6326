# SPDX-License-Identifier: Apache-2.0
"""One stream's samples in the run's time base, as columns; a ``Seen`` is made when asked for.

Measures read a stream like a list of ``Seen``. Where that would be millions of objects they
compare columns instead, and get the same answer: ``looks.where(looks.end_hi <= until)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from gameday.clock import DRIFT_PPM_MAX, NEIGHBOURS, Exchange, Interval
from gameday.record.columns import Columns, Flags, Ints
from gameday.record.types import Sample

PPM = 1_000_000


@dataclass(frozen=True)
class Seen:
    """A sample with its stamps in the run's time base, each known within a bound."""

    sample: Sample
    start: Interval
    end: Interval


class Looks(Sequence[Seen]):
    """Samples of one stream, in order of start.

    Attributes:
        seq, start_ns, end_ns, ok: as in ``Sample``. content: the same number where ok, value
        and reason are the same. start_lo, start_hi, end_lo, end_hi: the run's time, ns.
    """

    def __init__(
        self, samples: Sequence[Sample], rows: Ints, columns: tuple[Ints, ...], ok: Flags
    ) -> None:
        self._samples, self._rows, self._columns, self.ok = samples, rows, columns, ok
        self.seq, self.start_ns, self.end_ns, self.content = columns[:4]
        self.start_lo, self.start_hi, self.end_lo, self.end_hi = columns[4:]

    @staticmethod
    def of(seen: Sequence[Seen]) -> Looks:
        """The same looks as columns; what is one already is given back."""
        if isinstance(seen, Looks):
            return seen
        numbers = [
            (s.sample.seq, s.sample.start_ns, s.sample.end_ns, at,
             s.start.lo, s.start.hi, s.end.lo, s.end.hi)
            for at, s in enumerate(seen)
        ]  # fmt: skip
        table = np.array(numbers, np.int64).reshape(len(numbers), 8)
        ok = np.fromiter((s.sample.ok for s in seen), bool, len(seen))
        rows = np.arange(len(seen), dtype=np.int64)
        return Looks([s.sample for s in seen], rows, tuple(table.T), ok)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, at: int) -> Seen: ...

    @overload
    def __getitem__(self, at: slice) -> Looks: ...

    def __getitem__(self, at: int | slice) -> Seen | Looks:
        if isinstance(at, slice):
            return self._pick(at)
        return Seen(
            self._samples[int(self._rows[at])],
            Interval(int(self.start_lo[at]), int(self.start_hi[at])),
            Interval(int(self.end_lo[at]), int(self.end_hi[at])),
        )

    def __iter__(self) -> Iterator[Seen]:
        return (self[at] for at in range(len(self)))

    def where(self, chosen: Flags) -> Looks:
        """Those for which ``chosen`` is true."""
        return self._pick(chosen)

    def _pick(self, which: Flags | slice) -> Looks:
        columns = tuple(column[which] for column in self._columns)
        return Looks(self._samples, self._rows[which], columns, self.ok[which])

    def codes(self, code: Callable[[Sample], int]) -> Ints:
        """``code`` of every sample, asked once per distinct content.

        Args:
            code: may read a sample's ok, value and reason, and nothing else of it.
        """
        _, first, inverse = np.unique(self.content, return_index=True, return_inverse=True)
        rows = self._rows[first].tolist()
        found = np.fromiter((code(self._samples[row]) for row in rows), np.int64, len(rows))
        picked: Ints = found[inverse]
        return picked


def make_looks(columns: Columns, rows: Ints, exchanges: Sequence[Exchange]) -> Looks:
    """One stream's rows of ``columns`` in order, in the run's time by its node's exchanges."""
    start, seq = columns.start_ns[rows], columns.seq[rows]
    if np.any(np.diff(start) <= 0):
        order = np.lexsort((seq, start))
        rows, start, seq = rows[order], start[order], seq[order]
    end = columns.end_ns[rows]
    picked = (seq, start, end, columns.content[rows])
    in_run = (*to_run(start, exchanges), *to_run(end, exchanges))
    return Looks(columns, rows, (*picked, *in_run), columns.ok[rows])


def to_run(moments: Ints, exchanges: Sequence[Exchange]) -> tuple[Ints, Ints]:
    """``NodeClock.to_run`` of many moments: the lower bounds and the upper ones, in ns.

    Args:
        exchanges: of one node, at least one, in order of the node's clock.
    """
    mono = np.array([e.node_mono_ns for e in exchanges], np.int64)
    lows = np.array([e.node_mono_ns - e.received_ns for e in exchanges], np.int64)
    highs = np.array([e.node_mono_ns - e.sent_ns for e in exchanges], np.int64)
    at = np.searchsorted(mono, moments, side="left")
    size = len(moments)
    lo, hi = np.full(size, -(2**62)), np.full(size, 2**62)
    hull_lo, hull_hi = np.full(size, 2**62), np.full(size, -(2**62))
    for place in range(-NEIGHBOURS, NEIGHBOURS):
        # Beyond either end the last neighbour is compared again, which changes nothing.
        near = np.clip(at + place, 0, len(mono) - 1)
        drift = np.abs(moments - mono[near]) * DRIFT_PPM_MAX // PPM
        low, high = lows[near] - drift, highs[near] + drift
        np.maximum(lo, low, out=lo)
        np.minimum(hi, high, out=hi)
        np.minimum(hull_lo, low, out=hull_lo)
        np.maximum(hull_hi, high, out=hull_hi)
    apart = lo > hi
    lo, hi = np.where(apart, hull_lo, lo), np.where(apart, hull_hi, hi)
    return moments - hi, moments - lo
