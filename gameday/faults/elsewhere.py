# SPDX-License-Identifier: Apache-2.0
"""Where leases act that the controller's own host holds, and who ends them, for people.

This module travels to nodes: standard library only, Python 3.9 syntax.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Elsewhere:
    """Where a lease acts that no node holds.

    Attributes:
        place: where it begins, as in "in london's cluster".
        witness: what show that it is in effect, as in "the API server's own objects".
        ends: sentences: what ends it beside the holder's guards, and what nothing does.
        site: whose cluster is changed; empty where none is.
    """

    place: str
    witness: str
    ends: str
    site: str = ""


def in_cluster(site: str) -> Elsewhere:
    """In a site's Kubernetes cluster."""
    ends = (
        "An API server that does not answer is asked again for as long as a guard there lives. "
        "Each object that is changed carries what was there and until when (gameday.io/lease): "
        "gameday sweep --clusters, on any machine with the inventory, gives back what is overdue, "
        "even if the controller's host is gone for good. A field comes back only where it still "
        "holds what the lease set."
    )
    return Elsewhere(f"in {site}'s cluster", "the API server's own objects", ends, site)


def at_bmcs(count: int) -> Elsewhere:
    """At the BMCs of machines."""
    place = "at the BMC of 1 machine" if count == 1 else f"at the BMCs of {count} machines"
    ends = (
        "If the controller's host is gone for good, only the BMCs' own restore policy or a hand "
        "switches the machines."
    )
    return Elsewhere(place, "the BMCs' own answers", ends)
