# SPDX-License-Identifier: Apache-2.0
"""What a report's numbers and words look like to people; shared by terminal and HTML."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from gameday.measures.words import percent_between, seconds_between

VERDICT_TITLE = {
    "met": "Objectives met",
    "not-met": "Objectives not met",
    "unknown": "Unknown",
    "aborted": "Aborted",
    "invalid": "Invalid run",
    "not-clean": "Not proven clean",
}
VERDICT_TEXT = {
    "met": "Every objective with a limit is met at its upper bound.",
    "not-met": "At least one objective is missed even at its lower bound.",
    "unknown": "The record does not prove that every objective is met, or that one is missed.",
    "aborted": "The run was ended early; its numbers describe what happened, not the objectives.",
    "invalid": "The run went to its end, but its numbers do not count.",
    "not-clean": "A fault may still be in place on a node. Run gameday recover now.",
}
VERDICT_TONE = {
    "met": "good",
    "not-met": "bad",
    "unknown": "open",
    "aborted": "open",
    "invalid": "open",
    "not-clean": "bad",
}
SIGN = {"good": "✓", "bad": "✗", "open": "?", "none": "·"}
JUDGEMENT_TONE = {"met": "good", "missed": "bad", "unknown": "open", "reported": "none"}
OBSERVED_TONE = {"as-predicted": "good", "contradicted": "bad", "unknown": "open"}
OBSERVED_TEXT = {
    "as-predicted": "as predicted",
    "contradicted": "contradicted",
    "unknown": "unknown",
}
EXPECT_TEXT = {"writes-stop": "writes stop", "writes-continue": "writes continue"}


def interval_text(measurement: Mapping[str, Any]) -> str:
    """A measurement's interval with its unit, rounded outwards; its reason is not in it."""
    if measurement["status"] == "unknown" or measurement["lo"] is None:
        return "unknown"
    return between_text(measurement["lo"], measurement["hi"], measurement["unit"])


def between_text(lo: int, hi: int | None, unit: str) -> str:
    """From ``lo`` to ``hi``, or to nobody knows where, with its unit, rounded outwards."""
    if unit == "ns":
        return seconds_between(lo, hi)
    if unit == "ppm":
        return percent_between(lo, hi)
    return f"≥ {lo}" if hi is None else str(lo) if lo == hi else f"[{lo}, {hi}]"


def limit_text(objective: Mapping[str, Any]) -> str:
    """An objective's limit with its unit; "none" where it is only reported."""
    limit = objective["limit"]
    if limit is None:
        return "none"
    unit = objective["measurement"]["unit"]
    if unit == "ns":
        return f"≤ {limit['at_most'] // 1_000_000_000}.{_ms(limit['at_most'])} s"
    return f"≤ {limit['text']}"


def _ms(ns: int) -> str:
    return f"{ns // 1_000_000 % 1000:03d}"


def wall_text(wall_ns: int) -> str:
    """A wall clock's nanoseconds as UTC, to the second."""
    return datetime.fromtimestamp(wall_ns // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def clean_text(clean: Mapping[str, Any]) -> str:
    """Whether the estate was proven clean, in one sentence."""
    if clean["proven"] and not clean["touched"]:
        return "Nothing was armed, so nothing had to be removed."
    if clean["proven"]:
        touched = len(clean["touched"])
        which = f"all {touched} nodes with a lease were" if touched > 1 else "the lease's node was"
        return f"Proven clean: {which} read back."
    dirty = sorted({*clean["left"], *clean["not_read_back"]})
    return f"NOT proven clean: {', '.join(dirty)}."
