# SPDX-License-Identifier: Apache-2.0
"""Which column holds what, and in which unit. A unit is stated or asked for, never guessed.

A column says its unit by the end of its name (``rtt_ms``, ``loss_percent``) or as an option
(``--rtt-column latency:ms``). Times written as RFC 3339 carry their own unit; numbers do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from gameday.errors import InvalidInput

UNITS: dict[str, dict[str, Decimal]] = {
    "time": {"s": Decimal(1000), "ms": Decimal(1), "us": Decimal("0.001"),
             "ns": Decimal("0.000001")},
    "rtt": {"s": Decimal(1_000_000), "ms": Decimal(1000), "us": Decimal(1),
            "ns": Decimal("0.001")},
    "loss": {"percent": Decimal(10_000), "ratio": Decimal(1_000_000), "ppm": Decimal(1)},
}  # fmt: skip
"""Factors to what ``Look`` holds: milliseconds, microseconds, millionths."""

SPELLINGS = {"seconds": "s", "sec": "s", "milliseconds": "ms", "msec": "ms", "microseconds": "us",
             "usec": "us", "nanoseconds": "ns", "pct": "percent", "%": "percent"}  # fmt: skip

USUAL = {
    "time": ("time", "timestamp", "ts", "at", "epoch"),
    "rtt": ("rtt", "latency", "delay"),
    "loss": ("loss", "lost", "packet_loss"),
    "path": ("path", "pair"),
}
"""Names by which a column is found, before its unit, where no option names it."""

RFC3339 = "rfc3339"
"""The unit of a time column that holds text."""


@dataclass(frozen=True)
class Column:
    """A column's name as the evidence writes it, and its unit; empty where it states none."""

    name: str
    unit: str = ""


@dataclass(frozen=True)
class Columns:
    """Where time, round trip, loss and the path's name stand; None for what is not there."""

    time: Column
    rtt: Column | None
    loss: Column | None
    path: Column | None


def parse_column(what: str, text: str) -> Column:
    """``latency:ms`` or ``rtt_ms``: a column's name and unit.

    Raises:
        InvalidInput: for a unit that there is not.
    """
    name, colon, unit = text.rpartition(":")
    if not colon:
        return Column(text, _unit_of(what, text))
    unit = SPELLINGS.get(unit.lower(), unit.lower())
    if unit not in UNITS[what] and not (what == "time" and unit == RFC3339):
        raise InvalidInput(f"--{what}-column {text}: {unit!r} is no unit of {what}",
                           f"write {name}: and one of {_units(what)}")  # fmt: skip
    return Column(name, unit)


def find(names: Sequence[str], given: dict[str, Column]) -> tuple[Columns | None, list[str]]:
    """The columns among ``names``, and every mistake in them; no columns where there is one.

    Args:
        names: the evidence's own. given: by options; they win over usual names.
    """
    problems: list[str] = []
    found = {what: _one(what, names, given.get(what), problems) for what in USUAL}
    time = found["time"]
    if time is None and not problems:
        problems.append(f"no column of times among {', '.join(names)}; name it with --time-column")
    if found["rtt"] is None and found["loss"] is None and not problems:
        problems.append(f"no column of round trips or loss among {', '.join(names)}; name one with "
                        "--rtt-column or --loss-column")  # fmt: skip
    for what in ("rtt", "loss"):
        column = found[what]
        if column is not None and not column.unit:
            problems.append(f"the column {column.name} states no unit; say which it is: "
                            f"--{what}-column {column.name}:{_units(what, '|')}")  # fmt: skip
    if problems or time is None:
        return None, problems
    return Columns(time, found["rtt"], found["loss"], found["path"]), []


def _one(
    what: str, names: Sequence[str], given: Column | None, problems: list[str]
) -> Column | None:
    if given is not None:
        if given.name not in names:
            problems.append(f"no column {given.name}; there are {', '.join(names)}")
        return given
    found = [name for name in names if _stem(what, name) in USUAL[what]]
    if len(found) > 1:
        problems.append(f"the columns {' and '.join(found)} could both be the {what}; "
                        f"name one with --{what}-column")  # fmt: skip
    return Column(found[0], _unit_of(what, found[0])) if len(found) == 1 else None


def _stem(what: str, name: str) -> str:
    lower = name.strip().lower()
    unit = _suffix(lower)
    known = what in UNITS and SPELLINGS.get(unit, unit) in UNITS[what]
    return lower[: -len(unit)].rstrip("_ ([") if known else lower


def _unit_of(what: str, name: str) -> str:
    if what not in UNITS:
        return ""
    unit = _suffix(name.strip().lower())
    unit = SPELLINGS.get(unit, unit)
    return unit if unit in UNITS[what] else ""


def _suffix(lower: str) -> str:
    return lower.rpartition("_")[2] if "_" in lower else ""


def _units(what: str, between: str = ", ") -> str:
    return between.join((*UNITS[what], *((RFC3339,) if what == "time" else ())))
