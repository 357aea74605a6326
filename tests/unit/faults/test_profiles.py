# SPDX-License-Identifier: Apache-2.0
"""Profiles as functions of time; shapes by their corners, bounds by brute force."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.errors import InvalidInput
from gameday.faults import profiles
from gameday.faults.base import Selector
from gameday.faults.excursion import ExcursionParams, Point, profile_of

RAMP = {"shape": "ramp", "points": [[0, 0, 0, 0], [1000, 100, 10_000, 500], [2000, 40, 0, 0]]}
REPEATING = {"base": [10, 0, 0], "peak": [110, 0, 0], "period_us": 1000, "width_us": 400}


def test_ramp_and_steps() -> None:
    assert profiles.value_at(RAMP, 500) == (50, 5000, 0)
    assert profiles.value_at(RAMP, 1500).rtt_us == 70
    assert profiles.value_at(RAMP, 99_999).rtt_us == 40, "the last value holds"
    steps = {**RAMP, "shape": "steps"}
    assert profiles.value_at(steps, 999).rtt_us == 0
    assert profiles.value_at(steps, 1000) == (100, 10_000, 500)


@pytest.mark.parametrize(
    ("shape", "at", "rtt"),
    [
        ("sawtooth", 0, 10), ("sawtooth", 500, 60), ("sawtooth", 2250, 35),
        ("pulse", 399, 110), ("pulse", 400, 10), ("pulse", 3000, 110),
        ("spike", 0, 10), ("spike", 100, 60), ("spike", 200, 110), ("spike", 300, 60),
        ("spike", 700, 10),
    ],
)  # fmt: skip
def test_repeating(shape: str, at: int, rtt: int) -> None:
    assert profiles.value_at({"shape": shape, **REPEATING}, at).rtt_us == rtt


ALL: list[dict[str, Any]] = [
    RAMP, {**RAMP, "shape": "steps"}, dict(profiles.constant(7)),
    *({"shape": shape, **REPEATING} for shape in profiles.REPEATING),
]  # fmt: skip


@given(st.sampled_from(ALL), st.integers(0, 3000), st.integers(0, 1500))
def test_bounds_hold_every_value(profile: dict[str, Any], first: int, length: int) -> None:
    low, high = profiles.bounds(profile, first, first + length)
    values = [profiles.value_at(profile, at).rtt_us for at in range(first, first + length + 1, 7)]
    assert low <= min(values) and max(values) <= high
    assert high <= profiles.peak(profile).rtt_us


def params(**more: Any) -> ExcursionParams:
    return ExcursionParams(Selector(site=("a",)), Selector(site=("b",)), **more)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "points is missing"),
        ({"points": (Point(5),)}, "points must begin at at_ms: 0"),
        ({"points": (Point(0), Point(0))}, "points must be in order"),
        ({"shape": "trace"}, "trace_file is missing"),
        ({"shape": "pulse"}, "peak is missing"),
        ({"shape": "pulse", "peak": Point(0, 9), "period_ms": 10}, "period_ms must be"),
        ({"shape": "pulse", "peak": Point(0, 9), "period_ms": 900}, "width_ms is needed"),
        ({"points": (Point(0),), "peak": Point(0)}, "base and peak are for"),
    ],
)
def test_incomplete_profiles_are_refused(more: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput) as error:
        profile_of(params(**more))
    assert said in error.value.message
