# SPDX-License-Identifier: Apache-2.0
"""The real ``Disks`` of ``gameday.faults.hosts.disks``."""

from __future__ import annotations

from typing import Tuple

from gameday.agent.system.command import Check

CHECKS: Tuple[Check, ...] = ()


class RealDisks:
    """This node."""
