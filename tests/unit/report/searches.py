# SPDX-License-Identifier: Apache-2.0
"""Searches of synthetic runs, signed: what a search of a real estate leaves behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gameday.record.record import PLAN
from gameday.report.finish import finish_run
from gameday.report.search import Asked, finish, row
from gameday.report.sign import SigningKey
from tests.unit.synthetic import Truth, write_run

BASE_US = 12_000
ASKED = Asked(
    ("frankfurt", "london"), {("frankfurt", "london"): BASE_US}, 20_000, 90_000, 10, 2, 30
)


def made(directory: Path, signing: SigningKey, rtt_us: int, **truth: Any) -> Path:
    """A run that asked for that round trip, judged and signed."""
    write_run(directory, Truth(**truth))
    path = directory / PLAN
    plan = json.loads(path.read_text(encoding="utf-8"))
    (fault,) = plan["faults"]
    fault["sides"] = {"from": ["fra-1", "fra-2"], "to": ["lon-1", "lon-2"], "at": []}
    for lease in fault["leases"]:
        points = [[0, rtt_us - BASE_US, 0, 0]]
        lease["spec"] = {"profile": {"shape": "steps", "points": points}}
    path.write_text(json.dumps(plan, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    finish_run(directory, signing)
    return directory


def search(directory: Path, signing: SigningKey) -> Path:
    """A search over two runs: 20 ms are kept, at 90 ms an objective is missed."""
    made(directory / "kept", signing, 20_000)
    made(directory / "broke", signing, 90_000, detected_ns=25_000_000_000)
    rows = [row(directory / "kept", 20_000), row(directory / "broke", 90_000)]
    finish(directory, ASKED, rows, signing)
    return directory
