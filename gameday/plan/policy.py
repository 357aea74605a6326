# SPDX-License-Identifier: Apache-2.0
"""What an estate asks of whoever breaks it: approvals, and times at which nothing is broken."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from gameday.experiment.params import Strict

APPROVALS_MAX, DAYS_MAX = 9, 366
FREEZES_MAX = 200
Text = Annotated[str, Field(min_length=1, max_length=300)]


class FreezeVariables(Strict):
    """One entry of ``gameday_policy.freezes``; both ends are local times of ``time_zone``."""

    begins: Annotated[str, Field(description="as in 2026-12-18 or 2026-12-18 20:00")]
    ends: Annotated[str, Field(description="first moment after it, written the same way")]
    why: Text
    time_zone: str = "UTC"

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"{value} is no time zone; write it as in Europe/Berlin") from error
        return value

    @field_validator("begins", "ends")
    @classmethod
    def _moment(cls, value: str) -> str:
        try:
            found = datetime.fromisoformat(value)
        except ValueError as error:
            raise ValueError(f"{value} is no date; write it as in 2026-12-18 20:00") from error
        if found.tzinfo is not None:
            raise ValueError(f"{value} names a zone itself; put it into time_zone")
        return value

    @model_validator(mode="after")
    def _ordered(self) -> FreezeVariables:
        if datetime.fromisoformat(self.begins) >= datetime.fromisoformat(self.ends):
            raise ValueError("ends before it begins")
        return self

    def freeze(self) -> Freeze:
        """With both ends as moments."""
        zone = ZoneInfo(self.time_zone)
        begins, ends = (datetime.fromisoformat(x).replace(tzinfo=zone)
                        for x in (self.begins, self.ends))  # fmt: skip
        return Freeze(
            begins.astimezone(UTC).isoformat(), ends.astimezone(UTC).isoformat(), self.why
        )


class PolicyVariables(Strict):
    """``gameday_policy`` of an inventory."""

    approvals: Annotated[int, Field(ge=0, le=APPROVALS_MAX)] = 0
    approval_days: Annotated[int, Field(ge=1, le=DAYS_MAX)] = 30
    freezes: Annotated[list[FreezeVariables], Field(max_length=FREEZES_MAX, default_factory=list)]

    def policy(self) -> Policy:
        """Frozen, with moments in UTC."""
        return Policy(
            self.approvals, self.approval_days, tuple(one.freeze() for one in self.freezes)
        )


@dataclass(frozen=True)
class Freeze:
    """A time at which nothing is broken on purpose; ISO 8601 in UTC, the end excluded."""

    begins: str
    ends: str
    why: str


@dataclass(frozen=True)
class Policy:
    """What must be given before a run is begun.

    Attributes:
        approvals: signatures over the plan; from two on, the operator's own does not count.
        approval_days: how long a signature counts.
    """

    approvals: int = 0
    approval_days: int = 30
    freezes: tuple[Freeze, ...] = ()

    def freeze_at(self, at: datetime, until: datetime) -> Freeze | None:
        """The first freeze that overlaps a time, or ``None``."""
        for one in sorted(self.freezes, key=lambda freeze: freeze.begins):
            begins, ends = (datetime.fromisoformat(x) for x in (one.begins, one.ends))
            if at < ends and begins <= until:
                return one
        return None

    def to_json(self) -> dict[str, Any]:
        """As ``inventory.json`` has it."""
        return {
            "approvals": self.approvals,
            "approval_days": self.approval_days,
            "freezes": [vars(one) for one in self.freezes],
        }


def policy_from_json(data: dict[str, Any]) -> Policy:
    """The inverse of ``Policy.to_json``; inventories from before policies had none."""
    freezes = tuple(Freeze(**one) for one in data.get("freezes", ()))
    return Policy(data.get("approvals", 0), data.get("approval_days", 30), freezes)
