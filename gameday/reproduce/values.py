# SPDX-License-Identifier: Apache-2.0
"""One field of the evidence to a whole number, or what is wrong with it."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal, InvalidOperation

from gameday.faults.netem import DELAY_MS_MAX
from gameday.reproduce.columns import RFC3339, UNITS, Column
from gameday.reproduce.series import PPM, US_PER_MS

YEAR_2000_MS, YEAR_2100_MS = 946_684_800_000, 4_102_444_800_000
"""A number outside of these, in the unit that was stated, was not written in that unit."""

ZONED = re.compile(r".*(?:[zZ]|[+-]\d\d:?\d\d)$")


class Wrong(Exception):
    """A field that cannot be what its column says; the message ends a sentence."""


def time_ms(column: Column, text: str) -> int:
    """A time in milliseconds since the epoch, rounded down.

    Raises:
        Wrong: without a zone, without a unit, or in no year that an incident was in.
    """
    text = text.strip()
    number = _decimal(text)
    if number is None or column.unit == RFC3339:
        found = _from_text(text)
    elif not column.unit:
        raise Wrong(f"the time {text} is a number without a unit; say --time-column "
                    f"{column.name}:s or {column.name}:ms")  # fmt: skip
    else:
        found = int(number * UNITS["time"][column.unit])
    if not YEAR_2000_MS <= found < YEAR_2100_MS:
        unit = f" in {column.unit}" if column.unit else ""
        raise Wrong(f"the time {text}{unit} is outside of the years 2000 to 2099; is the unit "
                    "right?")  # fmt: skip
    return found


def rtt_us(column: Column, text: str) -> int | None:
    """A round trip in microseconds; None for an empty field, a lost answer.

    Raises:
        Wrong: where it is no number, not above zero, or longer than a fault can replay.
    """
    number = _number(column, text)
    if number is None:
        return None
    found = int(number * UNITS["rtt"][column.unit])
    if number <= 0:
        raise Wrong(f"a round trip of {text.strip()} {column.unit} is impossible; leave the field "
                    "empty where the answer was lost")  # fmt: skip
    if found > DELAY_MS_MAX * US_PER_MS:
        raise Wrong(f"a round trip of {text.strip()} {column.unit} is above the {DELAY_MS_MAX} ms "
                    "that can be replayed; is the unit right?")  # fmt: skip
    return found


def loss_ppm(column: Column, text: str) -> int | None:
    """A share in millionths; None for an empty field.

    Raises:
        Wrong: where it is no number or no share.
    """
    number = _number(column, text)
    if number is None:
        return None
    found = int(number * UNITS["loss"][column.unit])
    if not 0 <= found <= PPM:
        raise Wrong(f"a loss of {text.strip()} {column.unit} is no share; is the unit right?")
    return found


def _number(column: Column, text: str) -> Decimal | None:
    if not text.strip():
        return None
    found = _decimal(text.strip())
    if found is None:
        raise Wrong(f"{column.name} is {text.strip()!r}, which is no number")
    return found


def _decimal(text: str) -> Decimal | None:
    try:
        found = Decimal(text)
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def _from_text(text: str) -> int:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise Wrong(f"{text!r} is no time; write 2026-03-01T02:10:00Z or a number") from error
    if found.tzinfo is None or not ZONED.match(text):
        raise Wrong(f"the time {text} has no zone; write {text}Z if it is UTC")
    return round(found.timestamp() * 1000)


def moment_ms(option: str, text: str) -> int:
    """A moment given as an option, in ms since the epoch: with its zone, so never ambiguous.

    Raises:
        Wrong: where it is anything else.
    """
    try:
        return time_ms(Column(option, RFC3339), text)
    except Wrong as error:
        raise Wrong(f"{option}: {error}") from error
