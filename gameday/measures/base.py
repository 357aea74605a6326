# SPDX-License-Identifier: Apache-2.0
"""What a measurement is: a number with a unit, known to lie in [lo, hi]. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from gameday.errors import require
from gameday.record.record import Record

Unit = Literal["ns", "count", "ppm"]

Status = Literal["measured", "never", "unknown"]
"""measured: lies in [lo, hi]. never: it had not happened when the record ended, so it is at
least lo and hi is None. unknown: the record does not tell; reason says why."""


@dataclass(frozen=True)
class Part:
    """One piece of an interval's width, in the measurement's unit."""

    name: str
    size: int


@dataclass(frozen=True)
class Measurement:
    """The answer to one question about a run.

    Attributes:
        name: from the experiment's objective. kind: key of the measure table.
        unit: "ns" for durations, "count", or "ppm" for shares (a million is all).
        lo, hi: bounds; hi is None where no upper bound is known; both None if unknown.
        parts: what the width is made of; sizes add up to at least hi - lo.
        start, end: where on the run's time base the interval lies, for drawing:
            (lo, hi) of its beginning and of its end, in ns; None where it does not apply.
        details: further facts: integers, strings, lists, and rows for the report's tables.
        evidence: sentences naming the samples it rests on.
        reason: why it is "never" or "unknown"; else empty.
    """

    name: str
    kind: str
    unit: Unit
    status: Status
    lo: int | None = None
    hi: int | None = None
    parts: tuple[Part, ...] = ()
    start: tuple[int, int] | None = None
    end: tuple[int, int] | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    evidence: tuple[str, ...] = ()
    reason: str = ""

    def __post_init__(self) -> None:
        if self.status == "measured":
            require(
                self.lo is not None and self.hi is not None, f"{self.name}: measured, no bounds"
            )
            require(self.lo <= self.hi, f"{self.name}: lo above hi")  # type: ignore[operator]
        else:
            require(self.reason, f"{self.name}: {self.status} without a reason")


class Measure(Protocol):
    """A kind of measurement.

    Attributes:
        kind: key of the measure table. unit: of its result.
        Params: frozen dataclass; pydantic checks it on the controller.
    """

    kind: str
    unit: Unit
    Params: type
    summary: str

    def measure(self, name: str, params: Any, record: Record) -> Measurement:
        """Compute from the record alone; raises nothing but EvidenceError (becomes unknown)."""
