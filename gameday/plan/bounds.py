# SPDX-License-Identifier: Apache-2.0
"""How much may be broken at most, whatever an experiment asks for.

Each bound is a constant here with its reason. The inventory (``gameday_limits``) and the
experiment (``limits``) may lower it for an estate or a drill; nothing raises it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gameday.experiment.limits import FAULT_S_MAX
from gameday.experiment.model import Bounds
from gameday.faults.disk_fill import KEEP_FREE_MB_MIN
from gameday.measures.words import count
from gameday.plan.estate import ROUTER, Inventory

if TYPE_CHECKING:
    from gameday.plan.leases import Aimed

LONGEST_S_MAX = FAULT_S_MAX
"""The longest lease, in seconds: see ``gameday.experiment.limits``."""

SITE_PERCENT_MAX = 100
"""The largest share of one site's nodes that hold leases at a time. Losing a whole site is what
game days are for; an estate that is not ready for it lowers this."""

LEASES_MAX = 500
"""Leases at a time, in the whole estate: what one controller can arm, watch and prove gone."""

KEEP_FREE_MB_LEAST = KEEP_FREE_MB_MIN
"""What a full disk leaves free, in MiB: see ``gameday.faults.disk_fill``."""


@dataclass(frozen=True)
class Effective:
    """The bounds that hold for one run; ``sources`` says where each comes from."""

    longest_s: int
    site_percent: int
    leases: int
    keep_free_mb: int
    sources: Mapping[str, str]


def effective(inventory: Mapping[str, int], experiment: Bounds | None) -> Effective:
    """The strictest of constant, inventory and experiment, one by one."""
    hard = {"longest_s": LONGEST_S_MAX, "site_percent": SITE_PERCENT_MAX, "leases": LEASES_MAX,
            "keep_free_mb": KEEP_FREE_MB_LEAST}  # fmt: skip
    found, sources = dict(hard), dict.fromkeys(hard, "gameday's own bound")
    own = {} if experiment is None else experiment.given()
    for source, given in (("gameday_limits of the inventory", inventory),
                          ("limits of the experiment", own)):  # fmt: skip
        for name, value in given.items():
            stricter = value > found[name] if name == "keep_free_mb" else value < found[name]
            if stricter:
                found[name], sources[name] = value, source
    return Effective(**found, sources=sources)


def violations(
    aimed: Iterable[Aimed], inventory: Inventory, bounds: Effective
) -> list[tuple[int, str, str]]:
    """(fault's index, what is too much, what to do) of everything beyond the bounds."""
    faults = list(aimed)
    found = []
    for fault in faults:
        found += _one(fault, bounds)
        together = [one for one in faults if one.window.overlaps(fault.window)]
        found += _together(fault, together, inventory, bounds)
    return found


def _one(fault: Aimed, bounds: Effective) -> list[tuple[int, str, str]]:
    found = []
    if fault.planned.for_s > bounds.longest_s:
        what = f"lasts {fault.planned.for_s} s; {bounds.sources['longest_s']} allows "
        found.append((fault.index, f"{what}{bounds.longest_s} s", "shorten for_s"))
    for lease in fault.planned.leases:
        free: Any = lease.spec.get("keep_free_mb")
        if free is not None and int(free) < bounds.keep_free_mb:
            what = f"leaves {free} MiB free on {lease.node}; {bounds.sources['keep_free_mb']} wants"
            found.append((fault.index, f"{what} {bounds.keep_free_mb} MiB", "raise keep_free_mb"))
            break
    return found


def _together(
    fault: Aimed, together: list[Aimed], inventory: Inventory, bounds: Effective
) -> list[tuple[int, str, str]]:
    """What a fault and all that last at the same time add up to, told once, at the last one."""
    if fault.index != max(one.index for one in together):
        return []
    found = []
    leases = sum(len(one.planned.leases) for one in together)
    if leases > bounds.leases:
        what = (
            f"{count(leases, 'lease')} at a time; {bounds.sources['leases']} allows {bounds.leases}"
        )
        found.append((fault.index, what, "aim at fewer nodes, or one after another"))
    servers = {node.name for node in inventory.nodes
               if not node.vantage_only and ROUTER not in node.roles}  # fmt: skip
    leased = (lease for one in together for lease in one.planned.leases)
    hit = {node for lease in leased for node in lease.hits} & servers
    sizes = Counter(inventory.by_name[name].site for name in servers)
    for site, held in sorted(Counter(inventory.by_name[node].site for node in hit).items()):
        if held * 100 > sizes[site] * bounds.site_percent:
            what = (
                f"{held} of {count(sizes[site], 'node')} of {site} hold leases at a time; "
                f"{bounds.sources['site_percent']} allows {bounds.site_percent} %"
            )
            found.append((fault.index, what, "aim at fewer nodes of the site"))
    return found
