# SPDX-License-Identifier: Apache-2.0
"""Who holds a plan's leases, its nodes or the controller's host, and who ends them; in words."""

from __future__ import annotations

from gameday.faults import TABLE
from gameday.faults.elsewhere import Elsewhere
from gameday.plan.model import Plan, PlannedFault
from gameday.plan.quorum import join

NODES = (
    "each node begins and ends its own, by its kernel's clock, even if the controller, the network "
    "or gameday dies."
)
ONLY_OURS = "What is not ours is never changed: only what carries a lease's ID is removed."
EXEMPT = "The management network and SSH are exempt from every rule."
GUARDS = (
    "by the controller's host: a keeper there begins and ends {it}, and a reaper and a last resort "
    "end {it} if the keeper is dead; none of them needs gameday. While that host is down, nothing "
    "there ends {it}; once it is up again a unit of systemd does, where one could be installed, or "
    "gameday recover."
)


def elsewhere(fault: PlannedFault) -> Elsewhere | None:
    """Where a fault acts whose lease the controller's host holds; ``None`` for one on nodes."""
    kind = TABLE.get(fault.kind)
    found = (kind.elsewhere(lease.spec) for lease in fault.leases) if kind else ()
    return next((one for one in found if one is not None), None)


def place(fault: PlannedFault, on_nodes: str = "") -> str:
    """Where it begins; ``on_nodes`` is said instead where that is on nodes."""
    found = elsewhere(fault)
    if found is not None:
        return found.place
    return on_nodes or ("on its node" if len(fault.leases) == 1 else "on its nodes")


def witness(fault: PlannedFault) -> str:
    """What shows a fault in effect that no echo shows, with its verb."""
    found = elsewhere(fault)
    return "every node's own kernel shows" if found is None else f"{found.witness} show"


def clusters(plan: Plan) -> dict[str, list[str]]:
    """Sites whose cluster is changed, and the names of the faults that do it."""
    found: dict[str, list[str]] = {}
    for fault in plan.faults:
        there = elsewhere(fault)
        if there is not None and there.site:
            found.setdefault(there.site, []).append(fault.name)
    return found


def ends(plan: Plan) -> list[str]:
    """Why the plan's faults end, a text per holder: what is said of nodes is true of nodes only."""
    away = {fault.name: found for fault in plan.faults if (found := elsewhere(fault)) is not None}
    begin = "Nothing is set before you start the run. Leases are armed ahead, inert"
    texts = []
    if len(away) < len(plan.faults):
        texts.append(f"{begin}; {NODES} {ONLY_OURS} {EXEMPT}")
        begin = ""
    if away:
        several = len(away) > 1
        who = f"{join(list(away))} {'are' if several else 'is'} held"
        guards = GUARDS.format(it="them" if several else "it")
        more = dict.fromkeys(found.ends for found in away.values())
        texts.append(" ".join([f"{begin}.", f"{who} {guards}", *more] if begin else
                              [f"{who} {guards}", *more]))  # fmt: skip
    return texts
