# SPDX-License-Identifier: Apache-2.0
"""``saturate``: a path fills up: a narrow rate with a real queue before it, or real traffic.

This module travels to nodes: standard library only, Python 3.9 syntax.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Literal, Mapping, Optional, Tuple

from gameday.errors import InvalidInput
from gameday.faults import paths
from gameday.faults.base import Estate, Facts, Reach, Selector
from gameday.faults.hosts import Host
from gameday.faults.shaping import Shaping
from gameday.record.types import Lease, Observation

BURST_BYTES_MIN = 3_000
"""Two full packets: a bucket that holds less than one would pass nothing."""

TRAFFIC_MBIT_MAX = 1_000
"""What one sender may add to a path; more would test its own processor."""

PACKET_BYTES = 1_200
"""Payload of the traffic: fits every path whose MTU is 1280 (the least that IPv6 allows)."""

DISCARD_PORT = 9
"""The discard service: nobody answers, and most estates know what it is."""

TICK_NS = 10_000_000
"""The sender sends its share every ten milliseconds."""


@dataclass(frozen=True)
class SaturateParams:
    """Parameters of ``saturate``.

    Attributes:
        from_: nodes at the filling end. to: nodes at the other end.
        at: nodes that hold the leases instead of from, such as a router.
        form: queue (a rate limit with a queue before it) or traffic (UDP from each node of
            from to one of to).
        rate_mbit: what the path lets through (queue), or what each sender sends (traffic).
        queue_ms: how long a packet waits in the full queue: bufferbloat.
    """

    from_: Selector
    to: Selector
    rate_mbit: int = field(metadata={"ge": 1, "le": 100_000})
    at: Optional[Selector] = None
    form: Literal["queue", "traffic"] = "queue"
    queue_ms: int = field(default=500, metadata={"ge": 1, "le": 10_000})

    direction = "egress"
    protocol = "any"
    ports = ()


class Saturate(Shaping):
    """A path that fills up."""

    kind = "saturate"
    Params: type = SaturateParams
    summary = "a path fills up: a rate limit with a long queue, or real bounded traffic"
    leaf_needs = ("tbf",)

    def kept_by(self, spec: Mapping[str, Any]) -> str:
        """The kernel keeps the queue's window; traffic ends with the process that sends it."""
        return "process" if "traffic" in spec else "kernel"

    def drives(self, spec: Mapping[str, Any]) -> bool:
        """Only traffic has anything to do."""
        return "traffic" in spec

    def available(self, facts: Facts) -> Optional[str]:
        """What the queue needs."""
        return super().available(facts)

    def claims(self, spec: Mapping[str, Any]) -> Tuple[str, ...]:
        """The flows it shapes; traffic owns nothing but its own sending."""
        return ("send traffic",) if "traffic" in spec else super().claims(spec)

    def spread(self, params: SaturateParams, estate: Estate) -> Dict[str, Dict[str, Any]]:
        """One spec per node that holds a lease; raises InvalidInput where one cannot."""
        if params.form == "traffic":
            return _traffic(params, estate)
        rate = params.rate_mbit * 125_000
        leaf = {"kind": "tbf", "rate_kbit": params.rate_mbit * 1000,
                "burst_bytes": max(BURST_BYTES_MIN, rate // 250),
                "queue_bytes": max(BURST_BYTES_MIN, rate * params.queue_ms // 1000)}  # fmt: skip
        return paths.spread(params, leaf, None, estate)

    def reach(self, params: SaturateParams, estate: Estate) -> Reach:
        """Nothing that an echo must show: a queue is only felt by who fills it."""
        return Reach()

    def explain(self, lease: Lease) -> Tuple[List[str], List[str]]:
        """The leaf and its rules, or what is sent."""
        if "traffic" not in lease.spec:
            return super().explain(lease)
        one = lease.spec["traffic"]
        text = f"UDP to {one['to']} port {DISCARD_PORT}, {one['rate_mbit']} Mbit/s"
        return [text], ["(ends with its sender)"]

    def before(self, lease: Lease, host: Host) -> Dict[str, Any]:
        """As every shaping; of traffic, that there is a way."""
        if "traffic" in lease.spec:
            return {"devices": sorted(host.traffic.devices_to([lease.spec["traffic"]["to"]]))}
        return super().before(lease, host)

    def arm(self, lease: Lease, before: Mapping[str, Any], host: Host) -> None:
        """The queue; traffic waits for ``drive``."""
        if "traffic" not in lease.spec:
            super().arm(lease, before, host)

    def drive(
        self, lease: Lease, before: Mapping[str, Any], host: Host, since_ns: int
    ) -> Optional[int]:
        """Send this tick's share."""
        one = lease.spec["traffic"]
        count = one["rate_mbit"] * 1_000_000 * TICK_NS // (8 * PACKET_BYTES * 1_000_000_000)
        host.traffic.send_udp(lease.id, one["to"], DISCARD_PORT, PACKET_BYTES, max(1, count))
        return (since_ns // TICK_NS + 1) * TICK_NS

    def observe(self, lease: Lease, before: Mapping[str, Any], host: Host) -> Observation:
        """Traffic has nothing on the node but a sender that says how much it sent."""
        if "traffic" not in lease.spec:
            return super().observe(lease, before, host)
        sent = host.traffic.udp_sent(lease.id)
        if sent is None:
            return Observation("absent", (), {}, ())
        left = f"count of sent packets: remove with `rm /run/gameday/{lease.id}.sent`"
        return Observation("active", (left,), {"packets-sent": sent}, ())

    def disarm(self, lease: Lease, before: Mapping[str, Any], host: Host) -> List[str]:
        """The queue, or the counter of the sender."""
        if "traffic" not in lease.spec:
            return super().disarm(lease, before, host)
        return ["traffic ended"] if host.traffic.end_udp(lease.id) else []


def _traffic(params: SaturateParams, estate: Estate) -> Dict[str, Dict[str, Any]]:
    from_, to = paths.ends(params, estate)
    if params.at is not None:
        raise InvalidInput("at is not for form: traffic; the nodes of from send it")
    if params.rate_mbit > TRAFFIC_MBIT_MAX:
        raise InvalidInput(f"rate_mbit: a sender sends at most {TRAFFIC_MBIT_MAX} Mbit/s")
    cannot = [node for node in from_ if not estate.can_arm(node)]
    if cannot:
        raise InvalidInput(f"{cannot[0]} can hold no lease (gameday_vantage_only)")
    specs = {}
    for number, node in enumerate(from_):
        peers = [one for one in to if one != node and estate.addresses(one)]
        if not peers:
            raise InvalidInput(f"to selects nobody that {node} could send to")
        address = estate.addresses(peers[number % len(peers)])[0]
        specs[node] = {"traffic": {"to": address, "rate_mbit": params.rate_mbit},
                       "exempt": sorted(estate.management())}  # fmt: skip
    return specs


FAULT = Saturate()
