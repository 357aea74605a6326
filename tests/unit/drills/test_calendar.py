# SPDX-License-Identifier: Apache-2.0
"""Dates of drills: ours beside systemd's, clocks that change included."""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import UTC, datetime

import pytest

from gameday.drills.calendar import parse
from gameday.errors import InvalidInput

FROM = datetime(2026, 3, 1, tzinfo=UTC)
CASES = {
    "quarterly": ["2026-04-01 00:00", "2026-07-01 00:00", "2026-10-01 00:00", "2027-01-01 00:00"],
    "quarterly Europe/Berlin": ["2026-03-31 22:00", "2026-06-30 22:00", "2026-09-30 22:00",
                                "2026-12-31 23:00"],
    "Mon *-02,05,08,11-1..7 10:00 Europe/Berlin": ["2026-05-04 08:00", "2026-08-03 08:00",
                                                   "2026-11-02 09:00", "2027-02-01 09:00"],
    # That Sunday has no half past two, and the one in October has two of them.
    "*-03-29 02:30 Europe/Berlin": ["2027-03-29 00:30", "2028-03-29 00:30", "2029-03-29 00:30",
                                    "2030-03-29 01:30"],
    "*-10-25 02:30 Europe/Berlin": ["2026-10-25 00:30", "2027-10-25 00:30", "2028-10-25 00:30",
                                    "2029-10-25 00:30"],
    "Mon..Fri *-1/3-15 9,17:30": ["2026-04-15 09:30", "2026-04-15 17:30", "2026-07-15 09:30",
                                  "2026-07-15 17:30"],
    "2027-1..3-5": ["2027-01-05 00:00", "2027-02-05 00:00", "2027-03-05 00:00"],
    "weekly Asia/Kolkata": ["2026-03-01 18:30", "2026-03-08 18:30", "2026-03-15 18:30",
                            "2026-03-22 18:30"],
    "Sun": ["2026-03-08 00:00", "2026-03-15 00:00", "2026-03-22 00:00", "2026-03-29 00:00"],
    "*-02-29 10:00": ["2028-02-29 10:00", "2032-02-29 10:00", "2036-02-29 10:00"],
    "Mon-Fri 10:00:00": ["2026-03-02 10:00", "2026-03-03 10:00", "2026-03-04 10:00",
                         "2026-03-05 10:00"],
}  # fmt: skip
"""What systemd 252 says, from 1 March 2026 on, in UTC."""

MORE = [
    "semiannually America/New_York", "*-*-* 02:15 America/New_York", "Sat *-*-25..31 23:45",
    "*-11-1 01:30 America/New_York", "*-*-1/10 0/6:0,30 Pacific/Auckland", "Tue,Thu 8:05 UTC",
    "Friday *-1,4,7,10-8..14 09:00 Australia/Lord_Howe", "12-24 18:00", "daily Asia/Kathmandu",
]  # fmt: skip


@pytest.mark.parametrize("text", list(CASES))
def test_dates_are_those_that_systemd_has(text: str) -> None:
    found = parse(text).after(FROM, len(CASES[text]))
    assert [f"{one:%Y-%m-%d %H:%M}" for one in found] == CASES[text]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="compares with systemd itself")
@pytest.mark.parametrize("text", [*CASES, *MORE])
def test_dates_are_those_of_this_systemd(text: str) -> None:
    count = 8
    done = subprocess.run(
        ["systemd-analyze", "calendar", f"--iterations={count}",
         f"--base-time={FROM:%Y-%m-%d %H:%M:%S} UTC", parse(text).on_calendar()],
        capture_output=True, text=True, check=True, env={"TZ": "UTC", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    theirs = re.findall(r"(?:elapse|#\d+): \w+ (\d{4}-\d\d-\d\d \d\d:\d\d):00 UTC", done.stdout)
    ours = [f"{one:%Y-%m-%d %H:%M}" for one in parse(text).after(FROM, count)]
    assert theirs and ours == theirs[: len(ours)]
    # Twelve years ahead is as far as ours looks.
    assert len(ours) == len(theirs) or theirs[len(ours)] > "2037"


def test_the_last_date() -> None:
    calendar = parse("*-*-01 10:00", "Europe/Berlin")
    moment = datetime(2026, 3, 31, 12, tzinfo=UTC)
    assert calendar.last(moment, FROM) == datetime(2026, 3, 1, 9, tzinfo=UTC)
    assert calendar.last(moment, datetime(2026, 3, 2, tzinfo=UTC)) is None
    (then,) = calendar.after(moment, 1)
    assert calendar.last(then, FROM) == then == datetime(2026, 4, 1, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "nothing"), ("fortnightly", "fortnightly"), ("*-*~1 10:00", "*-*~1"),
     ("Sat..Mon 3:00", "ends before it begins"), ("*-13-01", "out of range"),
     ("*-01-01 25:00", "out of range"), ("10:00:30", "seconds"), ("*-1-1 10:00 Mars/North", "Mars"),
     ("2020-01-01", "never comes"), ("*-02-30", "never comes"), ("*-*-* */0:00", "out of range"),
     ("*..3-1-1", "*..3"), ("1,,2-1", "empty")],
)  # fmt: skip
def test_what_is_not_understood_is_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(text)
    assert said in caught.value.message


def test_a_zone_is_named_once() -> None:
    with pytest.raises(InvalidInput, match="names a zone"):
        parse("quarterly Europe/Berlin", "Asia/Tokyo")
    with pytest.raises(InvalidInput, match="no time zone"):
        parse("quarterly", "Nowhere")
    assert parse("Quarterly", "Asia/Tokyo").on_calendar() == "quarterly Asia/Tokyo"
