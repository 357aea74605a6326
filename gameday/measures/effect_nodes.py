# SPDX-License-Identifier: Apache-2.0
"""The effect of a fault that no echo shows, as the nodes' own kernels told of it; or the system
that it is in, where the controller's host holds the lease."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gameday.faults import TABLE
from gameday.measures.words import names
from gameday.record import kinds
from gameday.record.record import Record

PACKET_WORDS = ("cut", "cut-out", "cut-forwarded", "shaped", "leaf-packets", "packets-sent")
"""Counters of packets that a fault hit; where a kind has some, one must have grown."""


def check_nodes(record: Record, fault: str) -> tuple[bool | None, str]:
    """(held, one sentence): every lease was seen in effect inside its window.

    ``None`` where a node, or the system that it asks, did not answer inside the window: nobody
    knows then.
    """
    planned = next(f for f in record.plan["faults"] if f["name"] == fault)
    wanted = {lease["id"]: lease["node"] for lease in planned["leases"]}
    seen: dict[str, list[Mapping[str, Any]]] = {}
    for event in record.of_kind(kinds.OBSERVED):
        found = event.data["observation"]
        if event.data["when"] != "active" or event.data["lease"] not in wanted:
            continue
        seen.setdefault(event.data["lease"], []).append(found)
    dark = {lease for lease in wanted if not _active(seen.get(lease, ()))}
    # What was not there at one look may have been at the one that was not answered.
    unread = {lease for lease in dark if not seen.get(lease)
              or any(one.get("unread") for one in seen[lease])}  # fmt: skip
    blind = sorted({wanted[lease] for lease in unread})
    idle = sorted({wanted[lease] for lease in dark - unread})
    kind = TABLE.get(planned["kind"])
    there = [one for lease in planned["leases"] if kind and (one := kind.elsewhere(lease["spec"]))]

    def at(nodes: Iterable[str]) -> str:
        return there[0].place if there else f"on {names(sorted(set(nodes)))}"

    if idle:
        return False, f"not in effect inside its window {at(idle)}"
    if blind:
        return None, f"nobody looked inside the window {at(blind)}, or got an answer"
    packets = _packets(seen)
    if packets == 0:
        return False, "in place on every node, but not one packet met it"
    more = f"; {packets} packets met it" if packets else ""
    by = there[0].witness if there else "their own kernels"
    return True, f"in effect {at(wanted.values())}, by {by}{more}"


def _active(observations: Iterable[Mapping[str, Any]]) -> bool:
    return any(one["state"] == "active" for one in observations)


def _packets(seen: Mapping[str, list[Mapping[str, Any]]]) -> int | None:
    """Packets that the fault hit by the latest look; ``None`` where the kind has none."""
    last = [observations[-1]["counters"] for observations in seen.values()]
    counted = [c[word] for c in last for word in PACKET_WORDS if word in c]
    return sum(counted) if counted else None
