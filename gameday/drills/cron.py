# SPDX-License-Identifier: Apache-2.0
"""A drill's dates for cron and for Kubernetes, whose five fields say less than a calendar does.

cron has no years, takes a day of the month *or* a weekday where both are given, and Debian's knows
no zones but the host's. So these are asked too often rather than too seldom, and ``gameday
schedule run --if-due --quiet`` goes on only where the drill is due.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from gameday.drills.calendar import Calendar
from gameday.drills.schedule import Drill
from gameday.drills.units import command

QUARTER_MIN = 15
"""All zones are multiples of a quarter of an hour from UTC, and so from each other."""

CRONTAB = """\
# gameday drill {name}: {on}. Asked every quarter of an hour, in whatever zone cron works;
# it does nothing, and says nothing, where the drill is not due.
{minutes} * * * * {command}
"""


def crontab(drill: Drill, directory: Path) -> str:
    """Lines for crontab(5)."""
    calendar = drill.calendar
    minutes = {
        (minute + shift) % 60 for minute in calendar.minutes for shift in range(0, 60, QUARTER_MIN)
    }
    argv = command(drill.name, directory, "--if-due", "--quiet")
    # cron takes % for the end of the line.
    said = " ".join(shlex.quote(one) for one in argv).replace("%", "\\%")
    return CRONTAB.format(
        name=drill.name, on=calendar.on_calendar(), command=said,
        minutes=",".join(str(one) for one in sorted(minutes)),
    )  # fmt: skip


def fields(calendar: Calendar) -> str:
    """Five fields that hold every date, in the calendar's own zone, and maybe more."""
    days = _field(calendar.days, range(1, 32))
    weekdays = _field(tuple((one + 1) % 7 for one in calendar.weekdays), range(7))
    if days != "*" and weekdays != "*":
        weekdays = "*"
    return " ".join(
        [_field(calendar.minutes, range(60)), _field(calendar.hours, range(24)), days,
         _field(calendar.months, range(1, 13)), weekdays]
    )  # fmt: skip


def _field(numbers: tuple[int, ...], every: range) -> str:
    return "*" if set(numbers) == set(every) else ",".join(str(one) for one in sorted(numbers))
