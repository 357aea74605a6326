# SPDX-License-Identifier: Apache-2.0
"""Processes, services, containers and power of a node, as fault kinds see them."""

from __future__ import annotations

from typing import Protocol


class Processes(Protocol):
    """Processes, services, containers and power of a node."""
