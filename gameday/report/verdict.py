# SPDX-License-Identifier: Apache-2.0
"""Met, not met or unknown; and what that means for the run as a whole. Pure.

The lattice, from best to worst: met < unknown < missed. A group of verdicts is as good as
its worst member. Absent is unknown, and unknown is never green.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from gameday.errors import (
    EXIT_MET,
    EXIT_NOT_CLEAN,
    EXIT_NOT_MET,
    EXIT_UNKNOWN,
    EvidenceError,
)
from gameday.measures.base import Measurement

Judgement = Literal["met", "missed", "unknown", "reported"]
"""met: hi is within the limit. missed: lo is beyond it. unknown: neither is proven.
reported: the objective has no limit, so there is nothing to miss."""

Outcome = Literal["completed", "aborted", "invalid"]
"""completed: went to its end. aborted: ended early. invalid: went to its end, but what it
measured does not count (effect gate, steady state or coverage)."""

Verdict = Literal["met", "not-met", "unknown", "aborted", "invalid", "not-clean"]
"""One word for the run. not-clean wins over aborted, that over invalid, that over the rest."""

NS_PER_MS = 1_000_000
PPM_PER_PERCENT = 10_000

WORST_FIRST: Sequence[Judgement] = ("missed", "unknown", "met")


@dataclass(frozen=True)
class Limit:
    """An objective's limit in the measurement's unit; ``text`` as people read it."""

    at_most: int
    text: str


@dataclass(frozen=True)
class Objective:
    """A measurement beside its limit.

    Attributes:
        name: from the experiment. limit: None where the objective is only reported.
        judgement: see ``Judgement``. why: one sentence.
    """

    name: str
    limit: Limit | None
    judgement: Judgement
    why: str


@dataclass(frozen=True)
class RunVerdict:
    """What a run came to.

    Attributes:
        verdict: one word. outcome: how it ended. exit_code: by ``gameday.errors``.
        objectives: the worst judgement of all objectives with a limit.
        reasons: why it is not simply met, most important first.
    """

    verdict: Verdict
    outcome: Outcome
    objectives: Judgement
    exit_code: int
    reasons: tuple[str, ...]


def limit_of(objective: Mapping[str, Any]) -> Limit | None:
    """The limit of an objective of the plan, in ns, ppm or counts.

    Raises:
        EvidenceError: where it is not a number.
    """
    for key, factor, unit in (
        ("at_most_ms", NS_PER_MS, " ms"),
        ("at_most_percent", PPM_PER_PERCENT, " %"),
        ("at_most", 1, ""),
    ):
        given = objective.get(key)
        if given is None:
            continue
        try:
            return Limit(int(Decimal(str(given)) * factor), f"{given}{unit}")
        except InvalidOperation as error:
            raise EvidenceError(f"{objective['name']}: {key} is {given!r}, no number") from error
    return None


def judge(measurement: Measurement, limit: Limit | None) -> Objective:
    """Met only if ``hi`` meets the limit, missed only if ``lo`` misses it, else unknown."""
    name = measurement.name
    if limit is None:
        return Objective(name, None, "reported", "no limit was set")
    lo, hi = measurement.lo, measurement.hi
    if measurement.status == "unknown":
        return Objective(name, limit, "unknown", measurement.reason)
    if hi is not None and hi <= limit.at_most:
        return Objective(name, limit, "met", "the upper bound is within the limit")
    if lo is not None and lo > limit.at_most:
        why = measurement.reason or "the lower bound is beyond the limit"
        return Objective(name, limit, "missed", why)
    if measurement.status == "never":
        why = f"{measurement.reason}; the watch was shorter than the limit"
        return Objective(name, limit, "unknown", why)
    return Objective(name, limit, "unknown", "the limit lies between both bounds")


def worst(judgements: Iterable[Judgement]) -> Judgement:
    """The worst of several; unknown where there is none to judge."""
    found = set(judgements) - {"reported"}
    for candidate in WORST_FIRST:
        if candidate in found:
            return candidate
    return "unknown"


def judge_run(
    objectives: Sequence[Objective],
    *,
    unclean: str,
    aborted: str,
    invalid: Sequence[str],
    ended: bool,
) -> RunVerdict:
    """The run's verdict.

    Args:
        objectives: judged. unclean: what is not proven clean; empty where all is.
        aborted: why it was ended early; empty where it was not.
        invalid: why its numbers do not count. ended: whether it went to its end.
    """
    of_objectives = worst(o.judgement for o in objectives)
    missed = [f"{o.name}: {o.why}" for o in objectives if o.judgement == "missed"]
    open_ = [f"{o.name}: {o.why}" for o in objectives if o.judgement == "unknown"]
    if not any(o.limit for o in objectives):
        open_.append("no objective has a limit")
    stopped = aborted or ("" if ended else "the run did not reach its end")
    outcome: Outcome = "aborted" if stopped else "invalid" if invalid else "completed"
    reasons = (*([stopped] if stopped else []), *invalid, *missed, *open_)
    if unclean:
        reasons = (unclean, *reasons)
        return RunVerdict("not-clean", outcome, of_objectives, EXIT_NOT_CLEAN, reasons)
    if outcome != "completed":
        return RunVerdict(outcome, outcome, of_objectives, EXIT_UNKNOWN, reasons)
    if of_objectives == "missed":
        return RunVerdict("not-met", outcome, of_objectives, EXIT_NOT_MET, reasons)
    if of_objectives == "met":
        return RunVerdict("met", outcome, of_objectives, EXIT_MET, ())
    return RunVerdict("unknown", outcome, of_objectives, EXIT_UNKNOWN, reasons)
