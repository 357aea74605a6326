# SPDX-License-Identifier: Apache-2.0
"""Who is cut from whom, for each shape of a partition: pure geometry over names of nodes."""

from __future__ import annotations

from typing import Dict, FrozenSet, List, Sequence, Set, Tuple

from gameday.errors import InvalidInput
from gameday.faults.base import Estate, Pair, Selector

RING_MIN = 3
"""Fewer members than three have no ring."""


def nodes_of(name: str, selector: Selector, estate: Estate) -> Tuple[str, ...]:
    """The nodes that a side selects.

    Raises:
        InvalidInput: where there are none.
    """
    found = estate.select(selector)
    if not found:
        raise InvalidInput(f"{name} selects no node", "name a site, rack, role or node")
    return found


def between(side_a: Sequence[str], side_b: Sequence[str], one_way: bool) -> FrozenSet[Pair]:
    """Pairs across two sides: from a to b, and back unless ``one_way``.

    Raises:
        InvalidInput: where a node is on both sides.
    """
    both = sorted(set(side_a) & set(side_b))
    if both:
        raise InvalidInput(f"on both sides of the cut: {', '.join(both)}")
    there = {(a, b) for a in side_a for b in side_b}
    return frozenset(there if one_way else there | {(b, a) for a, b in there})


def majorities_ring(members: Sequence[str]) -> FrozenSet[Pair]:
    """Every member reaches a majority, and no two reach the same one.

    Members stand in a ring in the order of their names; each reaches its nearest neighbours on
    both sides, as few as make a majority with itself. The idea is Jepsen's.

    Raises:
        InvalidInput: where there are too few.
    """
    count = len(members)
    if count < RING_MIN:
        raise InvalidInput(
            f"side_a: a ring of majorities needs {RING_MIN} nodes, it selects {count}"
        )
    reach = -(-(count // 2) // 2)
    cut: Set[Pair] = set()
    for i in range(count):
        for j in range(count):
            distance = min((i - j) % count, (j - i) % count)
            if i != j and distance > reach:
                cut.add((members[i], members[j]))
    if not cut:
        raise InvalidInput(f"side_a: with {count} nodes a ring of majorities cuts nobody")
    return frozenset(cut)


def peers(cut: FrozenSet[Pair]) -> Tuple[Dict[str, List[str]], Dict[str, List[str]]]:
    """Node to whose packets do not reach it, and to whom its own do not reach; both sorted."""
    sources: Dict[str, List[str]] = {}
    targets: Dict[str, List[str]] = {}
    for a, b in sorted(cut):
        sources.setdefault(b, []).append(a)
        targets.setdefault(a, []).append(b)
    return sources, targets
