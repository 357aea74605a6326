# SPDX-License-Identifier: Apache-2.0
"""The Prometheus text format, read strictly where it is of use. Nodes: Python 3.9 syntax."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Dict, Iterable

from gameday.clock import NS_PER_S

LINE = re.compile(
    r"^(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?P<labels>\{.*\})?[ \t]+(?P<value>\S+)(?:[ \t]+-?\d+)?$"
)


def values(text: str, wanted: Iterable[str]) -> Dict[str, Decimal]:
    """The value of each wanted metric; every other line is skipped.

    Args:
        wanted: names of metrics that have one time series each, without labels.

    Raises:
        ValueError: where one is missing, comes twice, has labels, or is not a finite number.
    """
    names = set(wanted)
    found: Dict[str, Decimal] = {}
    for line in text.splitlines():
        match = LINE.match(line)
        if match is None or match["name"] not in names:
            continue
        name = match["name"]
        if name in found or match["labels"] not in (None, "{}"):
            raise ValueError(f"metric {name} has more than one series")
        found[name] = _number(name, match["value"])
    missing = sorted(names - set(found))
    if missing:
        raise ValueError(f"metric {missing[0]} is missing")
    return found


def sums(text: str, wanted: Iterable[str]) -> Dict[str, Decimal]:
    """The sum of all series of each wanted metric, whatever their labels.

    Raises:
        ValueError: where one is missing or not a finite number.
    """
    names = set(wanted)
    found: Dict[str, Decimal] = {}
    for line in text.splitlines():
        match = LINE.match(line)
        if match is not None and match["name"] in names:
            name = match["name"]
            found[name] = found.get(name, Decimal(0)) + _number(name, match["value"])
    missing = sorted(names - set(found))
    if missing:
        raise ValueError(f"metric {missing[0]} is missing")
    return found


def whole(name: str, value: Decimal) -> int:
    """A counter as an integer; raises ValueError where it is none."""
    if value != value.to_integral_value() or value < 0:
        raise ValueError(f"metric {name} is no count: {value}")
    return int(value)


def nanoseconds(name: str, value: Decimal) -> int:
    """A sum of seconds in whole nanoseconds, cut off; raises ValueError below zero."""
    if value < 0:
        raise ValueError(f"metric {name} is below zero: {value}")
    return int(value * NS_PER_S)


def _number(name: str, text: str) -> Decimal:
    try:
        found = Decimal(text)
    except InvalidOperation as error:
        raise ValueError(f"metric {name} is no number: {text}"[:120]) from error
    if not found.is_finite():
        raise ValueError(f"metric {name} is {text}")
    return found
