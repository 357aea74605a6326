# SPDX-License-Identifier: Apache-2.0
"""Wall and monotonic time, and the offsets between clocks; ``gameday.ticks`` reads them.

A run has one time base: the controller's monotonic clock. A node stamps what it sees
with its own monotonic clock. Each exchange of a message with a node bounds the offset
between the two (Cristian, "Probabilistic clock synchronization", 1989): the node read
its clock at some moment between our sending and our receiving, so

    node - received <= offset <= node - sent

An exchange says less about moments far from it, because clocks drift apart: its
interval is widened by ``DRIFT_PPM_MAX`` for the time in between. The intervals of
several exchanges are intersected.

This module travels to nodes: standard library only, Python 3.9 syntax.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from typing import List, Optional, Sequence, Tuple

from gameday.ticks import NS_PER_MS, NS_PER_S, boot_id, mono_ns, sleep_until_mono, wall_ns

__all__ = [
    "NS_PER_MS", "NS_PER_S", "Exchange", "Interval", "NodeClock", "boot_id", "mono_ns",
    "sleep_until_mono", "wall_ns", "wall_offset",
]  # fmt: skip

DRIFT_PPM_MAX = 200
"""Largest rate difference assumed between two nodes' monotonic clocks. Crystals stay
under 100 ppm each; NTP slewing is bounded by 500 ppm but rare and short."""

NEIGHBOURS = 8
"""Exchanges considered on each side of a moment; more add nothing once drift is added."""


@dataclass(frozen=True)
class Interval:
    """A moment or duration known only to lie in [lo, hi], in nanoseconds."""

    lo: int
    hi: int

    def __post_init__(self) -> None:
        if self.lo > self.hi:
            raise ValueError("interval with lo %d above hi %d" % (self.lo, self.hi))

    @property
    def width(self) -> int:
        """Nanoseconds between both ends."""
        return self.hi - self.lo

    def shift(self, by_ns: int) -> Interval:
        """The same interval, ``by_ns`` later."""
        return Interval(self.lo + by_ns, self.hi + by_ns)

    def minus(self, other: Interval) -> Interval:
        """Difference of two independent intervals: every value it can have."""
        return Interval(self.lo - other.hi, self.hi - other.lo)

    def widen(self, by_ns: int) -> Interval:
        """The interval with ``by_ns`` added on both sides."""
        return Interval(self.lo - by_ns, self.hi + by_ns)


@dataclass(frozen=True)
class Exchange:
    """One question to a node and its answer, all in nanoseconds.

    ``sent_ns`` and ``received_ns`` are the controller's monotonic clock; ``node_mono_ns``
    and ``node_wall_ns`` what the node's clocks showed in between.
    """

    sent_ns: int
    received_ns: int
    node_mono_ns: int
    node_wall_ns: int

    @property
    def middle_ns(self) -> int:
        """Controller's time half way between question and answer."""
        return (self.sent_ns + self.received_ns) // 2


class NodeClock:
    """Translates one node's monotonic stamps to the run's time base, with bounds.

    Args:
        exchanges: at least one, in any order, all of the same boot of the node.

    Raises:
        ValueError: where there is no exchange.
    """

    def __init__(self, exchanges: Sequence[Exchange]) -> None:
        if not exchanges:
            raise ValueError("a node's clock needs at least one exchange")
        self._exchanges: List[Exchange] = sorted(exchanges, key=lambda e: e.node_mono_ns)
        self._keys = [e.node_mono_ns for e in self._exchanges]

    def offset(self, node_mono_ns: int) -> Interval:
        """Node's monotonic clock minus the run's, around the node's ``node_mono_ns``."""
        at = bisect.bisect_left(self._keys, node_mono_ns)
        near = self._exchanges[max(0, at - NEIGHBOURS) : at + NEIGHBOURS]
        bounds = [self._bound(e, node_mono_ns) for e in near]
        lo, hi = max(b.lo for b in bounds), min(b.hi for b in bounds)
        if lo <= hi:
            return Interval(lo, hi)
        # The intervals exclude each other: the drift was above DRIFT_PPM_MAX. Their
        # hull is the honest answer.
        return Interval(min(b.lo for b in bounds), max(b.hi for b in bounds))

    def to_run(self, node_mono_ns: int) -> Interval:
        """When, in the run's time, the node's monotonic clock showed ``node_mono_ns``."""
        offset = self.offset(node_mono_ns)
        return Interval(node_mono_ns - offset.hi, node_mono_ns - offset.lo)

    def wall_to_run(self, node_wall_ns: int) -> Interval:
        """When, in the run's time, the node's wall clock shows ``node_wall_ns``.

        Uses the relation between the node's wall and monotonic clocks at the exchange
        nearest to that moment, so a clock stepped later does not change earlier answers.
        """
        nearest = min(self._exchanges, key=lambda e: abs(e.node_wall_ns - node_wall_ns))
        mono = nearest.node_mono_ns + (node_wall_ns - nearest.node_wall_ns)
        return self.to_run(mono)

    @staticmethod
    def _bound(exchange: Exchange, node_mono_ns: int) -> Interval:
        drift = abs(node_mono_ns - exchange.node_mono_ns) * DRIFT_PPM_MAX // 1_000_000
        lo = exchange.node_mono_ns - exchange.received_ns
        hi = exchange.node_mono_ns - exchange.sent_ns
        return Interval(lo, hi).widen(drift)


def wall_offset(exchanges: Sequence[Exchange], base: Tuple[int, int]) -> Optional[Interval]:
    """Node's wall clock minus the controller's, from the exchange with the least delay.

    Args:
        exchanges: with the node; empty gives ``None``.
        base: the controller's (monotonic, wall) nanoseconds read at one moment.
    """
    if not exchanges:
        return None
    return _offset(min(exchanges, key=lambda e: e.received_ns - e.sent_ns), base)


def _offset(one: Exchange, base: Tuple[int, int]) -> Interval:
    base_mono, base_wall = base
    return Interval(
        one.node_wall_ns - (one.received_ns - base_mono + base_wall),
        one.node_wall_ns - (one.sent_ns - base_mono + base_wall),
    )


WALL_DRIFT = 1e-3
"""Two wall clocks that are slewed against each other, 500 ppm each at most."""


def wall_offset_of_all(exchanges: Sequence[Exchange], base: Tuple[int, int]) -> Optional[Interval]:
    """As ``wall_offset``, as all exchanges of a few seconds together bound it.

    Each bounds it by itself; by the time of the closest one the clocks may have drifted apart by
    ``WALL_DRIFT``. It takes for granted that no clock was stepped meanwhile; where exchanges
    contradict each other one was, and the closest exchange alone counts.
    """
    best = wall_offset(exchanges, base)
    if best is None:
        return None
    last = max(one.received_ns for one in exchanges)
    lo, hi = best.lo, best.hi
    for one in exchanges:
        room = int(WALL_DRIFT * (last - one.received_ns))
        bound = _offset(one, base)
        lo, hi = max(lo, bound.lo - room), min(hi, bound.hi + room)
    return Interval(lo, hi) if lo <= hi else best
