# SPDX-License-Identifier: Apache-2.0
"""What an estate asks of whoever breaks it: approvals, freezes, and whom to tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from gameday.experiment.params import Strict

APPROVALS_MAX, DAYS_MAX = 9, 366
FREEZES_MAX, ANNOUNCEMENTS_MAX = 200, 20
TIMEOUT_S_MAX = 60
"""A webhook that has not answered by then will not; a run is not held up for longer."""

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


class AnnouncementVariables(Strict):
    """One entry of ``gameday_policy.announcements``; its URL is a secret, so it is elsewhere."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    format: Literal["json", "slack"] = "json"
    url_env: Annotated[str, Field(pattern=r"^([A-Za-z_][A-Za-z0-9_]{0,99})?$")] = ""
    url_file: Annotated[str, Field(max_length=4096)] = ""
    ca_file: Annotated[str, Field(max_length=4096)] = ""
    required: bool = False
    timeout_s: Annotated[int, Field(ge=1, le=TIMEOUT_S_MAX)] = 10

    @model_validator(mode="after")
    def _one_place(self) -> AnnouncementVariables:
        if bool(self.url_env) == bool(self.url_file):
            raise ValueError("needs url_env or url_file, one of them")
        if "://" in self.url_file:
            # What stands there may be the secret itself, so it is not repeated.
            raise ValueError("has a URL where a file's name belongs; URLs are secrets")
        return self


class PolicyVariables(Strict):
    """``gameday_policy`` of an inventory."""

    approvals: Annotated[int, Field(ge=0, le=APPROVALS_MAX)] = 0
    approval_days: Annotated[int, Field(ge=1, le=DAYS_MAX)] = 30
    freezes: Annotated[list[FreezeVariables], Field(max_length=FREEZES_MAX, default_factory=list)]
    announcements: Annotated[
        list[AnnouncementVariables], Field(max_length=ANNOUNCEMENTS_MAX, default_factory=list)
    ]

    @model_validator(mode="after")
    def _names_differ(self) -> PolicyVariables:
        names = [one.name for one in self.announcements]
        if len(set(names)) < len(names):
            raise ValueError("has two announcements of one name")
        return self

    def policy(self, file: Callable[[Any], str | None]) -> Policy:
        """Frozen, with moments in UTC; ``file`` resolves a path as the inventory's others are."""
        told = [
            Announcement(
                one.name, one.format, one.url_env, file(one.url_file) or "",
                file(one.ca_file) or "", one.required, one.timeout_s,
            )
            for one in self.announcements
        ]  # fmt: skip
        frozen = tuple(one.freeze() for one in self.freezes)
        return Policy(self.approvals, self.approval_days, frozen, tuple(told))


@dataclass(frozen=True)
class Freeze:
    """A time at which nothing is broken on purpose; ISO 8601 in UTC, the end excluded."""

    begins: str
    ends: str
    why: str


@dataclass(frozen=True)
class Announcement:
    """Who is told that a drill begins and how it ended.

    Attributes:
        name: in messages. format: "json" or "slack".
        url_env, url_file: where its URL is, never the URL. ca_file: what its certificate is
            checked by, beside the host's own authorities. required: without it nothing begins.
        timeout_s: for all of one announcement.
    """

    name: str
    format: str
    url_env: str
    url_file: str
    ca_file: str
    required: bool
    timeout_s: int


@dataclass(frozen=True)
class Policy:
    """What must be given before a run is begun.

    Attributes:
        approvals: signatures over the plan; from two on, the operator's own does not count.
        approval_days: how long a signature counts. announcements: who is told before and after.
    """

    approvals: int = 0
    approval_days: int = 30
    freezes: tuple[Freeze, ...] = ()
    announcements: tuple[Announcement, ...] = ()

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
            "announcements": [asdict(one) for one in self.announcements],
        }


def policy_from_json(data: dict[str, Any]) -> Policy:
    """The inverse of ``Policy.to_json``; inventories from before policies had none."""
    freezes = tuple(Freeze(**one) for one in data.get("freezes", ()))
    told = tuple(Announcement(**one) for one in data.get("announcements", ()))
    return Policy(data.get("approvals", 0), data.get("approval_days", 30), freezes, told)
