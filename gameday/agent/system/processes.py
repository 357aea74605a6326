# SPDX-License-Identifier: Apache-2.0
"""The real ``Processes`` of ``gameday.faults.hosts.processes``."""

from __future__ import annotations

from typing import Tuple

from gameday.agent.system.command import Check

CHECKS: Tuple[Check, ...] = ()


class RealProcesses:
    """This node."""
