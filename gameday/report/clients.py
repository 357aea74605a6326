# SPDX-License-Identifier: Apache-2.0
"""Client failure of every kind of client that a run has a probe for. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gameday.measures.base import Measurement
from gameday.measures.runner import measure_one
from gameday.record.record import Record

CLIENT_KIND = "http"
CLIENT_DEFAULT = "honours-ttl"
MEASURES = {
    "share": "client-failure-share",
    "longest": "client-failure-longest",
    "total": "client-failure-total",
}


def client_rows(record: Record, known: Sequence[Measurement] = ()) -> list[dict[str, Any]]:
    """Client failure of every http probe, by the kind of client that it stands for.

    Args:
        known: measurements of the first fault that need not be made again.
    """
    if not record.plan["faults"]:
        return []
    objectives = record.plan["experiment"]["objectives"]
    made = {
        (one.kind, str((objective.get("params") or {}).get("probe"))): one
        for objective, one in zip(objectives, known, strict=False)
        if not (objective.get("params") or {}).get("fault")
    }
    rows = []
    for probe in record.plan["probes"]:
        if probe["kind"] != CLIENT_KIND:
            continue
        name = str(probe["name"])
        row: dict[str, Any] = {
            "probe": name,
            "client": (probe.get("params") or {}).get("client") or CLIENT_DEFAULT,
        }
        for word, kind in MEASURES.items():
            one = made.get((kind, name)) or measure_one(
                record, {"name": word, "measure": kind, "params": {"probe": name}}
            )
            row[word] = _short(one)
        rows.append(row)
    return rows


def _short(one: Measurement) -> dict[str, Any]:
    return {
        "unit": one.unit, "status": one.status, "lo": one.lo, "hi": one.hi, "reason": one.reason,
    }  # fmt: skip
