# SPDX-License-Identifier: Apache-2.0
"""The geometry of cuts: literal examples, and laws that hold for every cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.plan.targets import (
    Cut,
    Pair,
    Side,
    Window,
    connected,
    majority,
    phases,
    sides_of,
    spread_pairs,
)

FIVE = ("a", "b", "c", "d", "e")


def between(left: str, right: str) -> Cut:
    """Every pair of letters across, both ways."""
    return frozenset((x, y) for a in left for b in right for x, y in ((a, b), (b, a)))


def one_way(pairs: str) -> Cut:
    """``"ab cd"``: what a sends does not reach b, nor what c sends d."""
    return frozenset((pair[0], pair[1]) for pair in pairs.split())


@pytest.mark.parametrize(
    ("members", "needed"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4)]
)
def test_majority(members: int, needed: int) -> None:
    assert majority(members) == needed


@pytest.mark.parametrize(
    ("about", "cut", "sides"),
    [
        ("nothing is cut", between("", ""), [("abcde", True, True)]),
        ("two and three", between("ab", "cde"), [("ab", False, True), ("cde", True, True)]),
        ("one alone", between("a", "bcde"), [("a", False, True), ("bcde", True, True)]),
        (
            "two, two and one",
            between("ab", "cde") | between("cd", "e"),
            [("ab", False, True), ("cd", False, True), ("e", False, True)],
        ),
        ("a bridge: c reaches all", between("ab", "de"), [("abcde", True, False)]),
        (
            "one way is no way",
            one_way("ac ad ae bc bd be"),
            [("ab", False, True), ("cde", True, True)],
        ),
        (
            "a chain: the middle leads three",
            between("a", "cde") | between("b", "de") | between("c", "e"),
            [("abcde", True, False)],
        ),
        (
            "two, and three of which only the middle can lead",
            between("a", "cde") | between("b", "cde") | between("c", "e"),
            [("ab", False, True), ("cde", True, False)],
        ),
    ],
)  # fmt: skip
def test_sides(about: str, cut: Cut, sides: list[tuple[str, bool, bool]]) -> None:
    assert sides_of(FIVE, cut) == tuple(Side(tuple(m), q, w) for m, q, w in sides), about


def test_a_chain_of_six_has_no_leader() -> None:
    members = tuple("abcdef")
    linked = {("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"), ("e", "f")}
    cut = frozenset(
        (x, y) for x in members for y in members if x != y and not {(x, y), (y, x)} & linked
    )
    assert sides_of(members, cut) == (Side(members, False, False),)


cuts = st.frozensets(
    st.tuples(st.sampled_from(FIVE), st.sampled_from(FIVE)).filter(lambda p: p[0] != p[1])
)
groups = st.lists(st.sampled_from(FIVE), min_size=1, unique=True)


@given(groups, cuts)
def test_sides_partition_the_members(members: list[str], cut: Cut) -> None:
    sides = sides_of(members, cut)
    assert sorted(name for side in sides for name in side.members) == sorted(members)
    for side in sides:
        for other in sides:
            if side is not other:
                for a in side.members:
                    assert not any(connected(a, b, cut) for b in other.members)


@given(groups, cuts)
def test_at_most_one_side_has_quorum_and_it_is_large_enough(members: list[str], cut: Cut) -> None:
    winners = [side for side in sides_of(members, cut) if side.quorum]
    assert len(winners) <= 1
    assert all(len(side.members) >= majority(len(members)) for side in winners)


@given(groups, cuts)
def test_direction_does_not_matter(members: list[str], cut: Cut) -> None:
    assert sides_of(members, cut) == sides_of(members, frozenset((b, a) for a, b in cut))


@given(groups, cuts, cuts)
def test_cutting_more_never_gives_quorum_back(members: list[str], cut: Cut, more: Cut) -> None:
    before = any(side.quorum for side in sides_of(members, cut))
    after = any(side.quorum for side in sides_of(members, cut | more))
    assert before or not after


def test_phases_of_overlapping_windows() -> None:
    windows = [Window("a", 0, 10), Window("b", 5, 15), Window("c", 20, 30)]
    assert phases(windows) == (
        (0, 5, ("a",)),
        (5, 10, ("a", "b")),
        (10, 15, ("b",)),
        (20, 30, ("c",)),
    )
    assert windows[0].overlaps(windows[1])
    assert not Window("a", 0, 10).overlaps(Window("b", 10, 20)), "the end is exclusive"


@given(st.sets(st.tuples(st.sampled_from(FIVE), st.sampled_from(FIVE))), st.integers(0, 8))
def test_spread_pairs_are_candidates_and_never_there_and_back(
    candidates: set[Pair], limit: int
) -> None:
    found = spread_pairs(candidates, limit, lambda _: 0, lambda node: node)
    assert len(found) <= limit
    assert set(found) <= candidates
    assert len({frozenset(pair) for pair in found}) == len(found)


@given(
    st.sets(st.tuples(st.sampled_from(FIVE), st.sampled_from(FIVE))), st.integers(0, 8),
    st.dictionaries(st.sampled_from(FIVE), st.sampled_from("xyz")),
)  # fmt: skip
def test_spread_pairs_take_the_least_used_each_time(
    candidates: set[Pair], limit: int, sites: dict[str, str]
) -> None:
    def site(node: str) -> str:
        return sites.get(node, "x")

    def rank(pair: Pair) -> int:
        return int(pair[0] == FIVE[0])

    wanted: list[Pair] = []
    while len(wanted) < limit:
        taken = [node for pair in wanted for node in pair]
        between = [{site(a), site(b)} for a, b in wanted]
        left = [p for p in candidates if p not in wanted and p[::-1] not in wanted]
        if not left:
            break
        wanted.append(
            min(left, key=lambda p: (
                rank(p), taken.count(p[0]) + taken.count(p[1]),
                between.count({site(p[0]), site(p[1])}), p,
            ))
        )  # fmt: skip
    assert spread_pairs(candidates, limit, rank, site) == tuple(wanted)


def test_spread_pairs_see_every_node_before_one_twice() -> None:
    candidates = {(a, b) for a in "ab" for b in "cd"}
    assert spread_pairs(candidates, 2, lambda _: 0, lambda node: node) == (("a", "c"), ("b", "d"))


def test_spread_pairs_take_the_lower_rank_first() -> None:
    found = spread_pairs({("a", "b"), ("c", "d")}, 1, lambda pair: pair == ("a", "b"), str)
    assert found == (("c", "d"),)
