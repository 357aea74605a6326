# SPDX-License-Identifier: Apache-2.0
"""Two reports compared: what both intervals prove, and nothing more."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.report.compare import CHANGED, SAME, UNSURE, compare, differences, row_text
from gameday.report.compare_page import page, tone

GOLDEN = Path(__file__).parents[2] / "cases" / "report" / "golden.json"
S = 1_000_000_000


def golden() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(GOLDEN.read_bytes())
    return found


def reports(before: Any, after: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The golden report twice, with its first objective's interval changed; None is unknown."""
    found = []
    for lo_hi in (before, after):
        one = golden()
        one["objectives"] = one["objectives"][:1]
        measurement = one["objectives"][0]["measurement"]
        if lo_hi is None:
            measurement.update(status="unknown", lo=None, hi=None)
        else:
            measurement.update(lo=lo_hi[0], hi=lo_hi[1])
        found.append(one)
    return found[0], found[1]


@pytest.mark.parametrize(
    ("before", "after", "found", "why", "by"),
    [
        ((1 * S, 2 * S), (3 * S, 4 * S), CHANGED, "longer by [1.000, 3.000] s", (S, 3 * S)),
        ((3 * S, 4 * S), (1 * S, 2 * S), CHANGED, "shorter by [1.000, 3.000] s", (-3 * S, -S)),
        ((10 * S, 10 * S), (10 * S, 11 * S), SAME, "within 10 %", (0, S)),
        ((1 * S, 2 * S), (1 * S, 2 * S), UNSURE, "the intervals leave both open", (-S, S)),
        ((10 * S, 10 * S), (11 * S, 12 * S), UNSURE, "leave both open", (S, 2 * S)),
        ((1 * S, 2 * S), (9 * S, None), CHANGED, "longer by", (7 * S, None)),
        ((1 * S, None), (9 * S, 9 * S), UNSURE, "leave both open", (None, 8 * S)),
        (None, (1 * S, 2 * S), UNSURE, "the earlier run does not know it", (None, None)),
        ((1 * S, 2 * S), None, UNSURE, "the later run does not know it", (None, None)),
    ],
)
def test_intervals(before: Any, after: Any, found: str, why: str, by: Any) -> None:
    (row,) = compare(*reports(before, after))
    assert (row.found, row.by) == (found, by)
    assert why in row.why


@given(
    a=st.tuples(st.integers(0, 10 * S), st.integers(0, 10 * S)).map(sorted),
    b=st.tuples(st.integers(0, 10 * S), st.integers(0, 10 * S)).map(sorted),
    share=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_no_true_pair_contradicts_what_is_said(a: Any, b: Any, share: Any) -> None:
    """Whatever the true values within both intervals are, the verdict holds for them."""
    (row,) = compare(*reports(a, b))
    x, y = (lo + int(part * (hi - lo)) for (lo, hi), part in zip((a, b), share, strict=True))
    assert row.by[0] is not None and row.by[1] is not None
    assert row.by[0] <= y - x <= row.by[1]
    if row.found == CHANGED:
        assert abs(y - x) > a[1] * 10 // 100
    if row.found == SAME:
        assert abs(y - x) <= a[1] * 10 // 100


def test_objectives_that_only_one_run_has() -> None:
    before, after = golden(), golden()
    gone, kept = before["objectives"][0]["name"], before["objectives"][1]["name"]
    after["objectives"] = after["objectives"][1:]
    found = {row.name: row for row in compare(before, after)}
    assert (found[gone].found, found[gone].now) == (UNSURE, "absent")
    assert found[gone].why == "only the earlier run has it"
    assert found[kept].found in (SAME, UNSURE)


def test_another_measurement_under_the_same_name() -> None:
    before, after = reports((1, 2), (1, 2))
    after["objectives"][0]["measurement"]["kind"] = "re-election"
    after["objectives"][0]["limit"] = None
    (row,) = compare(before, after)
    assert row.found == UNSURE
    assert row.why == ("time-to-detect is another measurement than re-election; "
                       "its limit is another")  # fmt: skip


def test_shares_are_more_or_less_not_longer() -> None:
    before, after = reports((290_000, 290_000), (88_000, 89_000))
    for one in (before, after):
        one["objectives"][0]["measurement"]["unit"] = "ppm"
    (row,) = compare(before, after)
    assert row.why == "less by [20.1, 20.2] %"


def test_what_else_differs_is_named() -> None:
    before = golden()
    after = copy.deepcopy(before)
    assert differences(before, after) == []
    after["run"]["version"] = "0.2.0"
    after["run"]["nodes"] = after["run"]["nodes"][1:]
    after["experiment"]["timeline"]["recover_s"] = 60
    found = differences(before, after)
    assert found[0] == "gameday that ran it: 0.1.0 -> 0.2.0"
    assert [line.split(":")[0] for line in found[1:]] == ["nodes", "timeline"]


def test_the_page_says_what_the_terminal_says() -> None:
    before, after = reports((1 * S, 2 * S), (3 * S, 4 * S))
    after["experiment"]["title"] = "<b>Frankfurt</b>"
    rows = compare(before, after)
    html = page((before, after), rows, ["nodes: a -> b"], 10)
    assert "<b>" not in html and "&lt;b&gt;Frankfurt" in html
    assert "nodes: a -&gt; b" in html
    assert "changed: longer by [1.000, 3.000] s" in html
    assert "changed      time to detect: [1.000, 2.000] s -> [3.000, 4.000] s" in row_text(rows[0])
    assert [tone(row) for row in rows] == ["bad"]
    assert tone(compare(after, before)[0]) == "good"
