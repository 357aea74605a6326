# SPDX-License-Identifier: Apache-2.0
"""Two reports of one drill, objective by objective: changed, not changed, or nobody can say. Pure.

With A within [a, b] and B within [c, d], B - A lies within [c - b, d - a]. That is "changed" where
all of it is further from zero than the tolerance, "not changed" where none of it is, and
otherwise the two records do not tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gameday.report.words import JUDGEMENT_TONE, SIGN, between_text, interval_text

Report = Mapping[str, Any]

CHANGED, SAME, UNSURE = "changed", "not changed", "cannot say"

PERCENT = 10
"""Of the earlier run's upper bound: drills of one estate differ by as much from day to day."""


@dataclass(frozen=True)
class Row:
    """One objective in both reports.

    Attributes:
        name: of the objective. was, now: its intervals in words.
        judged: its judgement before and after.
        found: ``CHANGED``, ``SAME`` or ``UNSURE``.
        by: [least, most] that it grew, in its unit; negative where it fell; None without bound.
        unit: "ns", "ppm" or "count". why: a sentence.
    """

    name: str
    was: str
    now: str
    judged: tuple[str, str]
    found: str
    by: tuple[int | None, int | None]
    unit: str
    why: str

    def to_json(self) -> dict[str, Any]:
        """For programs; the interval is as wide as what is known."""
        return {
            "objective": self.name, "found": self.found, "why": self.why, "unit": self.unit,
            "was": self.was, "now": self.now, "judged": list(self.judged), "by": list(self.by),
        }  # fmt: skip


def compare(before: Report, after: Report, percent: int = PERCENT) -> list[Row]:
    """Every objective of either report, in the later one's order.

    Args:
        before, after: as ``build_report`` makes them.
        percent: how much of the earlier upper bound counts as no change.
    """
    old = {one["name"]: one for one in before["objectives"]}
    new = {one["name"]: one for one in after["objectives"]}
    names = [*new, *(name for name in old if name not in new)]
    return [_row(name, old.get(name), new.get(name), percent) for name in names]


def differences(before: Report, after: Report) -> list[str]:
    """What else differs between the runs, so that a change may not be the estate's. Pure."""
    found = []
    for what, read in (
        ("experiment", lambda r: r["experiment"]["name"]),
        ("gameday that ran it", lambda r: r["run"]["version"]),
        ("gameday that judged it", lambda r: r["judged_by"]),
        ("nodes", lambda r: ", ".join(r["run"]["nodes"])),
        ("outcome", lambda r: r["verdict"]["outcome"]),
        ("timeline", lambda r: ", ".join(f"{k} {v}" for k, v in
                                         sorted(r["experiment"]["timeline"].items()))),
    ):  # fmt: skip
        was, now = read(before), read(after)
        if was != now:
            found.append(f"{what}: {was} -> {now}")
    return found


def row_text(row: Row) -> str:
    """One line for the terminal."""
    signs = " -> ".join(SIGN[JUDGEMENT_TONE.get(word, "open")] for word in row.judged)
    return f"{row.found:<11}  {row.name}: {row.was} -> {row.now}  ({signs}; {row.why})"


def _row(name: str, old: Any, new: Any, percent: int) -> Row:
    if old is None or new is None:
        only = "the later" if old is None else "the earlier"
        one = new or old
        said = interval_text(one["measurement"])
        was, now = ("absent", said) if old is None else (said, "absent")
        judged = ("absent", one["judgement"]) if old is None else (one["judgement"], "absent")
        return Row(name, was, now, judged, UNSURE, (None, None), one["measurement"]["unit"],
                   f"only {only} run has it")  # fmt: skip
    a, b = old["measurement"], new["measurement"]
    found, by, why = _found(a, b, percent)
    judged = (old["judgement"], new["judgement"])
    if old["limit"] != new["limit"]:
        why += "; its limit is another"
    return Row(name, interval_text(a), interval_text(b), judged, found, by, b["unit"], why)


def _found(a: Any, b: Any, percent: int) -> tuple[str, tuple[int | None, int | None], str]:
    if (a["kind"], a["unit"]) != (b["kind"], b["unit"]):
        return UNSURE, (None, None), f"{a['kind']} is another measurement than {b['kind']}"
    for one, which in ((a, "earlier"), (b, "later")):
        if one["status"] == "unknown" or one["lo"] is None:
            return UNSURE, (None, None), f"the {which} run does not know it"
    # An end without a bound leaves the difference without one on that side.
    least = None if a["hi"] is None else b["lo"] - a["hi"]
    most = None if b["hi"] is None else b["hi"] - a["lo"]
    by = (least, most)
    allowed = (a["hi"] if a["hi"] is not None else a["lo"]) * percent // 100
    more, less = ("longer", "shorter") if a["unit"] == "ns" else ("more", "less")
    if least is not None and least > allowed:
        return CHANGED, by, f"{more} by {between_text(least, most, a['unit'])}"
    if most is not None and most < -allowed:
        fell = between_text(-most, None if least is None else -least, a["unit"])
        return CHANGED, by, f"{less} by {fell}"
    if least is not None and most is not None and -allowed <= least and most <= allowed:
        return SAME, by, f"within {percent} %"
    return UNSURE, by, "the intervals leave both open"
