# SPDX-License-Identifier: Apache-2.0
"""What tests of whole runs share that real time passes in, on a machine that may be busy."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from gameday.clock import NS_PER_S, wall_ns

LATE_S = 6.0
"""A guard asks at the lease's end; on a busy machine an interpreter takes its time for it."""


def until(ns: int, extra_s: float = 0.0) -> None:
    """Wait for a moment of the wall clock, such as a window's end, which is what is waited for."""
    time.sleep(max(0.0, (ns - wall_ns()) / NS_PER_S + extra_s))


def lost_looks(verdict: Mapping[str, Any]) -> list[str]:
    """Why a run does not count, where looks that a starved probe lost are the only reason."""
    reasons: list[str] = verdict["reasons"] if verdict["outcome"] == "invalid" else []
    if any(one.startswith(("steady state: ", "effect of ")) for one in reasons):
        return []
    return [one for one in reasons if one.startswith("coverage: ")]
