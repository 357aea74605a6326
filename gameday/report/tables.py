# SPDX-License-Identifier: Apache-2.0
"""Small tables beside the objectives: each kind of client, each detector. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gameday.report.words import interval_text

CLIENT_WORDS = ("share", "longest", "total")
CLIENT_TITLES = ("Client", "Probe", "Failed", "Longest outage", "All outages")
DETECTOR_TITLES = ("Detector", "Noticed after", "What it said")
DETECT = "time-to-detect"


def client_table(report: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """A line per kind of client, as texts under ``CLIENT_TITLES``."""
    return [
        (row["client"], row["probe"], *(interval_text(row[word]) for word in CLIENT_WORDS))
        for row in report.get("clients", ())
    ]


def detector_table(report: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """A line per detector of every ``time-to-detect``, as texts under ``DETECTOR_TITLES``."""
    lines: list[tuple[str, ...]] = []
    for objective in report["objectives"]:
        measurement = objective["measurement"]
        if measurement["kind"] != DETECT:
            continue
        for row in measurement["details"].get("detectors", ()):
            said = row.get("what") or row.get("reason") or ""
            lines.append((str(row["name"]), _noticed(row), str(said)))
    return lines


def _noticed(row: Mapping[str, Any]) -> str:
    if row["status"] == "never":
        return f"not in {interval_text({**row, 'unit': 'ns'})[2:]}"
    return interval_text({**row, "unit": "ns"})
