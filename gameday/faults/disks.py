# SPDX-License-Identifier: Apache-2.0
"""What the kinds that break disks have in common. Not a kind itself.

This module travels to nodes: standard library only, Python 3.9 syntax.
"""

from __future__ import annotations

from typing import Any, Dict, Mapping

from gameday.clock import NS_PER_S
from gameday.errors import InvalidInput
from gameday.faults.base import Estate, Selector

ABSOLUTE: Dict[str, Any] = {"pattern": r"^/[^\x00-\x1f]*$"}
"""Metadata of a parameter that is a path on nodes."""

START_NS = 5 * NS_PER_S
"""Within this of the window's start an effect that is not there was never started: a keeper
that died is started again sooner. Later it means that somebody ended the effect by hand, and
they must win."""


def on_each(nodes: Selector, spec: Mapping[str, Any], estate: Estate) -> Dict[str, Dict[str, Any]]:
    """The same spec for every selected node that can be armed.

    Raises:
        InvalidInput: where there is none.
    """
    found = {node: dict(spec) for node in estate.select(nodes) if estate.can_arm(node)}
    if not found:
        raise InvalidInput(
            "nodes selects none that can be armed", "name a site, rack, role or node"
        )
    return found
