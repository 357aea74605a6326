# SPDX-License-Identifier: Apache-2.0
"""When each incident was last reproduced: out of reports alone."""

from __future__ import annotations

from typing import Any

from gameday.report.incidents import HEAD, as_recorded, collect, line, others, table

S = 1_000_000_000
MIDNIGHT = 1_767_225_600 * S


def report(  # noqa: PLR0917 - what differs between runs
    name: str, replayed: str, at_s: int = 0, estate: str = "met", outcome: str = "completed",
    fixed_by: str = "",
) -> dict[str, Any]:  # fmt: skip
    """As much of a report as is read."""

    def objective(kind: str, judgement: str) -> dict[str, Any]:
        measurement = {"kind": kind, "unit": "ppm", "status": "measured", "lo": 1000, "hi": 21_000}
        return {"name": kind, "judgement": judgement, "measurement": measurement}

    fixed = {"fixed_by": fixed_by} if fixed_by else {}
    return {
        "run": {"started_wall_ns": MIDNIGHT + at_s * S},
        "experiment": {"name": name.lower(), "incident": {"id": name, **fixed}},
        "verdict": {"verdict": "met" if estate == "met" else "not-met", "outcome": outcome},
        "objectives": [objective("replay-error", replayed), objective("rtt-achieved", "missed"),
                       objective("leader-changes", estate)],
    }  # fmt: skip


def test_last_reproduced_is_the_newest_run_that_was_as_recorded() -> None:
    runs = [
        ("a", report("INC-1", "met", 60)), ("b", report("INC-1", "met", 120)),
        ("c", report("INC-1", "missed", 180)), ("d", report("INC-2", "met", 240, "missed")),
        ("e", report("INC-2", "met", 300, outcome="invalid")),
    ]  # fmt: skip
    one, two = collect([], runs)
    assert (one.name, one.reproduced, one.newest) == ("INC-1", MIDNIGHT + 120 * S, runs[2])
    assert (two.reproduced, two.newest) == (MIDNIGHT + 240 * S, runs[4])
    assert line(one)[1:4] == (
        "2026-01-01 00:02:00 UTC", "missed [0.1, 2.1] %", "objectives met (the estate: met), c",
    )  # fmt: skip
    assert line(two)[2].startswith("unknown")


def test_a_suite_names_what_was_never_run_and_leaves_out_what_is_not_its_own() -> None:
    suite = [{"name": "inc-3", "incident": {"id": "INC-3", "fixed_by": "https://git.example/3"}},
             {"name": "wan", "incident": None}]  # fmt: skip
    rows = [line(one) for one in collect(suite, [("a", report("INC-1", "met"))])]
    assert rows == [("INC-3", "never", "", "not run here", "https://git.example/3"),
                    ("wan", "never", "", "not run here", "")]  # fmt: skip
    lines = table(rows)
    assert len(lines) == 3 and lines[0].startswith(HEAD[0]) and lines[1].endswith("git.example/3")


def test_what_mended_it_is_what_the_suite_says_now() -> None:
    runs = [("a", report("INC-1", "met", fixed_by="old"))]
    assert collect([], runs)[0].fixed_by == "old"
    suite = [{"name": "inc-1", "incident": {"id": "INC-1", "fixed_by": "new"}}]
    assert collect(suite, runs)[0].fixed_by == "new"


def test_the_estate_is_judged_apart_from_the_replay() -> None:
    found = report("INC-1", "missed", estate="met")
    assert others(found) == "met"
    assert as_recorded(found) == ("missed", "[0.1, 2.1] %")
    assert as_recorded({**found, "objectives": []}) == ("", "")
