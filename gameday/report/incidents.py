# SPDX-License-Identifier: Apache-2.0
"""Which incidents were reproduced, when last, and how it went: out of reports as they lie there.

Nothing else is kept: what a signed report says cannot go stale, nor be changed unseen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gameday.report.verdict import worst
from gameday.report.words import VERDICT_TITLE, interval_text, wall_text

KIND = "replay-error"
HEAD = ("incident", "last reproduced", "as recorded", "newest run", "fixed by")


@dataclass(frozen=True)
class Found:
    """One incident, or an experiment of a suite that reproduces none.

    Attributes:
        name: the incident's id; else the experiment's name. fixed_by: as the newest file or report
            says. newest: the newest run's directory, report; None: never run here.
        reproduced: wall clock (ns) of the newest run whose round trips were as recorded; None:
            never.
    """

    name: str
    fixed_by: str
    newest: tuple[str, Mapping[str, Any]] | None
    reproduced: int | None


def collect(
    experiments: Sequence[Mapping[str, Any]], reports: Iterable[tuple[str, Mapping[str, Any]]]
) -> list[Found]:
    """A row per incident, in order of name.

    Args:
        experiments: metadata of the suite's files; empty: whatever the reports have.
        reports: names of runs and their report.json, oldest first.
    """
    runs: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    said: dict[str, str] = {}
    for directory, report in reports:
        key = _key(report["experiment"])
        runs.setdefault(key, []).append((directory, report))
        said[key] = _fixed_by(report["experiment"])
    wanted = {_key(metadata): _fixed_by(metadata) for metadata in experiments}
    if not experiments:
        wanted = {k: said[k] for k, each in runs.items() if "incident" in each[-1][1]["experiment"]}
    return [_found(key, wanted[key], runs.get(key, [])) for key in sorted(wanted)]


def _found(name: str, fixed_by: str, runs: Sequence[tuple[str, Mapping[str, Any]]]) -> Found:
    good = [r["run"]["started_wall_ns"] for _, r in runs if as_recorded(r)[0] == "met"]
    return Found(name, fixed_by, runs[-1] if runs else None, max(good, default=None))


def as_recorded(report: Mapping[str, Any]) -> tuple[str, str]:
    """How near a run came to its incident: a judgement, and the interval; empty: not compared.

    A run whose numbers do not count came near nothing, whatever they are.
    """
    for objective in report["objectives"]:
        if objective["measurement"]["kind"] == KIND:
            counts = report["verdict"]["outcome"] == "completed"
            judgement = objective["judgement"] if counts else "unknown"
            return judgement, interval_text(objective["measurement"])
    return "", ""


def others(report: Mapping[str, Any]) -> str:
    """What the estate made of it: the worst judgement of what is not about the replay itself."""
    return worst(
        objective["judgement"]
        for objective in report["objectives"]
        if objective["measurement"]["kind"] not in (KIND, "rtt-achieved")
    )


def line(found: Found) -> tuple[str, ...]:
    """A row of texts under ``HEAD``."""
    if found.newest is None:
        return found.name, "never", "", "not run here", found.fixed_by
    directory, report = found.newest
    judgement, interval = as_recorded(report)
    when = "never" if found.reproduced is None else wall_text(found.reproduced)
    verdict = VERDICT_TITLE[report["verdict"]["verdict"]].lower()
    return (
        found.name, when, f"{judgement} {interval}".strip() or "not compared",
        f"{verdict} (the estate: {others(report)}), {directory}", found.fixed_by,
    )  # fmt: skip


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of texts, with their head, as aligned lines."""
    every = [HEAD, *rows]
    widths = [max(len(row[i]) for row in every) for i in range(len(HEAD))]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in every
    ]


def _key(metadata: Mapping[str, Any]) -> str:
    incident = metadata.get("incident") or {}
    return str(incident.get("id") or metadata["name"])


def _fixed_by(metadata: Mapping[str, Any]) -> str:
    return str((metadata.get("incident") or {}).get("fixed_by") or "")
