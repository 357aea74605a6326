# SPDX-License-Identifier: Apache-2.0
"""What is known of every drill now, and as iCalendar (RFC 5545) and OpenMetrics for others."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from gameday import __version__
from gameday.drills import dates
from gameday.drills.dates import Date
from gameday.drills.schedule import Drill, Journal, counts, files, read
from gameday.errors import GamedayError
from gameday.plan.policy import Policy

LINE_OCTETS_MAX = 75


@dataclass(frozen=True)
class Outlook:
    """One drill.

    Attributes:
        next_dates: with those that a freeze excludes. overdue: a date that was missed.
        last: newest line of its journal. last_done: wall clock of the last one carried out.
        problem: why its inventory, and so its freezes, cannot be read; empty where it can.
    """

    drill: Drill
    next_dates: tuple[Date, ...]
    overdue: datetime | None
    last: Mapping[str, Any] | None
    last_done_ns: int | None
    problem: str

    def to_json(self) -> dict[str, Any]:
        """For programs: moments in ISO 8601, UTC."""
        return {
            "name": self.drill.name, "experiment": self.drill.experiment,
            "inventory": self.drill.inventory, "on": self.drill.on,
            "time_zone": self.drill.time_zone, "kind": self.drill.kind,
            "next": [{"at": one.moment.isoformat(), "frozen": one.freeze.why if one.freeze else ""}
                     for one in self.next_dates],
            "overdue_since": self.overdue.isoformat() if self.overdue else None,
            "last": dict(self.last) if self.last else None, "problem": self.problem,
        }  # fmt: skip


def outlooks(directory: Path, count: int, moment: datetime) -> tuple[list[Outlook], list[str]]:
    """Every drill of a directory, and files that are none, each with why."""
    found, wrong = [], []
    for path in files(directory):
        try:
            found.append(outlook(read(path), count, moment))
        except GamedayError as error:
            wrong.append("; ".join([error.message, *getattr(error, "problems", ())]))
    return found, wrong


def outlook(drill: Drill, count: int, moment: datetime) -> Outlook:
    """One drill now, with so many dates.

    Raises:
        InvalidInput: where its journal cannot be read.
    """
    from gameday.plan import load_inventory

    policy, problem = Policy(), ""
    try:
        policy = load_inventory(Path(drill.inventory)).policy
    except GamedayError as error:
        problem = error.message
    entries = Journal(Path(drill.journal)).entries()
    done = [entry["at_ns"] for entry in entries if counts(entry)]
    return Outlook(
        drill, tuple(dates.upcoming(drill, policy, moment, count)),
        dates.overdue(drill, policy, entries, moment), entries[-1] if entries else None,
        done[-1] if done else None, problem,
    )  # fmt: skip


def icalendar(found: Sequence[Outlook], moment: datetime) -> str:
    """All dates as events, for a calendar that subscribes to it; what is frozen is cancelled."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", f"PRODID:-//gameday//{__version__}//EN",
             "METHOD:PUBLISH", "X-WR-CALNAME:gameday drills"]  # fmt: skip
    for one in found:
        for date in one.next_dates:
            lines += _event(one.drill, date, moment)
    lines.append("END:VCALENDAR")
    return "".join(f"{folded}\r\n" for line in lines for folded in _folded(line))


def metrics(found: Sequence[Outlook], wrong: int) -> str:
    """OpenMetrics; every drill has a line in each family, so that none is silently missing."""
    families = (
        ("gameday_drill_overdue", "", "1 where a date was missed and not made up for",
         [(one.drill.name, int(one.overdue is not None)) for one in found]),
        ("gameday_drill_next_timestamp_seconds", "seconds", "Next date without a freeze",
         [(one.drill.name, _next_s(one)) for one in found]),
        ("gameday_drill_last_done_timestamp_seconds", "seconds",
         "When the last drill was carried out, 0 where none was",
         [(one.drill.name, (one.last_done_ns or 0) // 1_000_000_000) for one in found]),
        ("gameday_drill_unreadable", "", "1 where its inventory cannot be read",
         [(one.drill.name, int(bool(one.problem))) for one in found]),
    )  # fmt: skip
    lines = []
    for name, unit, text, values in families:
        lines += [f"# TYPE {name} gauge", *([f"# UNIT {name} {unit}"] if unit else []),
                  f"# HELP {name} {text}."]  # fmt: skip
        lines += [f'{name}{{drill="{drill}"}} {value}' for drill, value in values]
    lines += ["# TYPE gameday_drill_files_unreadable gauge",
              "# HELP gameday_drill_files_unreadable Files of drills that cannot be read.",
              f"gameday_drill_files_unreadable {wrong}", "# EOF"]  # fmt: skip
    return "\n".join(lines) + "\n"


def _next_s(one: Outlook) -> int:
    free = [date.moment for date in one.next_dates if date.freeze is None]
    return int(free[0].timestamp()) if free else 0


def _event(drill: Drill, date: Date, moment: datetime) -> list[str]:
    ends = date.moment + timedelta(seconds=max(drill.length_s, 60))
    frozen = date.freeze is not None
    text = f"Experiment {drill.experiment}, inventory {drill.inventory}."
    if date.freeze:
        text = f"Skipped, nothing is broken then: {date.freeze.why}. {text}"
    uid = hashlib.sha256(f"{drill.name} {drill.added_ns} {date.moment}".encode()).hexdigest()[:32]
    return [
        "BEGIN:VEVENT", f"UID:{uid}@gameday", f"DTSTAMP:{_stamp(moment)}",
        f"DTSTART:{_stamp(date.moment)}", f"DTEND:{_stamp(ends)}",
        f"SUMMARY:{_text(f'Drill {drill.name}')}", f"DESCRIPTION:{_text(text)}",
        f"STATUS:{'CANCELLED' if frozen else 'CONFIRMED'}", "TRANSP:TRANSPARENT", "END:VEVENT",
    ]  # fmt: skip


def _stamp(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _text(text: str) -> str:
    for char in ("\\", ";", ","):
        text = text.replace(char, "\\" + char)
    return text.replace("\r", "").replace("\n", "\\n")


def _folded(line: str) -> Iterator[str]:
    """Content lines of at most 75 octets, cut between characters."""
    part = ""
    for char in line:
        if len((part + char).encode()) > LINE_OCTETS_MAX:
            yield part
            part = " "
        part += char
    yield part
