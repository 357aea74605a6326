# SPDX-License-Identifier: Apache-2.0
"""The report in a few plain lines, for the terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gameday.errors import EvidenceError
from gameday.record import kinds
from gameday.record.journal import read_events
from gameday.record.record import EVENTS, REPORT
from gameday.report.files import HTML, SCHEMA, read_whole
from gameday.report.tables import (
    CLIENT_TITLES,
    DETECTOR_TITLES,
    client_table,
    detector_table,
)
from gameday.report.words import (
    JUDGEMENT_TONE,
    OBSERVED_TEXT,
    OBSERVED_TONE,
    SIGN,
    VERDICT_TEXT,
    VERDICT_TITLE,
    VERDICT_TONE,
    clean_text,
    interval_text,
    limit_text,
)

REASONS_MAX = 6


def summary_lines(directory: Path) -> list[str]:
    """The report of a finished run, and where its page is.

    Raises:
        EvidenceError: where there is no report to read.
    """
    return report_lines(read_report(directory), str(directory / HTML))


def verdict_word(directory: Path) -> str:
    """A finished run's verdict in a word or two; says so where it is not judged yet."""
    try:
        report = read_report(directory)
    except EvidenceError:
        return not_judged(directory)
    return str(VERDICT_TITLE[report["verdict"]["verdict"]]).lower()


def not_judged(directory: Path) -> str:
    """Why a run has no report, by its journal; says so where that cannot be read either."""
    if (directory / REPORT).exists():
        return f"{REPORT} cannot be read: gameday verify"
    if not (directory / EVENTS).exists():
        return "planned, and never begun"
    try:
        events = read_events(directory / EVENTS)
    except (EvidenceError, OSError) as error:
        return f"has no report, and its journal cannot be read: {error}"
    found = {event.kind for event in events}
    if kinds.RUN_ENDED not in found:
        return "has not ended: gameday status"
    why = next((str(event.data["why"]) for event in events if event.kind == kinds.ABORT), "")
    # Whatever was meant to be armed is in the journal before a node is asked.
    if why and kinds.ARM_INTENT not in found:
        return f"given up before arming: {why}"
    return "not judged: gameday measure --write"


def read_report(directory: Path) -> dict[str, Any]:
    """``report.json`` of a run, unverified.

    Raises:
        EvidenceError: where it is missing or not a report.
    """
    content = read_whole(directory / REPORT)
    try:
        report = json.loads(content)
    except ValueError as error:
        raise EvidenceError(f"{directory / REPORT}: not JSON: {error}") from error
    if not isinstance(report, dict) or report.get("schema") != SCHEMA:
        raise EvidenceError(f"{directory / REPORT}: not a report of {SCHEMA}")
    return report


def report_lines(report: Mapping[str, Any], path: str = "") -> list[str]:
    """Verdict, objectives, predictions, clean, and where the report is.

    Args:
        report: report.json. path: of the HTML; left out where empty.
    """
    verdict = report["verdict"]
    word = verdict["verdict"]
    lines = [
        *_notice(report),
        f"{SIGN[VERDICT_TONE[word]]} {VERDICT_TITLE[word].upper()}: "
        f"{report['experiment']['title']} (run {report['run']['id']})",
        f"  {VERDICT_TEXT[word]}",
    ]
    lines += [f"  - {reason}" for reason in verdict["reasons"][:REASONS_MAX]]
    hidden = len(verdict["reasons"]) - REASONS_MAX
    if hidden > 0:
        lines.append(f"  - and {hidden} more, see the report")
    lines += ["", "Objectives", *_objectives(report)]
    for title, rows in (
        ("Failures by kind of client", [CLIENT_TITLES, *client_table(report)]),
        ("Detectors", [DETECTOR_TITLES, *detector_table(report)]),
    ):
        if len(rows) > 1:
            lines += ["", title, *_columns(rows)]
    if report["predictions"]:
        lines += ["", "Predicted beside observed"]
        for prediction in report["predictions"]:
            tone = OBSERVED_TONE[prediction["observed"]]
            said = OBSERVED_TEXT[prediction["observed"]]
            lines.append(f"  {SIGN[tone]} {prediction['text']}")
            lines.append(f"      {said}: {prediction['seen']}")
    for finding in report["findings"]:
        lines.append(f"  ! {finding}")
    lines += ["", clean_text(report["clean"])]
    if path:
        lines.append(f"Report: {path}")
    return lines


def _notice(report: Mapping[str, Any]) -> list[str]:
    """What must be said before the verdict where the objectives are not the planned ones."""
    given = report.get("objectives_from")
    if not given:
        return []
    return [
        f"! These objectives are those of {given['file']} ({given['experiment']}, sha256 "
        f"{given['sha256'][:16]}…), not those of the signed plan of this run.",
        *(f"! {line}" for line in given["differs"]),
        "",
    ]


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of texts under each other."""
    wide = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return [
        "  " + "  ".join(f"{text:<{wide[at]}}" for at, text in enumerate(row)).rstrip()
        for row in rows
    ]


def _objectives(report: Mapping[str, Any]) -> list[str]:
    rows = [
        (
            SIGN[JUDGEMENT_TONE[o["judgement"]]],
            o["name"],
            interval_text(o["measurement"]),
            limit_text(o),
            o["judgement"],
        )
        for o in report["objectives"]
    ]
    wide = [max((len(row[at]) for row in rows), default=0) for at in range(5)]
    return [
        f"  {sign} {name:<{wide[1]}}  {found:>{wide[2]}}  {limit:>{wide[3]}}  {judgement}"
        for sign, name, found, limit, judgement in rows
    ]
