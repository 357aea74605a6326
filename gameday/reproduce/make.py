# SPDX-License-Identifier: Apache-2.0
"""A replayable window of evidence to an experiment that names its incident. Pure.

Probes, objectives and aborts are those of ``gameday excurse`` at the longest round trip of the
window; only the fault, and what is said about it, are the incident's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import yaml

from gameday.experiment.limits import NAME_MAX
from gameday.experiment.load import parse_experiment
from gameday.faults.excursion import Point
from gameday.plan import excurse
from gameday.plan.estate import Inventory
from gameday.plan.make import make_plan
from gameday.plan.model import Plan
from gameday.plan.wish import Wish
from gameday.reproduce.read import Evidence
from gameday.reproduce.recorded import compare_ms, steps
from gameday.reproduce.replay import Replay
from gameday.reproduce.series import MS_PER_S, PPM, show_ms, show_time

FAULT = "replay"

PERIOD_MS = 100
"""Ten looks in the shortest step that is compared, so that a median is over enough of them."""

WITHIN_PERCENT = 5
"""How far a replay may be from what was recorded, and never less than this share of the measure's
floor of 20 ms, which is 1 ms."""

AS_RECORDED: dict[str, Any] = {
    "name": "round trips are as recorded", "measure": "replay-error",
    "at_most_percent": WITHIN_PERCENT, "params": {"probe": excurse.MESH, "fault": FAULT},
}  # fmt: skip


@dataclass(frozen=True)
class Incident:
    """What was said about the incident on the command line.

    Attributes:
        id: its name. sites: between which it is replayed. at: nodes that hold the leases, such
        as the router between. path: which lines of the evidence. fixed_by: what mended it.
        query: that the evidence answers. url, role: what users fetch meanwhile, and the role of
        who does; empty for nobody.
    """

    id: str
    sites: tuple[str, str]
    at: tuple[str, ...] = ()
    path: str = ""
    fixed_by: str = ""
    url: str = ""
    role: str = "user"
    query: str = ""


def planned(
    incident: Incident, evidence: Evidence, found: Replay, inventory: Inventory
) -> tuple[str, Plan]:
    """The experiment's text and its plan, so that nothing is written which cannot be run.

    Raises:
        InvalidInput, Refused: as ``make_plan``.
    """
    data = experiment(incident, evidence, found, inventory)
    # Leaves on one line each: a point is then a line, and a window of minutes can be read.
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100,
                          default_flow_style=None)  # fmt: skip
    loaded = parse_experiment(text, f"reproduction of {incident.id}")
    return text, make_plan(loaded, inventory, base_us=found.base_us or None)


def experiment(
    incident: Incident, evidence: Evidence, found: Replay, inventory: Inventory
) -> dict[str, Any]:
    """The experiment as it is written to a file.

    Raises:
        InvalidInput: where the inventory has no such site, or nothing to look from.
    """
    most = max(point.rtt_us for point in found.points)
    wish = Wish(incident.sites, found.for_s, rtt_us=found.base_us + most, at=incident.at,
                url=incident.url, role=incident.role)  # fmt: skip
    data = excurse.experiment(wish, found.base_us, inventory)
    rows = steps(evidence.looks, found.from_ms, found.for_s)
    ends = {k: v for k, v in data["faults"][0]["params"].items() if k in ("from", "to", "at")}
    return {
        **data,
        "metadata": _metadata(incident, evidence, found, most, rows),
        "faults": [{
            "name": FAULT, "kind": "excursion", "at_s": 0, "for_s": found.for_s,
            "params": {**ends, "shape": "ramp", "every_ms": found.every_ms,
                       "points": [_point(point) for point in found.points]},
        }],
        "probes": [{**probe, "period_ms": PERIOD_MS} if probe["name"] == excurse.MESH else probe
                   for probe in data["probes"]],
        "objectives": [*([AS_RECORDED] if any(row[2] for row in rows) else []),
                       *data["objectives"]],
    }  # fmt: skip


def name_of(incident: Incident) -> str:
    """The experiment's short name: the incident's, in letters that file names bear."""
    words = re.sub(r"[^a-z0-9]+", "-", incident.id.lower()).strip("-")
    a, b = incident.sites
    return f"{words or 'incident'}-{a}-{b}"[:NAME_MAX].rstrip("-._")


def _metadata(
    incident: Incident, evidence: Evidence, found: Replay, most: int, rows: list[list[int]]
) -> dict[str, Any]:
    a, b = incident.sites
    lost = max(point.loss_ppm for point in found.points)
    start, end = (show_time(found.from_ms + s * MS_PER_S) for s in (0, found.for_s))
    losses = f", and up to {lost * 100 / PPM:g} % of packets lost" if lost else ""
    named: dict[str, Any] = {
        "id": incident.id, "evidence": PurePath(evidence.file).name, "sha256": evidence.sha256,
        **({"path": incident.path} if incident.path else {}),
        **({"query": incident.query} if incident.query else {}),
        "window": [start, end], "base_us": found.base_us, "step_ms": found.step_ms,
        "error_p95_us": found.error_p95_us, "error_max_us": found.error_max_us,
        **({"fixed_by": incident.fixed_by} if incident.fixed_by else {}),
        "compare_ms": compare_ms(found.for_s), "recorded": rows,
    }  # fmt: skip
    return {
        "name": name_of(incident),
        "title": f"{incident.id} again: {found.for_s} s between {a} and {b}"[: NAME_MAX * 2],
        "why": (
            f"The path between {a} and {b} as it was recorded in {incident.id} from {start} to "
            f"{end}: up to {show_ms(most)} above the usual {show_ms(found.base_us)}{losses}. "
            "Does the estate bear the same today?"
        ),
        "owner": "who ran it; see the report",
        "incident": named,
    }


def _point(point: Point) -> dict[str, int]:
    loss = {"loss_ppm": point.loss_ppm} if point.loss_ppm else {}
    return {"at_ms": point.at_ms, "rtt_us": point.rtt_us, **loss}
