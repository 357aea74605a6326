# SPDX-License-Identifier: Apache-2.0
"""A reproduction's page: both curves, their distance, and every number of it as text."""

from __future__ import annotations

import re
from typing import Any

from gameday.record.record import Record
from gameday.report.build import build_report
from gameday.report.html import render
from gameday.report.replayed import draw
from gameday.report.round_trips import HEAD, csv
from gameday.report.sign import Identity
from gameday.reproduce.read import Asked, parse
from tests.unit.synthetic import make_record

INCIDENT = {
    "id": "INC-2041", "evidence": "<night>.csv", "sha256": "ab" * 32, "window": ["then", "now"],
    "base_us": 12_000, "step_ms": 500, "error_p95_us": 0, "error_max_us": 0, "compare_ms": 2000,
    "recorded": [[2000 * i + 1000, 36_000 + 1000 * i, 8, 0] for i in range(14)],
}  # fmt: skip
OBJECTIVE = {"name": "as recorded", "measure": "replay-error", "at_most_percent": 5,
             "params": {"probe": "mesh"}}  # fmt: skip


def reproduced(incident: dict[str, Any]) -> Record:
    """A run of 36 ms that reproduces an incident."""
    record = make_record(added_us=24_000)
    experiment = record.plan["experiment"]
    metadata = {**experiment["metadata"], "incident": incident}
    plan = {**record.plan, "experiment": {**experiment, "metadata": metadata,
                                          "objectives": [OBJECTIVE]}}  # fmt: skip
    return Record(plan, record.events, record.samples)


def test_the_page_has_both_curves_and_every_number() -> None:
    record = reproduced(INCIDENT)
    report = build_report(record)
    page = render(report, record, Identity("SHA256:abc", "operator@controller"))
    assert "Recorded and replayed, " in page and 'class="recorded"' in page
    assert page.count('class="replayed"') == page.count('class="apart"') == 14
    assert '<td class="num">49.00 ms</td>' in page
    assert "INC-2041" in page and "&lt;night&gt;.csv" in page and "ab" * 32 in page
    assert report["experiment"]["incident"]["id"] == "INC-2041"
    assert "recorded" not in report["experiment"]["incident"]


def test_a_run_that_reproduces_nothing_says_nothing_of_it() -> None:
    record = make_record(added_us=24_000)
    report = build_report(record)
    page = render(report, record, Identity("SHA256:abc", "operator@controller"))
    assert "incident" not in report["experiment"]
    assert "<dt>Incident</dt>" not in page and 'class="recorded"' not in page


def test_a_step_of_which_nothing_is_known_is_marked() -> None:
    found = draw([[500, 20_000, 19_000, 21_000], [1500, 20_000, None, None]])
    assert found.count('class="replayed"') == 1
    assert ">?</text>" in found


def test_round_trips_leave_a_run_as_evidence() -> None:
    """What is exported is read again as it is: its order, its losses, to the microsecond."""
    record = make_record(added_us=24_000, drop=frozenset({("mesh", "fra-1", "lon-1", 3)}))
    lines = list(csv(record, "mesh", ("fra-1", "lon-1")))
    assert lines[0] == HEAD + "\n"
    assert re.fullmatch(
        r"2026-01-01T00:00:\d\d\.\d{6}Z,fra-1>lon-1,12\.\d{3},\d\.\d{3}\n", lines[1]
    )
    looks = parse("".join(lines), "run.csv", Asked({}))
    seen = record.seen("mesh")["fra-1", "lon-1"]
    assert len(looks) == len(seen)
    assert {look.rtt_us for look in looks} == {12_000, 36_000}
