# SPDX-License-Identifier: Apache-2.0
"""``noop``: a lease that does nothing. Every harness test uses it.

It leaves no trace in the kernel, so its observation follows from the node's clock alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Tuple

from gameday.faults.base import Estate, Facts, KernelKept, Reach, Selector
from gameday.faults.hosts import Host
from gameday.record.types import Lease, Observation


@dataclass(frozen=True)
class NoopParams:
    """Parameters of ``noop``.

    Attributes:
        nodes: those that get a lease.
    """

    nodes: Selector


class Noop(KernelKept):
    """The fault that does nothing."""

    kind = "noop"
    Params: type = NoopParams
    harmless = True
    summary = "does nothing, on time; for rehearsals of the procedure and for tests"

    def spread(self, params: NoopParams, estate: Estate) -> Dict[str, Dict[str, Any]]:
        """An empty spec for every selected node that can be armed."""
        return {node: {} for node in estate.select(params.nodes) if estate.can_arm(node)}

    def reach(self, params: NoopParams, estate: Estate) -> Reach:
        """Cuts nothing."""
        return Reach()

    def available(self, facts: Facts) -> Optional[str]:
        """Always."""
        return None

    def claims(self, spec: Mapping[str, Any]) -> Tuple[str, ...]:
        """Owns nothing."""
        return ()

    def explain(self, lease: Lease) -> Tuple[List[str], List[str]]:
        """Nothing to set, nothing to undo."""
        return ["(nothing)"], ["(nothing)"]

    def before(self, lease: Lease, host: Host) -> Dict[str, Any]:
        """Nothing to remember."""
        return {}

    def arm(self, lease: Lease, before: Mapping[str, Any], host: Host) -> None:
        """Does nothing."""

    def observe(self, lease: Lease, before: Mapping[str, Any], host: Host) -> Observation:
        """Never more than a line in the ledger: absent as far as the kernel goes."""
        return Observation("absent", (), {}, ())

    def disarm(self, lease: Lease, before: Mapping[str, Any], host: Host) -> List[str]:
        """Nothing to remove."""
        return []


FAULT = Noop()
