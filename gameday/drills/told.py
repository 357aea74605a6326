# SPDX-License-Identifier: Apache-2.0
"""What announcements say: one JSON body, and the same in a line or two for people."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from gameday import __version__, clock
from gameday.report.words import VERDICT_TITLE, interval_text

if TYPE_CHECKING:
    from gameday.plan import Plan

SCHEMA = "gameday/announcement/v1"
EVENTS = {
    "begins": "begins",
    "ended": "ended",
    "refused": "did not begin",
    "failed": "broke off",
    "skipped": "is skipped",
    "not-clean": "ended, but its nodes are NOT PROVEN CLEAN",
}
"""What can be announced of a drill."""

OBJECTIVES_MAX = 20


def begins(plan: Plan, operator: str, drill: str = "") -> dict[str, Any]:
    """That a plan is about to be carried out.

    Args:
        operator: who signs its report. drill: name of the schedule, if any.
    """
    line, now = plan.timeline, _now()
    length = timedelta(seconds=line.steady_s + line.faults_end_s + line.recover_s)
    leases = [lease for fault in plan.faults for lease in fault.leases]
    return {
        **head("begins", plan.experiment["metadata"], drill),
        "operator": operator,
        "nodes": sorted({node for lease in leases for node in lease.hits}),
        "planned_end": (now + length).isoformat(timespec="seconds"),
    }


def ended(before: Mapping[str, Any], report: Mapping[str, Any], run: str) -> dict[str, Any]:
    """How it ended.

    Args:
        before: what was announced at its beginning. report: report.json. run: its name.
    """
    objectives = [
        {"name": one["name"], "judgement": one["judgement"],
         "measured": interval_text(one["measurement"])}
        for one in report["objectives"][:OBJECTIVES_MAX]
    ]  # fmt: skip
    clean = bool(report["clean"]["proven"])
    return {
        **before, "event": "ended" if clean else "not-clean", "at": _at(), "run": run,
        "verdict": report["verdict"]["verdict"], "exit_code": report["verdict"]["exit_code"],
        "clean": clean, "objectives": objectives,
    }  # fmt: skip


def did_not(event: str, before: Mapping[str, Any], why: str) -> dict[str, Any]:
    """That it did not begin, or broke off, and why."""
    return {**before, "event": event, "at": _at(), "why": why}


def slack_text(body: Mapping[str, Any]) -> str:
    """In Slack's mark-up, where nothing that is quoted can be read as a mention or a link."""
    name = body.get("drill") or body["experiment"]["name"]
    lines = [f"*gameday: {_plain(name)} {EVENTS[body['event']]}*"]
    if body["experiment"].get("title"):
        lines.append(_plain(body["experiment"]["title"]))
    if body["event"] == "begins":
        lines.append(f"on {_plain(', '.join(body['nodes']))}; it is planned to end by "
                     f"{body['planned_end']}; operator {_plain(body['operator'])}, "
                     f"controller {_plain(body['controller'])}")  # fmt: skip
    if body.get("verdict"):
        lines.append(f"{VERDICT_TITLE[body['verdict']]}, run {_plain(body['run'])}")
    lines += [f"• {_plain(one['name'])}: {_plain(one['measured'])}, {one['judgement']}"
              for one in body.get("objectives", ())]  # fmt: skip
    if body.get("why"):
        lines.append(_plain(body["why"]))
    return "\n".join(lines)


def _plain(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def head(event: str, metadata: Mapping[str, Any], drill: str) -> dict[str, Any]:
    """What is known of a drill also where there is no plan."""
    return {
        "schema": SCHEMA, "event": event, "at": _at(), "drill": drill,
        "experiment": {"name": metadata["name"], "title": metadata.get("title", "")},
        "controller": f"{_user()}@{socket.gethostname()}", "gameday": __version__,
    }  # fmt: skip


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A pod's user may have no name.
        return f"uid {os.getuid()}"


def _now() -> datetime:
    return datetime.fromtimestamp(clock.wall_ns() // clock.NS_PER_S, UTC)


def _at() -> str:
    return _now().isoformat(timespec="seconds")
