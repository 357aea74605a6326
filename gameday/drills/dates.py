# SPDX-License-Identifier: Apache-2.0
"""Which dates of a drill come next, which one is due, and which one was missed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from gameday import clock
from gameday.drills.schedule import Drill, counts
from gameday.plan.policy import Freeze, Policy

LATE_S_MAX = 600
"""A timer that fires later than this was held up: the machine was off or asleep, or its clock was
set. Nobody expects the drill any more, so it is not begun by surprise."""

AFTER_S = 1800
"""Over the planned length, for preflight, steady state, clean-up and report, before a drill of
which nothing was heard is overdue."""

FROZEN_MAX = 1000
"""Dates that are looked at for one that no freeze excludes."""


@dataclass(frozen=True)
class Date:
    """One date, in UTC, and the freeze that excludes it."""

    moment: datetime
    freeze: Freeze | None


def now() -> datetime:
    """This moment, in UTC."""
    return at(clock.wall_ns())


def at(wall_ns: int) -> datetime:
    """A moment of the wall clock, in UTC, cut to microseconds."""
    return datetime.fromtimestamp(wall_ns // clock.NS_PER_S, UTC) + timedelta(
        microseconds=wall_ns % clock.NS_PER_S // 1000
    )


def ns(moment: datetime) -> int:
    """The inverse of ``at``, for whole seconds."""
    return int(moment.timestamp()) * clock.NS_PER_S


def upcoming(drill: Drill, policy: Policy, moment: datetime, count: int) -> list[Date]:
    """The next dates after a moment."""
    return [Date(one, _freeze(drill, policy, one)) for one in drill.calendar.after(moment, count)]


def next_free(drill: Drill, policy: Policy, moment: datetime) -> datetime | None:
    """The next date that no freeze excludes."""
    for one in upcoming(drill, policy, moment, FROZEN_MAX):
        if one.freeze is None:
            return one.moment
    return None


def due(drill: Drill, moment: datetime) -> datetime | None:
    """The newest date that is not in the future, since the drill was added."""
    return drill.calendar.last(moment, at(drill.added_ns))


def in_time(date: datetime | None, moment: datetime) -> bool:
    """Whether a date has come so recently that its run may begin now."""
    return date is not None and moment - date <= timedelta(seconds=LATE_S_MAX)


def overdue(
    drill: Drill, policy: Policy, entries: Sequence[Mapping[str, Any]], moment: datetime
) -> datetime | None:
    """The newest date that should have been drilled by now and was not.

    A date that a freeze excludes is no debt. A run that was made later pays for it, however it
    was begun; one that was refused, broke off or is unknown does not.
    """
    begun = at(drill.added_ns)
    date = drill.calendar.last(moment - timedelta(seconds=drill.length_s + AFTER_S), begun)
    while date is not None and _freeze(drill, policy, date) is not None:
        date = drill.calendar.last(date - timedelta(seconds=1), begun)
    if date is None:
        return None
    for entry in entries:
        skipped = entry["what"] == "skipped" and entry["due_ns"] == ns(date)
        if skipped or (counts(entry) and entry["due_ns"] >= ns(date)):
            return None
    return date


def local(moment: datetime, zone: str) -> str:
    """For people: in the drill's zone, with its offset."""
    from zoneinfo import ZoneInfo

    return f"{moment.astimezone(ZoneInfo(zone)):%a %Y-%m-%d %H:%M %z} {zone}"


def _freeze(drill: Drill, policy: Policy, date: datetime) -> Freeze | None:
    return policy.freeze_at(date, date + timedelta(seconds=drill.length_s))
