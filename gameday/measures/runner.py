# SPDX-License-Identifier: Apache-2.0
"""Runs every measurement that the experiment asks for; a crashed one becomes unknown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gameday.errors import GamedayError, require
from gameday.measures import TABLE
from gameday.measures.base import Measurement
from gameday.measures.common import build_params, unknown
from gameday.record.record import Record


def measure_all(record: Record) -> list[Measurement]:
    """One measurement per objective of the experiment, in its order. Raises nothing."""
    return [measure_one(record, objective) for objective in record.plan["experiment"]["objectives"]]


def measure_one(record: Record, objective: Mapping[str, Any]) -> Measurement:
    """The measurement of one objective; unknown, with the error, where it cannot be computed."""
    name, kind = str(objective["name"]), str(objective["measure"])
    measure = TABLE.get(kind)
    if measure is None:
        return unknown(name, kind, "count", f"this version knows no measurement {kind!r}")
    try:
        params = build_params(measure.Params, objective.get("params") or {})
        found = measure.measure(name, params, record)
        _check(found)
        return found
    except GamedayError as error:
        return unknown(name, kind, measure.unit, error.message)
    except Exception as error:  # noqa: BLE001 - a measurement's bug must not take the others along
        return unknown(name, kind, measure.unit, f"crashed: {type(error).__name__}: {error}")


def _check(found: Measurement) -> None:
    """The promise of ``Measurement.parts``: they account for the whole width."""
    if found.status == "measured" and found.lo is not None and found.hi is not None:
        width, named = found.hi - found.lo, sum(part.size for part in found.parts)
        require(named >= width, f"parts add up to {named}, the width is {width}")
