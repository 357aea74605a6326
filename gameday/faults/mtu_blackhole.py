# SPDX-License-Identifier: Apache-2.0
"""``mtu-blackhole``: packets above a size vanish, and no ICMP comes back.

What a tunnel between sites does whose MTU nobody told. A ``tbf`` leaf whose bucket holds just
that many bytes drops what is larger, *after* it has cut the large packets that the kernel hands
down whole (segmentation offload): so sizes are those on the wire, which no packet filter sees.

This module travels to nodes: standard library only, Python 3.9 syntax.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, Optional

from gameday.faults import paths
from gameday.faults.base import Estate, Reach, Selector
from gameday.faults.shaping import Shaping

ETHERNET_BYTES = 14
"""A queue sees the frame's header too; sizes in experiments are those of IP packets."""

RATE_KBIT = 30_000_000
"""Faster than the packets come, so that the bucket only ever judges sizes."""

QUEUE_BYTES = 4_000_000


@dataclass(frozen=True)
class MtuBlackholeParams:
    """Parameters of ``mtu-blackhole``.

    Attributes:
        from_: nodes whose large packets vanish. to: the peers they are sent to.
        at: nodes that hold the leases instead of from, such as a router.
        mtu_bytes: the largest IP packet that still passes.
        both_ways: whether large packets from to to from vanish too.
    """

    from_: Selector
    to: Selector
    mtu_bytes: int = field(metadata={"ge": 576, "le": 9_000})
    at: Optional[Selector] = None
    both_ways: bool = False

    direction = "egress"
    protocol = "any"
    ports = ()


class MtuBlackhole(Shaping):
    """Large packets vanish."""

    kind = "mtu-blackhole"
    Params: type = MtuBlackholeParams
    summary = "packets above a size vanish without an ICMP message, as in a misconfigured tunnel"
    leaf_needs = ("tbf",)

    def spread(self, params: MtuBlackholeParams, estate: Estate) -> Dict[str, Dict[str, Any]]:
        """One spec per node that holds a lease; raises InvalidInput where one cannot."""
        leaf = {"kind": "tbf", "rate_kbit": RATE_KBIT, "queue_bytes": QUEUE_BYTES,
                "burst_bytes": params.mtu_bytes + ETHERNET_BYTES}  # fmt: skip
        return paths.spread(params, leaf, leaf if params.both_ways else None, estate)

    def reach(self, params: MtuBlackholeParams, estate: Estate) -> Reach:
        """Small echoes pass, so that they show nothing."""
        return Reach()


FAULT = MtuBlackhole()
