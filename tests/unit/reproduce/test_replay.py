# SPDX-License-Identifier: Apache-2.0
"""Windows of looks to points of a fault: what is added, how exactly, and what is refused."""

from __future__ import annotations

import math
from random import Random

import pytest

from gameday.errors import InvalidInput
from gameday.faults import profiles
from gameday.reproduce.replay import (
    LOSS_LOOKS,
    POINTS_MAX,
    base_of,
    cut,
    profile_of,
    replay,
)
from gameday.reproduce.series import PPM, Look

T0 = 1_772_330_400_000
BASE = 12_000


def series(values: list[int | None], every_ms: int = 250, start: int = T0) -> list[Look]:
    """Looks at one packet each; None is a lost one."""
    return [
        Look(i + 2, start + i * every_ms, value, 0 if value is not None else PPM)
        for i, value in enumerate(values)
    ]


def wave(count: int, every_ms: int = 250) -> list[Look]:
    values: list[int | None] = [
        BASE + round(60_000 * abs(math.sin(i * every_ms / 10_000))) for i in range(count)
    ]
    return series(values, every_ms)


def test_looks_on_the_schedule_are_held_exactly() -> None:
    found = replay(wave(241), T0, T0 + 60_000, BASE)
    assert (found.error_p95_us, found.error_max_us) == (0, 0)
    assert (found.step_ms, found.for_s, found.looks, found.answers) == (100, 60, 241, 241)
    assert found.points[0].at_ms == 0 and len(found.points) == 241


@pytest.mark.parametrize("step_ms", [None, 100, 1000, 5000])
@pytest.mark.parametrize("seed", range(5))
def test_the_stated_error_is_that_of_what_the_node_holds(seed: int, step_ms: int | None) -> None:
    random = Random(seed)  # noqa: S311 - reproducible, not secret
    at, looks = T0, []
    for line in range(2, 300):
        looks.append(Look(line, at, random.randint(8_000, 90_000)))
        at += random.randint(37, 411)
    end = T0 + (at - T0) // 1000 * 1000
    looks = [look for look in looks if look.at_ms <= end]
    found = replay(looks, T0, end, BASE, step_ms)
    profile = profile_of(found.points)
    every = found.every_ms
    assert every == {None: 50, 100: 50, 1000: 200, 5000: 1000}[step_ms]
    held = [
        BASE + profiles.value_at(profile, (x.at_ms - T0) // every * every * 1000).rtt_us
        for x in looks
    ]
    errors = sorted(abs((x.rtt_us or 0) - h) for x, h in zip(looks, held, strict=True))
    assert found.error_max_us == errors[-1]
    assert sum(e <= found.error_p95_us for e in errors) >= 0.95 * len(errors)
    assert found.below_base == sum((x.rtt_us or 0) < BASE for x in looks)
    times = [point.at_ms for point in found.points]
    assert times == sorted(set(times)) and times[0] == 0
    assert all(point.rtt_us >= 0 for point in found.points)


def test_a_longer_step_costs_accuracy_and_says_so() -> None:
    near, far = (replay(wave(241), T0, T0 + 60_000, BASE, step) for step in (250, 5000))
    assert near.error_p95_us < far.error_p95_us and len(far.points) < len(near.points)


def test_the_step_is_the_shortest_that_fits() -> None:
    looks = wave(3600, 1000)
    found = replay(looks, T0, T0 + 3_599_000, BASE)
    assert found.step_ms == 5000 and len(found.points) <= POINTS_MAX + 1
    with pytest.raises(InvalidInput, match="points; at most"):
        replay(looks, T0, T0 + 3_599_000, BASE, 100)


def test_lost_answers_become_a_share_and_no_round_trip() -> None:
    values: list[int | None] = [50_000] * 100
    values[50] = values[60] = None
    found = replay(series(values), T0, T0 + 24_000, BASE)
    assert {point.rtt_us for point in found.points} == {38_000}
    shares = [point.loss_ppm for point in found.points]
    assert max(shares) == 2 * PPM // LOSS_LOOKS and shares[0] == 0 and shares[-1] == 0


def test_a_share_that_was_recorded_is_replayed_as_it_is() -> None:
    looks = [Look(i + 2, T0 + i * 1000, None, 0 if i < 5 else 125_000) for i in range(11)]
    found = replay(looks, T0, T0 + 10_000, 0)
    assert [point.loss_ppm for point in found.points] == [0] * 5 + [125_000] * 6
    assert not any(point.rtt_us for point in found.points)


def test_a_window_of_nothing_unusual_is_refused() -> None:
    with pytest.raises(InvalidInput, match="nothing in the window is above"):
        replay(series([BASE] * 40), T0, T0 + 9_000, BASE)


def test_the_base_is_the_median_of_a_quiet_time() -> None:
    looks = series([11_000, None, 12_000, 12_100, 90_000])
    assert base_of(looks, T0, T0 + 1_000) == 12_000
    with pytest.raises(InvalidInput, match="has 1 answers"):
        base_of(looks, T0, T0 + 300)


def test_a_window_is_cut_and_both_ends_belong_to_it() -> None:
    found = cut(wave(100), T0 + 5_000, T0 + 10_000, None, "inc.csv")
    assert (found[0].at_ms, found[-1].at_ms, len(found)) == (T0 + 5_000, T0 + 10_000, 21)


def test_every_hole_is_told_with_its_lines() -> None:
    looks = wave(200)
    looks = looks[:40] + looks[60:100] + looks[120:]
    with pytest.raises(InvalidInput) as caught:
        cut(looks, T0, T0 + 49_000, None, "inc.csv")
    first, second = caught.value.problems
    assert "a hole of 5.25 s between lines 41 and 62" in first and "--hole 6s" in first
    assert "between lines 101 and 122" in second
    assert len(cut(looks, T0, T0 + 49_000, 6_000, "inc.csv")) == 157


def test_a_window_that_the_evidence_does_not_cover() -> None:
    with pytest.raises(InvalidInput) as caught:
        cut(wave(100), T0 - 10_000, T0 + 40_000, None, "inc.csv")
    before, after = caught.value.problems
    assert "before line 2" in before and "after line 101" in after
    with pytest.raises(InvalidInput, match="has 0 looks in the window") as none:
        cut(wave(100), T0 + 3_600_000, T0 + 3_610_000, None, "inc.csv")
    assert "2026-03-01T02:00:00.000Z" in none.value.hint


@pytest.mark.parametrize("length_ms", [500, 3_601_000])
def test_a_window_that_no_fault_may_last(length_ms: int) -> None:
    with pytest.raises(InvalidInput, match="a fault lasts 1 to 3600 s"):
        cut(wave(100), T0, T0 + length_ms, None, "inc.csv")
