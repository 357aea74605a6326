# SPDX-License-Identifier: Apache-2.0
"""Is the estate healthy enough to be broken? Asked of samples, for a whole window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gameday.clock import NS_PER_S
from gameday.conduct.board import Board, Look
from gameday.conduct.limits import STEADY_DELIVERED_PERCENT


@dataclass(frozen=True)
class Check:
    """The state of one steady-state check over one window."""

    probe: str
    held: bool
    ok: int
    total: int
    reason: str


def look(plan: Mapping[str, Any], board: Board, now_ns: int) -> list[Check]:
    """Every steady-state check over a window that ends at ``now_ns``, or shortly before.

    A check's window ends where its vantages were last heard, since what comes through a worker
    comes in batches. What a silent vantage did not deliver is missing.
    """
    steady = plan["experiment"]["steady_state"]
    window_ns = steady["for_s"] * NS_PER_S
    probes = {probe["name"]: probe for probe in plan["probes"]}
    found = []
    for check in steady["checks"]:
        probe = probes[check["probe"]]
        end = board.heard_of_all((one["node"] for one in probe["samplers"]), now_ns)
        found.append(_check(probe, check["ok_percent"], board, end - window_ns, window_ns))
    return found


def _check(
    probe: Mapping[str, Any], percent: int, board: Board, from_ns: int, window_ns: int
) -> Check:
    name = probe["name"]
    found = board.since(name, from_ns)
    ok = sum(look.ok for looks in found.values() for look in looks)
    total = sum(len(looks) for looks in found.values())
    due = max(1, window_ns // probe["period_ns"] * STEADY_DELIVERED_PERCENT // 100)
    wanted = {
        (one["node"], "listener" if one["target"] == "listener" else one["target"])
        for one in probe["samplers"]
    }
    for node, target in sorted(wanted):
        looks = found.get((node, target), [])
        reason = _sampler_reason(looks, due, percent)
        if reason:
            return Check(name, False, ok, total, f"{name} from {node} at {target}: {reason}")
    firing = board.firing()
    if firing and any(target != "listener" for _, target in found):
        return Check(name, False, ok, total, f"alert firing: {' '.join(firing[0])}")
    return Check(name, True, ok, total, "")


def _sampler_reason(looks: list[Look], due: int, percent: int) -> str:
    if len(looks) < due:
        return f"{len(looks)} samples where at least {due} are due"
    good = sum(look.ok for look in looks)
    if good * 100 < percent * len(looks):
        last = next((look.reason for look in reversed(looks) if not look.ok), "")
        return f"{good} of {len(looks)} good, {percent} % wanted; last failure: {last}"
    return ""
