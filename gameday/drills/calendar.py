# SPDX-License-Identifier: Apache-2.0
"""When a drill is due: a part of systemd's calendar expressions, read without systemd.

    quarterly · Mon *-02,05,08,11-1..7 10:00 · Tue,Thu 2027-*-1/7 09:30 Europe/Berlin

Understood: weekdays, years, months, days, hours and minutes as numbers, lists, ranges and steps,
the words for whole periods, and a time zone. Anything else of systemd.time(7) is refused, not
guessed. Local times that a change of clocks skips never come, and of those that it repeats the
first counts: that is what systemd does, and ``tests/unit/drills/test_calendar.py`` compares.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gameday.errors import InvalidInput

DAYS_AHEAD_MAX = 366 * 12
"""29 February comes once in four years, and on a given weekday it may take longer: refused."""

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WEEKDAYS_LONG = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
YEARS = range(1970, 2200)
WORDS = {
    "daily": "*-*-* 00:00", "weekly": "Mon *-*-* 00:00", "monthly": "*-*-01 00:00",
    "quarterly": "*-01,04,07,10-01 00:00", "semiannually": "*-01,07-01 00:00",
    "semi-annually": "*-01,07-01 00:00", "yearly": "*-01-01 00:00", "annually": "*-01-01 00:00",
}  # fmt: skip
DATE = re.compile(r"(?:([^-\s]+)-)?([^-\s]+)-([^-\s]+)")
TIME = re.compile(r"([^:\s]+):([^:\s]+)(?::([^:\s]+))?")
PART = re.compile(r"(\*|\d{1,4})(?:\.\.(\d{1,4}))?(?:/(\d{1,3}))?")
WEEKDAY_PART = re.compile(r"([a-z]+)(?:(?:\.\.|-)([a-z]+))?")
TODO = "write it as in quarterly or 'Mon *-02,05,08,11-1..7 10:00'"


@dataclass(frozen=True)
class Calendar:
    """Moments that come again.

    Attributes:
        text: as it was given, without its zone. zone: IANA name that its times are local to.
        weekdays: 0 is Monday. years: empty means every one.
    """

    text: str
    zone: str
    weekdays: tuple[int, ...]
    years: tuple[int, ...]
    months: tuple[int, ...]
    days: tuple[int, ...]
    hours: tuple[int, ...]
    minutes: tuple[int, ...]

    def on_calendar(self) -> str:
        """For a timer's ``OnCalendar``: the zone is always written, whatever the host's is."""
        return f"{self.text} {self.zone}"

    def after(self, moment: datetime, count: int) -> list[datetime]:
        """The next moments after one, in UTC; fewer where there are no more in twelve years."""
        found: list[datetime] = []
        for each in self._forward(moment):
            found.append(each)
            if len(found) == count:
                break
        return found

    def last(self, moment: datetime, since: datetime) -> datetime | None:
        """The last one that is not after ``moment`` and is after ``since``."""
        day = moment.astimezone(ZoneInfo(self.zone)).date()
        first = since.astimezone(ZoneInfo(self.zone)).date()
        while day >= first:
            for each in reversed(list(self._of_day(day))):
                if since < each <= moment:
                    return each
            day -= timedelta(days=1)
        return None

    def _forward(self, moment: datetime) -> Iterator[datetime]:
        day = moment.astimezone(ZoneInfo(self.zone)).date()
        for ahead in range(DAYS_AHEAD_MAX):
            for each in self._of_day(day + timedelta(days=ahead)):
                if each > moment:
                    yield each

    def _of_day(self, day: date) -> Iterator[datetime]:
        if day.month not in self.months or day.day not in self.days:
            return
        if day.weekday() not in self.weekdays or (self.years and day.year not in self.years):
            return
        zone, found = ZoneInfo(self.zone), []
        for hour in self.hours:
            for minute in self.minutes:
                local = datetime.combine(day, time(hour, minute))
                moment = local.replace(tzinfo=zone).astimezone(UTC)
                # A local time that is skipped does not come back as itself.
                if moment.astimezone(zone).replace(tzinfo=None) == local:
                    found.append(moment)
        yield from sorted(found)


def parse(text: str, zone: str = "") -> Calendar:
    """Read an expression.

    Args:
        zone: of its times, where the expression names none; UTC if empty.

    Raises:
        InvalidInput: where it is not understood, names two zones, or never comes.
    """
    words = text.split()
    named = words.pop() if words and _is_zone(words[-1]) else ""
    if named and zone and named != zone:
        raise InvalidInput(f"{text!r} names a zone, and --time-zone {zone} another one",
                           "name it once")  # fmt: skip
    zone = named or zone or "UTC"
    if not _is_zone(zone):
        raise InvalidInput(f"{zone!r} is no time zone", "write it as in Europe/Berlin")
    said = " ".join(words)
    if len(words) == 1 and words[0].lower() in WORDS:
        said = words[0].lower()
        words = WORDS[said].split()
    found = _parts(text, said, zone, words)
    if not found.after(datetime.now(UTC), 1):
        raise InvalidInput(f"{text!r} never comes within twelve years", "is its year over?")
    return found


def _parts(text: str, said: str, zone: str, words: list[str]) -> Calendar:
    rest = list(words)
    weekdays = tuple(range(7))
    if rest and rest[0][0].isalpha():
        weekdays = _weekdays(text, rest.pop(0))
    years, months, days = "*", "*", "*"
    clock = ("0", "0")
    if rest and (match := DATE.fullmatch(rest[0])):
        years, months, days = match[1] or "*", match[2], match[3]
        rest.pop(0)
    if rest and (found := TIME.fullmatch(rest[0])):
        if found[3] is not None and not re.fullmatch("0{1,2}", found[3]):
            raise _wrong(text, "seconds other than 00")
        clock = found[1], found[2]
        rest.pop(0)
    if rest or not words:
        raise _wrong(text, rest[0] if rest else "nothing")
    return Calendar(
        said, zone, weekdays,
        () if years == "*" else _numbers(text, years, YEARS),
        _numbers(text, months, range(1, 13)), _numbers(text, days, range(1, 32)),
        _numbers(text, clock[0], range(24)), _numbers(text, clock[1], range(60)),
    )  # fmt: skip


def _numbers(text: str, field: str, allowed: range) -> tuple[int, ...]:
    """Every number that a field names, in order."""
    found: set[int] = set()
    for part in field.split(","):
        match = PART.fullmatch(part)
        if match is None or (match[1] == "*" and match[2]):
            raise _wrong(text, part or "an empty part")
        step = int(match[3]) if match[3] else 1
        first = allowed.start if match[1] == "*" else int(match[1])
        # A step without an end goes on to the last one, a single number is only itself.
        open_end = match[1] == "*" or match[3] is not None
        last = int(match[2]) if match[2] else allowed.stop - 1 if open_end else first
        if first not in allowed or last not in allowed or last < first or step < 1:
            raise _wrong(text, f"{part}, which is out of range")
        found |= set(range(first, last + 1, step))
    return tuple(sorted(found))


def _weekdays(text: str, field: str) -> tuple[int, ...]:
    found: set[int] = set()
    for part in field.lower().removesuffix(",").split(","):
        match = WEEKDAY_PART.fullmatch(part)
        if match is None:
            raise _wrong(text, part)
        first, last = (_weekday(text, name) for name in (match[1], match[2] or match[1]))
        if last < first:
            raise _wrong(text, f"{part}, which ends before it begins")
        found |= set(range(first, last + 1))
    return tuple(sorted(found))


def _weekday(text: str, name: str) -> int:
    for names in (WEEKDAYS, WEEKDAYS_LONG):
        if name in names:
            return names.index(name)
    raise _wrong(text, name)


def _wrong(text: str, part: str) -> InvalidInput:
    return InvalidInput(f"the calendar expression {text!r} is not understood: {part}", TODO)


def _is_zone(name: str) -> bool:
    if not re.fullmatch(r"[A-Z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*", name):
        return False
    if name.lower() in (*WEEKDAYS, *WEEKDAYS_LONG):
        return False
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
