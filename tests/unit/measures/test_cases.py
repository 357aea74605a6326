# SPDX-License-Identifier: Apache-2.0
"""Runs every case in tests/cases/measures/<kind>/*.json; a kind without a case fails.

A case changes the synthetic truth, names an objective, and says what must come out:

    {"about": "...", "truth": {"detected_ns": null}, "params": {...},
     "expect": {"status": "never", "reason": "part of it", "lo_at_least": 1, "hi_at_most": 2,
                "exactly": [1, 2], "holds": 3, "details": {...}, "evidence": "part of it"}}

Those of workloads have ``calls`` instead of ``truth``: see ``tests.unit.synthetic_calls``. Those of
other probes add ``streams`` to the truth: see ``tests.unit.synthetic_streams``. ``incident`` is
what the experiment's metadata say of the incident that it reproduces.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gameday.measures import TABLE
from gameday.measures.runner import measure_one
from gameday.record.record import Record
from tests.unit.synthetic import make_record
from tests.unit.synthetic_calls import with_calls
from tests.unit.synthetic_streams import with_streams

CASES = Path(__file__).parents[2] / "cases" / "measures"
FILES = sorted(CASES.glob("*/*.json"))
TUPLES = {"users_ns", "drop", "cut_leak"}


def truth_fields(given: dict[str, Any]) -> dict[str, Any]:
    """JSON lists as the tuples and sets that ``Truth`` has."""
    fields = dict(given)
    if "users_ns" in fields:
        fields["users_ns"] = tuple(tuple(span) for span in fields["users_ns"])
    if "drop" in fields:
        fields["drop"] = frozenset(
            (probe, node, target, seq)
            for probe, node, target, first, last in fields["drop"]
            for seq in range(first, last + 1)
        )
    return fields


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_case(path: Path) -> None:
    case = json.loads(path.read_text())
    if "calls" in case:
        record = with_calls(case["calls"], case.get("keys", 1), case.get("silent", ()))
    else:
        record = make_record(**truth_fields(case.get("truth", {})))
    if "streams" in case:
        record = with_streams(record, case["streams"])
    if "incident" in case:
        experiment = record.plan["experiment"]
        metadata = {**experiment["metadata"], "incident": case["incident"]}
        plan = {**record.plan, "experiment": {**experiment, "metadata": metadata}}
        record = Record(plan, record.events, record.samples)
    objective = {"name": path.stem, "measure": path.parent.name, "params": case["params"]}
    found, expect = measure_one(record, objective), case["expect"]
    assert found.status == expect["status"], found.reason
    assert expect.get("reason", "") in found.reason
    assert expect.get("evidence", "") in " | ".join(found.evidence)
    for key, value in expect.get("details", {}).items():
        assert found.details[key] == value, key
    if "lo_at_least" in expect:
        assert found.lo is not None and found.lo >= expect["lo_at_least"]
    if "hi_at_most" in expect:
        assert found.hi is not None and found.hi <= expect["hi_at_most"]
    if "exactly" in expect:
        assert [found.lo, found.hi] == expect["exactly"]
    if "holds" in expect:
        assert found.lo is not None and found.hi is not None
        assert found.lo <= expect["holds"] <= found.hi


@pytest.mark.parametrize("kind", sorted(TABLE))
def test_every_kind_has_a_case(kind: str) -> None:
    assert any(path.parent.name == kind for path in FILES)


def test_every_case_is_of_a_kind() -> None:
    assert {path.parent.name for path in FILES} <= set(TABLE)
