# SPDX-License-Identifier: Apache-2.0
"""The linearizability checker against every order tried, and against known histories."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gameday.clock import Interval
from gameday.measures.calls import ABSENT, Call
from gameday.measures.register import check, first_wrong
from tests.unit.measures.brute import linearizable
from tests.unit.measures.histories import MS, right_history

FILES = sorted((Path(__file__).parents[2] / "cases" / "histories").glob("*.json"))


def call(  # noqa: PLR0917 - a call has that many parts
    number: int, op: Any, value: str, begin: int, end: int | None, was: str = ABSENT
) -> Call:
    """One call, by moments that are known exactly."""
    closed = None if end is None else Interval(end, end)
    return Call(f"p{number}", f"p{number}#0", "k", op, value, Interval(begin, begin), closed, was)


@st.composite
def histories(draw: st.DrawFn, unique: bool, differs: bool) -> list[Call]:
    """Up to seven calls over few moments, right or wrong; some without an answer."""
    ops = ["read", "write", "swap", *(["differs"] if differs else [])]
    size = draw(st.integers(1, 7))
    values = [ABSENT, *(f"v{n}" for n in range(size if unique else 3))]
    found = []
    for number in range(size):
        op = draw(st.sampled_from(ops))
        begin = draw(st.integers(0, 12))
        end = begin + draw(st.integers(0, 8))
        is_open = op in ("write", "swap") and draw(st.integers(0, 2)) == 0
        put = f"v{number}" if unique else draw(st.sampled_from(values[1:]))
        value = draw(st.sampled_from(values)) if op in ("read", "differs") else put
        was = draw(st.sampled_from(values)) if op == "swap" else ABSENT
        found.append(call(number, op, value, begin, None if is_open else end, was))
    return found


@settings(max_examples=1500, deadline=None)
@given(
    st.one_of(
        *(histories(unique, differs) for unique in (True, False) for differs in (True, False))
    )
)
@example(
    [call(0, "write", "a", 0, None), call(1, "swap", "b", 5, None, "a"), call(2, "read", "b", 6, 9)]
)
@example(
    [call(0, "write", "c", 0, None), call(1, "swap", "a", 0, None, "c"),
     call(2, "read", "a", 0, 0), call(3, "write", "a", 1, None)]
)  # fmt: skip
def test_agrees_with_every_order_tried(calls: list[Call]) -> None:
    expected = "linearizable" if linearizable(calls) else "violation"
    assert check(calls).outcome == expected


def parse(lines: list[list[Any]]) -> list[Call]:
    """[process, op, value, begin, end] and for a swap the value that was there, of one register."""
    found = []
    for number, (process, op, value, begin, end, *was) in enumerate(lines):
        one = call(number, op, value, begin, end, *was)
        found.append(Call(process, one.name, "k", one.op, value, one.begin, one.end, one.was))
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_known_history(path: Path) -> None:
    case = json.loads(path.read_text())
    found = check(parse(case["calls"]))
    assert found.outcome == case["expect"], case["about"]
    if "wrong" in case:
        wrong = first_wrong(parse(case["calls"]))
        assert wrong is not None
        assert [wrong.process, wrong.op, wrong.value] == case["wrong"]


@pytest.mark.parametrize("seed", range(20))
def test_bounds_of_clocks_never_invent_a_contradiction(seed: int) -> None:
    random = Random(seed)  # noqa: S311 - reproducible, not secret
    calls = right_history(random, "k", 200, 4, 0.2, bound_ns=random.randrange(1, 40) * MS)
    assert check(calls).outcome == "linearizable"


def test_too_many_states_are_undecided() -> None:
    calls = right_history(Random(1), "k", 200)  # noqa: S311 - reproducible, not secret
    assert check(calls, states_max=3).outcome == "undecided"
