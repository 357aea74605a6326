# SPDX-License-Identifier: Apache-2.0
"""Three values, a written lattice, and what wins over what."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.errors import EvidenceError
from gameday.measures.base import Measurement
from gameday.report.verdict import Judgement, Limit, Objective, judge, judge_run, limit_of, worst


def measured(lo: int, hi: int) -> Measurement:
    """A duration in [lo, hi]."""
    return Measurement("m", "re-election", "ns", "measured", lo, hi)


LIMIT = Limit(100, "100")
NEVER = Measurement("m", "re-election", "ns", "never", 120, reason="not by the end")
UNKNOWN = Measurement("m", "re-election", "ns", "unknown", reason="no samples")


@pytest.mark.parametrize(
    "measurement, judgement",
    [
        (measured(10, 100), "met"),
        (measured(10, 101), "unknown"),
        (measured(100, 200), "unknown"),
        (measured(101, 200), "missed"),
        (NEVER, "missed"),
        (Measurement("m", "k", "ns", "never", 100, reason="not by the end"), "unknown"),
        (UNKNOWN, "unknown"),
    ],
)
def test_judge(measurement: Measurement, judgement: str) -> None:
    assert judge(measurement, LIMIT).judgement == judgement
    assert judge(measurement, None).judgement == "reported"


@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 1000))
def test_a_proven_judgement_is_right_for_every_truth_inside(
    lo: int, width: int, at: int, limit: int
) -> None:
    truth = lo + at % (width + 1)
    found = judge(measured(lo, lo + width), Limit(limit, "")).judgement
    if found == "met":
        assert truth <= limit
    if found == "missed":
        assert truth > limit


@pytest.mark.parametrize(
    "judgements, expected",
    [
        (["met", "met"], "met"),
        (["met", "unknown"], "unknown"),
        (["unknown", "missed", "met"], "missed"),
        (["reported", "met"], "met"),
        (["reported"], "unknown"),
        ([], "unknown"),
    ],
)
def test_worst(judgements: list[Judgement], expected: str) -> None:
    assert worst(judgements) == expected


def run(judgement: Judgement, **changes: Any) -> tuple[str, int]:
    """Verdict and exit code of a run with one objective."""
    facts: dict[str, Any] = {"unclean": "", "aborted": "", "invalid": (), "ended": True, **changes}
    found = judge_run([Objective("o", LIMIT, judgement, "why")], **facts)
    return found.verdict, found.exit_code


@pytest.mark.parametrize(
    "judgement, changes, expected",
    [
        ("met", {}, ("met", 0)),
        ("missed", {}, ("not-met", 1)),
        ("unknown", {}, ("unknown", 3)),
        ("met", {"invalid": ("effect",)}, ("invalid", 3)),
        ("missed", {"invalid": ("effect",)}, ("invalid", 3)),
        ("met", {"aborted": "Ctrl-C"}, ("aborted", 3)),
        ("met", {"aborted": "Ctrl-C", "invalid": ("effect",)}, ("aborted", 3)),
        ("met", {"ended": False}, ("aborted", 3)),
        ("met", {"unclean": "left"}, ("not-clean", 4)),
        ("missed", {"unclean": "left", "aborted": "x", "invalid": ("y",)}, ("not-clean", 4)),
    ],
)
def test_judge_run(judgement: Judgement, changes: Any, expected: tuple[str, int]) -> None:
    assert run(judgement, **changes) == expected


def test_no_limit_at_all_is_unknown_and_says_so() -> None:
    found = judge_run(
        [Objective("o", None, "reported", "")], unclean="", aborted="", invalid=(), ended=True
    )
    assert (found.verdict, found.exit_code) == ("unknown", 3)
    assert found.reasons == ("no objective has a limit",)


@pytest.mark.parametrize(
    "objective, at_most",
    [
        ({"at_most_ms": 1500}, 1_500_000_000),
        ({"at_most_ms": None, "at_most_percent": 40}, 400_000),
        ({"at_most_percent": "2.5"}, 25_000),
        ({"at_most": 0}, 0),
        ({}, None),
    ],
)
def test_limits(objective: dict[str, Any], at_most: int | None) -> None:
    found = limit_of({"name": "o", **objective})
    assert (found.at_most if found else None) == at_most


def test_a_limit_that_is_no_number() -> None:
    with pytest.raises(EvidenceError, match="no number"):
        limit_of({"name": "o", "at_most": "soon"})
