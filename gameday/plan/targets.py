# SPDX-License-Identifier: Apache-2.0
"""Who can talk to whom: pure geometry over names of nodes. Applies nothing.

A cut is a set of directed pairs: (a, b) means that what a sends does not reach b. Raft
needs both directions between a leader and a follower, so two members count as connected
only where neither direction is cut.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

Pair = tuple[str, str]
Cut = frozenset[Pair]


@dataclass(frozen=True)
class Side:
    """Members of a group that are connected with each other, directly or over others.

    Attributes:
        members: sorted.
        quorum: whether some member reaches a majority directly, itself included, so that
            it can lead. Where none does, this side certainly cannot write.
        whole: whether every two of them reach each other. Where not (a bridge), a side
            with quorum may still change leaders again and again.
    """

    members: tuple[str, ...]
    quorum: bool
    whole: bool


@dataclass(frozen=True)
class Window:
    """When a fault is in effect, in seconds after T0: [at_s, end_s)."""

    name: str
    at_s: int
    end_s: int

    def overlaps(self, other: Window) -> bool:
        """Whether both are in effect at some moment."""
        return self.at_s < other.end_s and other.at_s < self.end_s


def majority(members: int) -> int:
    """How many of ``members`` are more than half of them."""
    return members // 2 + 1


def connected(a: str, b: str, cut: Cut) -> bool:
    """Whether two nodes reach each other in both directions."""
    return (a, b) not in cut and (b, a) not in cut


def sides_of(members: Sequence[str], cut: Cut) -> tuple[Side, ...]:
    """The sides a cut splits a group into: those without quorum first, then by name.

    Every member is on exactly one side, and at most one side has quorum.
    """
    peers = {a: {b for b in members if a != b and connected(a, b, cut)} for a in members}
    needed = majority(len(members))
    found = []
    left = set(members)
    while left:
        side = _component(min(left), peers)
        left -= side
        found.append(
            Side(
                tuple(sorted(side)),
                any(len(peers[a]) + 1 >= needed for a in side),
                all(len(peers[a]) + 1 == len(side) for a in side),
            )
        )
    return tuple(sorted(found, key=lambda s: (s.quorum, s.members)))


def _component(start: str, peers: dict[str, set[str]]) -> set[str]:
    seen, todo = {start}, [start]
    while todo:
        for peer in peers[todo.pop()] - seen:
            seen.add(peer)
            todo.append(peer)
    return seen


def phases(windows: Iterable[Window]) -> tuple[tuple[int, int, tuple[str, ...]], ...]:
    """The timeline in pieces in which the same faults are in effect: (from, to, their names).

    Pieces without a fault are left out.
    """
    known = tuple(windows)
    edges = sorted({edge for w in known for edge in (w.at_s, w.end_s)})
    found = []
    for start, end in itertools.pairwise(edges):
        names = tuple(w.name for w in known if w.at_s < end and start < w.end_s)
        if names:
            found.append((start, end, names))
    return tuple(found)


def spread_pairs(
    candidates: Iterable[Pair], limit: int, rank: Callable[[Pair], int], site: Callable[[str], str]
) -> tuple[Pair, ...]:
    """Up to ``limit`` pairs: lowest rank first, then spread over nodes and pairs of sites.

    A pair is taken in one direction only, since an echo needs both.
    """
    # Among five hundred nodes there are a quarter of a million pairs: each is ranked once, and
    # only those of the lowest rank that is left compete.
    ranked: dict[int, list[Pair]] = {}
    for pair in sorted(candidates):
        ranked.setdefault(rank(pair), []).append(pair)
    taken = _Taken(site)
    for _, left in sorted(ranked.items()):
        taken.choose(left, limit)
    return tuple(taken.pairs)


class _Taken:
    """Pairs that were taken, and how often each node and each pair of sites is among them."""

    def __init__(self, site: Callable[[str], str]) -> None:
        self.pairs: list[Pair] = []
        self._site = site
        self._used: Counter[str] = Counter()
        self._between: Counter[frozenset[str]] = Counter()

    def choose(self, sorted_pairs: Iterable[Pair], limit: int) -> None:
        """Take the pair whose nodes, then whose sites, were taken least, until there are enough."""
        # A heap for each pair of sites. What a pair costs only grows, so one that is on top with
        # what it costs now is the least of its heap: the others need not be looked at.
        heaps: dict[frozenset[str], list[tuple[int, Pair]]] = {}
        for pair in sorted_pairs:
            heaps.setdefault(self._sites(pair), []).append((self._cost(pair), pair))
        for heap in heaps.values():
            heapq.heapify(heap)
        while len(self.pairs) < limit:
            tops = [(top[0], self._between[sites], top[1])
                    for sites, heap in heaps.items() if (top := self._top(heap))]  # fmt: skip
            if not tops:
                return
            _, _, pair = min(tops)
            heapq.heappop(heaps[self._sites(pair)])
            self.pairs.append(pair)
            self._used.update(pair)
            self._between[self._sites(pair)] += 1

    def _top(self, heap: list[tuple[int, Pair]]) -> tuple[int, Pair] | None:
        while heap:
            cost, pair = heap[0]
            now = self._cost(pair)
            if pair in self.pairs or pair[::-1] in self.pairs:
                heapq.heappop(heap)
            elif now != cost:
                heapq.heapreplace(heap, (now, pair))
            else:
                return cost, pair
        return None

    def _cost(self, pair: Pair) -> int:
        return self._used[pair[0]] + self._used[pair[1]]

    def _sites(self, pair: Pair) -> frozenset[str]:
        return frozenset((self._site(pair[0]), self._site(pair[1])))
