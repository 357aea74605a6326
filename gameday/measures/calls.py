# SPDX-License-Identifier: Apache-2.0
"""Calls of a workload on registers, in one time base: what a history is made of. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gameday.clock import Interval

Op = Literal["read", "write", "swap", "differs"]
"""read: saw ``value``. write: put ``value``. swap: put ``value`` where it found ``was``.
differs: a swap that found something else than ``value``, and did not say what."""

ABSENT = ""
"""What a register holds before anybody wrote it."""


@dataclass(frozen=True)
class Call:
    """One call on one register.

    Attributes:
        process: who called: the vantage. name: of this call, unique in its history.
        key: the register. op, value, was: see ``Op``.
        begin: when it was called, in ns of the run. end: when it had returned; None where no
            answer came, and it may take effect at any later time, or never.
    """

    process: str
    name: str
    key: str
    op: Op
    value: str
    begin: Interval
    end: Interval | None
    was: str = ABSENT

    @property
    def sees(self) -> str | None:
        """The value that the register had when the call took effect, where it tells."""
        return {"read": self.value, "swap": self.was}.get(self.op)

    @property
    def puts(self) -> str | None:
        """The value that the register has after it, where it changes it."""
        return self.value if self.op in ("write", "swap") else None
