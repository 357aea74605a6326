# SPDX-License-Identifier: Apache-2.0
"""Stored records are measured the same for ever.

Each directory of tests/cases/records is a run as it lay on disk under the schema of its day, and
``measured.json`` what was said of it then. Where a measurement is made better on purpose, look at
the difference, then write that file anew: python -m tests.unit.measures.test_old_records
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gameday.measures.runner import measure_one
from gameday.record.record import load
from gameday.report.build import build_report

RECORDS = Path(__file__).resolve().parents[2] / "cases" / "records"
MEASURED = "measured.json"
NUMBERS = ("status", "lo", "hi", "parts", "start", "end", "details", "reason")


def measured(directory: Path) -> dict[str, Any]:
    """The numbers of a record, without the sentences about them."""
    report = build_report(load(directory))
    return {
        "objectives": {
            o["name"]: {key: o["measurement"][key] for key in NUMBERS} for o in report["objectives"]
        },
        "predictions": {p["id"]: p["observed"] for p in report["predictions"]},
        "effect": {e["fault"]: [e["held"], e["onset"]] for e in report["effect"]},
        "coverage": [[c["probe"], c["node"], c["target"], c["due"], c["delivered"], c["gaps"]]
                     for c in report["coverage"]],
        "clocks": report["clocks"],
        "verdict": report["verdict"]["verdict"],
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(path.name for path in RECORDS.iterdir()))
def test_an_old_record_is_measured_as_it_was(name: str) -> None:
    expected = json.loads((RECORDS / name / MEASURED).read_bytes())
    assert measured(RECORDS / name) == expected


NEWER = {
    "quorum-loss": {"probe": "etcd-write", "group": "main"},
    "leader-changes": {"probe": "etcd-status", "group": "main"},
    "premature-reintroduction": {"probe": "dns", "writes": "etcd-write", "site": "frankfurt"},
    "false-green": {"probe": "dns", "users": "user-http", "site": "frankfurt"},
}


@pytest.mark.parametrize("name", sorted(path.name for path in RECORDS.iterdir()))
@pytest.mark.parametrize("kind", sorted(NEWER))
def test_measures_that_are_younger_than_a_record_read_it(name: str, kind: str) -> None:
    """Its faults cut Frankfurt off; nobody knew then that these would be asked."""
    found = measure_one(
        load(RECORDS / name), {"name": kind, "measure": kind, "params": NEWER[kind]}
    )
    assert found.status == "measured", found.reason


if __name__ == "__main__":
    for path in RECORDS.iterdir():
        text = json.dumps(measured(path), indent=1, sort_keys=True)
        (path / MEASURED).write_text(text + "\n", encoding="utf-8")
