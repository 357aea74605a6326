# SPDX-License-Identifier: Apache-2.0
"""The real ``Traffic`` of ``gameday.faults.hosts.traffic``."""

from __future__ import annotations

from typing import Tuple

from gameday.agent.system.command import Check

CHECKS: Tuple[Check, ...] = ()


class RealTraffic:
    """This node."""
