# SPDX-License-Identifier: Apache-2.0
"""What a slower path means for a Raft group's timers, before anything is touched. Pure.

From etcd's tuning guide (etcd.io, "Time parameters"): the heartbeat interval should be around the
longest round trip between members, and the election timeout at least ten of these round trips.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gameday.faults import profiles
from gameday.plan.estate import RaftGroup
from gameday.plan.leases import Aimed

ELECTION_ROUND_TRIPS = 10
HEARTBEAT_PERCENT = 150
"""etcd's guide takes half to one and a half round trips for a heartbeat."""

US_PER_MS = 1000


def warnings(
    group: RaftGroup, faults: Sequence[Aimed], base_us: int | Mapping[str, int] | None
) -> list[str]:
    """What each fault that slows a path between members means for their elections.

    Args:
        base_us: the usual round trip of that path, one for all or by fault; None where nobody
            measured it, and then only what is added counts.
    """
    members = set(group.members)
    found = []
    for fault in faults:
        slowed = any({a, b} <= members for a, b in fault.reach.shifted)
        added = profiles.peak(fault.reach.profile).rtt_us if slowed else 0
        if added:
            name = fault.planned.name
            base = base_us.get(name) if isinstance(base_us, Mapping) else base_us
            found += _said(group, name, (base or 0) + added, base is None)
    return found


def _said(group: RaftGroup, fault: str, peak_us: int, alone: bool) -> list[str]:
    peak = f"{peak_us / US_PER_MS:g} ms"
    peak += " are added to round trips" if alone else " is the longest round trip"
    who = f"{group.name}: during {fault} {peak} between members"
    if peak_us >= group.election_ms * US_PER_MS:
        return [
            f"{who}, no less than its election timeout of {group.election_ms} ms: votes come back "
            f"too late, so expect it to flap, and members across this path to elect nobody"
        ]
    if peak_us * ELECTION_ROUND_TRIPS > group.election_ms * US_PER_MS:
        return [
            f"{who}; its election timeout of {group.election_ms} ms is less than "
            f"{ELECTION_ROUND_TRIPS} of them, which etcd advises: it may flap"
        ]
    if peak_us * 100 > group.heartbeat_ms * HEARTBEAT_PERCENT * US_PER_MS:
        return [
            f"{who}; its heartbeat of {group.heartbeat_ms} ms is shorter than etcd advises for "
            f"that: writes will be slower, an election is not expected"
        ]
    return []
