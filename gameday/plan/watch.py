# SPDX-License-Identifier: Apache-2.0
"""Probes to samplers: which node looks at what, and the pairs that prove each fault's effect."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

from gameday.clock import NS_PER_MS
from gameday.errors import InvalidInput
from gameday.experiment.load import Loaded
from gameday.experiment.params import plain
from gameday.experiment.problems import Problems
from gameday.experiment.tables import Tables
from gameday.faults import profiles
from gameday.faults.base import CONTROLLER, Reach
from gameday.plan.estate import ROUTER, Inventory
from gameday.plan.leases import Aimed
from gameday.plan.model import EffectCheck, Pair, PlannedProbe, Sampler
from gameday.plan.names import add
from gameday.plan.targets import connected, spread_pairs

EFFECT_KIND = "icmp"
EFFECT_PERIOD_NS = 200 * NS_PER_MS
"""Five echoes a second show an onset to a fifth of a second, at no cost to either end."""

ROOM_TENTHS = 2
"""Beside the fault's own delay: the path's usual round trip and a busy node."""

HIT_PAIRS_MAX = 6
CONTROL_PAIRS_MAX = 4
"""Enough to see every node of a small drill, few enough to read one by one."""

LISTENER = "listener"


def plan_probe(
    index: int, loaded: Loaded, inventory: Inventory, tables: Tables, mistakes: Problems
) -> PlannedProbe:
    """The probe with a sampler for each vantage (and target, as the kind fans out)."""
    step = loaded.experiment.probes[index]
    kind = tables.probes[step.kind]
    vantages = inventory.vantages(step.vantage)
    own = kind.fan_out == "self" or (kind.fan_out == "each" and step.to is None)
    if own and CONTROLLER in vantages and CONTROLLER not in inventory.by_name:
        what = f"{step.kind} looks at its own node, and the controller is none"
        add(mistakes, loaded.positions, ("probes", index, "from"), what, "name a node")
        vantages = tuple(node for node in vantages if node != CONTROLLER)
    vantages = _allowed(kind, vantages, index, loaded, mistakes)
    params = _resolved(kind, step.params, inventory, (loaded, ("probes", index), mistakes))
    targets = inventory.select(step.to) if step.to is not None else ()
    looked_at = vantages if own else targets
    family = getattr(step.params, "family", None)
    bare = [node for node in looked_at if not _addresses(inventory, node, family)]
    if bare:
        which = f"an IPv{family} address among their " if family else ""
        what = f"looks at nodes without {which}gameday_addresses: {', '.join(bare[:8])}"
        todo = "list their data addresses in the inventory"
        add(mistakes, loaded.positions, ("probes", index), what, todo)
        looked_at = tuple(node for node in looked_at if node not in bare)
    samplers: list[Sampler] = []
    pairs = _mesh(vantages, looked_at, inventory) if kind.fan_out == "mesh" else ()
    for node in vantages:
        if own:
            samplers.append(Sampler(node, node, _addresses(inventory, node, family), ()))
            continue
        ends = [b for a, b in pairs if a == node] if kind.fan_out == "mesh" else looked_at
        samplers += _samplers(kind, params, node, ends, inventory)
    if kind.fan_out == "mesh" and not samplers:
        what = "finds no two sites: `from` and `to` select nodes of one site only"
        add(mistakes, loaded.positions, ("probes", index), what, "select nodes of several sites")
    return PlannedProbe(
        step.name, step.kind, step.period_ms * NS_PER_MS,
        (step.timeout_ms or step.period_ms) * NS_PER_MS, plain(params), tuple(samplers),
    )  # fmt: skip


def _allowed(
    kind: Any, vantages: tuple[str, ...], index: int, loaded: Loaded, mistakes: Problems
) -> tuple[str, ...]:
    """The vantages that a kind can run on: all, but for one that needs what one host has only."""
    only = getattr(kind, "only_from", "")
    if not only or set(vantages) == {only}:
        return vantages
    what, todo = f"{kind.kind} asks from the {only} alone", f"write from: {{node: [{only}]}}"
    add(mistakes, loaded.positions, ("probes", index, "from"), what, todo)
    return tuple(node for node in vantages if node == only)


def _resolved(
    kind: Any, params: Any, inventory: Inventory, where: tuple[Loaded, tuple[str, int], Problems]
) -> Any:
    """The parameters, with what a kind takes from the inventory."""
    if not hasattr(kind, "resolve"):
        return params
    try:
        return kind.resolve(params, inventory)
    except InvalidInput as error:
        loaded, path, mistakes = where
        add(mistakes, loaded.positions, path, error.message, error.hint)
        return params


def _samplers(
    kind: Any, params: Any, node: str, targets: Sequence[str], inventory: Inventory
) -> Iterable[Sampler]:
    family = getattr(params, "family", None)
    found = {one: _addresses(inventory, one, family) for one in targets}
    if kind.fan_out in ("each", "mesh"):
        return [Sampler(node, t, found[t], ()) for t in targets if t != node]
    if kind.fan_out == "all":
        peers = tuple((t, a) for t in targets for a in found[t][:1])
        addresses = tuple(a for t in targets for a in found[t])
        return [Sampler(node, target_name(kind, params), addresses, peers)]
    # What watches a site's cluster looks at the site.
    word = LISTENER if kind.listens else str(getattr(params, "site", "")) or kind.kind
    return [Sampler(node, word, (), ())]


def _addresses(inventory: Inventory, node: str, family: int | None) -> tuple[str, ...]:
    """A node's data addresses; only those of one family, where a probe wants one."""
    found = inventory.addresses(node)
    return tuple(a for a in found if family is None or (":" in a) == (family == 6))


def _mesh(vantages: Sequence[str], targets: Sequence[str], inventory: Inventory) -> list[Pair]:
    """From the first vantage of each site to the first target of each other site."""
    sites = {name: node.site for name, node in inventory.by_name.items()}
    first_vantages = {sites[node]: node for node in reversed(sorted(vantages))}
    first_targets = {sites[node]: node for node in reversed(sorted(targets))}
    return [
        (vantage, target)
        for a, vantage in sorted(first_vantages.items())
        for b, target in sorted(first_targets.items())
        if a != b
    ]


def target_name(kind: Any, params: Any) -> str:
    """What a probe of several nodes looks at, in its own word: its URL's host, or a name."""
    host = urlsplit(str(getattr(params, "url", ""))).hostname
    return host or str(getattr(params, "name", "")) or str(kind.kind)


def width_ns(period_ns: int, timeout_ns: int) -> int:
    """How wide a change is that this probe sees: two periods, and what a look may overrun."""
    return 2 * period_ns + max(0, timeout_ns - period_ns)


def plan_effect(
    aimed: Aimed, everything: Sequence[Aimed], inventory: Inventory
) -> tuple[EffectCheck, PlannedProbe | None] | None:
    """How the fault's effect is shown; ``None`` for a fault that has none.

    Echoes between pairs of nodes, with the probe that sends them; or, for a fault that echoes
    do not show, what the nodes' own kernels say of it.
    """
    if aimed.harmless:
        return None
    if not aimed.hit:
        return EffectCheck(""), None
    cut = _spread(_hit_pairs(aimed.cut, aimed, everything, inventory), inventory)
    shifted = _spread(_hit_pairs(aimed.reach.shifted, aimed, everything, inventory), inventory)
    control = _spread(_control_pairs(aimed, everything, inventory), inventory, CONTROL_PAIRS_MAX)
    name = f"effect:{aimed.planned.name}"
    pairs = (*cut, *shifted, *control)
    samplers = tuple(Sampler(a, b, inventory.addresses(b), ()) for a, b in pairs)
    reach = aimed.reach
    period = max(EFFECT_PERIOD_NS, _slowest_ns(reach) if shifted else 0)
    probe = PlannedProbe(name, EFFECT_KIND, period, period, {}, samplers)
    profile = dict(reach.profile) if shifted else {}
    return EffectCheck(name, cut, control, shifted, profile, reach.spread_us), probe


def _slowest_ns(reach: Reach) -> int:
    """How long a look must wait for the slowest echo of a profile, in whole tenths of a second."""
    most_us = profiles.peak(reach.profile).rtt_us + reach.spread_us
    tenths = -(-most_us * 5 // 4 // 100_000) + ROOM_TENTHS
    return tenths * 100 * NS_PER_MS


def _hit_pairs(
    hit: frozenset[Pair], aimed: Aimed, everything: Sequence[Aimed], inventory: Inventory
) -> list[Pair]:
    """Pairs that only this fault hits, if there are any: only they show when it began.

    Echoes go from a node that holds leases to an IPv4 address.
    """
    others = frozenset().union(*(one.hit for one in everything if one is not aimed))
    asked = {node for pair in hit for node in pair if _has_ipv4(node, inventory)}
    asking = {node for node in asked if inventory.can_arm(node)}
    able = [(a, b) for a, b in hit if a in asking and b in asked]
    return [(a, b) for a, b in able if connected(a, b, others)] or able


def _control_pairs(aimed: Aimed, everything: Sequence[Aimed], inventory: Inventory) -> list[Pair]:
    """Pairs that no fault of the experiment hits, from or among the fault's own nodes.

    Those among them show that it hit only across; those to a third site, that it hit only
    the peers that were meant.
    """
    hit = frozenset().union(*(one.hit for one in everything))
    nodes = sorted({node for pair in aimed.hit for node in pair})
    others = sorted(node.name for node in inventory.nodes if ROUTER not in node.roles)
    asking = [a for a in nodes if inventory.can_arm(a) and _has_ipv4(a, inventory)]
    asked = [b for b in sorted({*nodes, *others}) if _has_ipv4(b, inventory)]
    return [(a, b) for a in asking for b in asked if a != b and connected(a, b, hit)]


def _has_ipv4(node: str, inventory: Inventory) -> bool:
    return any(":" not in address for address in inventory.addresses(node))


def _spread(
    candidates: Sequence[Pair], inventory: Inventory, limit: int = HIT_PAIRS_MAX
) -> tuple[Pair, ...]:
    members = {member for group in inventory.raft_groups for member in group.members}
    outside = {node.name for node in inventory.nodes if not inventory.can_arm(node.name)}
    site = {node.name: node.site for node in inventory.nodes}

    def rank(pair: Pair) -> int:
        a, b = pair
        return 2 * (a in outside or b in outside) + (a not in members or b not in members)

    return spread_pairs(candidates, limit, rank, site.__getitem__)
