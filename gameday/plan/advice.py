# SPDX-License-Identifier: Apache-2.0
"""What is missing from an estate, contradicts itself, or will not survive a drill. Pure.

``load_inventory`` refuses what cannot be read; this says what can be read and is still not what a
multi-site estate should look like, all of it at once.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from gameday.plan.estate import ROUTER, Inventory, Node, RaftGroup

WRONG, WEAK, UNKNOWN = "wrong", "weak", "unknown"
"""Wrong contradicts something or keeps a drill from what it is for; weak is a decision that
somebody may have made; unknown could not be looked at."""

TWO_SITES = 2

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class Advice:
    """One finding.

    Attributes:
        level: ``WRONG``, ``WEAK`` or ``UNKNOWN``.
        where: a node, a group, or the variable that it is about.
        what: a sentence. todo: what to do about it.
    """

    level: str
    where: str
    what: str
    todo: str

    def __str__(self) -> str:
        return f"{self.level}: {self.where}: {self.what}; {self.todo}"


def advise(inventory: Inventory) -> list[Advice]:
    """Every finding about an estate, the wrong ones first."""
    found = [
        *_sites(inventory),
        *_nodes(inventory),
        *_same_door(inventory),
        *_management(inventory),
        *_overlaps(inventory),
        *(advice for group in inventory.raft_groups for advice in _raft(inventory, group)),
    ]
    return sorted(found, key=lambda one: (one.level != WRONG, one.where, one.what))


def _sites(inventory: Inventory) -> Iterator[Advice]:
    whole = {node.site for node in inventory.nodes if not node.vantage_only}
    if len(whole) < TWO_SITES:
        todo = "put the others under sites too"
        yield Advice(WRONG, "sites", "only one site has nodes that may get a fault", todo)
    if not any(node.vantage_only for node in inventory.nodes):
        what = "no node is gameday_vantage_only, so nobody looks from where users are"
        yield Advice(WEAK, "sites", what, "add a client's machine outside the sites as a vantage")


def _nodes(inventory: Inventory) -> Iterator[Advice]:
    racked = any(node.racks for node in inventory.nodes)
    versions = {v for node in inventory.nodes for v in _versions(node)}
    for node in inventory.nodes:
        if node.vantage_only:
            continue
        if not node.addresses:
            what = "has no gameday_addresses, so no partition or delay can be about it"
            yield Advice(WRONG, node.name, what, "list its data addresses, v4 and v6")
        elif lacks := versions - _versions(node):
            what = f"has no IPv{min(lacks)} address in gameday_addresses, and others have"
            yield Advice(WEAK, node.name, what, "a cut of one family leaves the other open: add it")
        if not node.roles:
            yield Advice(WEAK, node.name, "has no role", "put it under a child of roles")
        if racked and not node.racks and ROUTER not in node.roles:
            yield Advice(WEAK, node.name, "is in no rack, and others are", "put it into its rack")
        if len(node.racks) > 1:
            what = f"is in {len(node.racks)} racks: {', '.join(node.racks)}"
            yield Advice(WRONG, node.name, what, "keep it in one of them")


def _versions(node: Node) -> set[int]:
    return {ipaddress.ip_address(address).version for address in node.addresses}


def _same_door(inventory: Inventory) -> Iterator[Advice]:
    first: dict[tuple[str, int], str] = {}
    for node in inventory.nodes:
        other = first.setdefault((node.host, node.port), node.name)
        if other != node.name:
            what = f"is reached at {node.host} port {node.port}, as {other} is"
            yield Advice(WRONG, node.name, what, "two nodes cannot be one machine: correct one")


def _management(inventory: Inventory) -> Iterator[Advice]:
    networks = [ipaddress.ip_network(text) for text in inventory.management()]
    for node in inventory.nodes:
        for address in node.addresses:
            if _inside(address, networks):
                what = f"its data address {address} is in gameday_management"
                todo = "no fault may touch it there: correct one of them"
                yield Advice(WRONG, node.name, what, todo)
        host = _address(node.host)
        if host and not _inside(host, networks):
            what = f"its ansible_host {host} is not in gameday_management"
            yield Advice(WEAK, node.name, what, "add its network, so that no fault comes near it")


def _overlaps(inventory: Inventory) -> Iterator[Advice]:
    """Networks that two owners claim: a cut around one of them would reach into the other."""
    claimed = [
        ("gameday_management", ipaddress.ip_network(text)) for text in inventory.management()
    ]
    claimed += [
        (node.name, ipaddress.ip_network(text))
        for node in inventory.nodes
        for text in node.networks
    ]
    # Sorted, a network can only overlap those that begin before it ends.
    claimed.sort(key=lambda one: (one[1].version, int(one[1].network_address), one[1].prefixlen))
    open_ones: list[tuple[str, Network]] = []
    for owner, network in claimed:
        open_ones = [
            one for one in open_ones
            if one[1].version == network.version
            and int(one[1].broadcast_address) >= int(network.network_address)
        ]  # fmt: skip
        for other, wider in open_ones:
            if other != owner:
                what = f"{network} overlaps {wider} of {other}"
                yield Advice(WRONG, owner, what, "give each network to one owner")
        open_ones.append((owner, network))
    for owner, network in claimed:
        for node in inventory.nodes:
            if owner in (node.name, "gameday_management"):
                continue
            for address in node.addresses:
                if _inside(address, [network]):
                    what = f"{network} contains {address} of {node.name}"
                    yield Advice(WRONG, owner, what, "pod networks hold no node's own address")


def _raft(inventory: Inventory, group: RaftGroup) -> Iterator[Advice]:
    count = len(group.members)
    if count % 2 == 0:
        what = f"has {count} members: it bears the loss of {count - group.majority}, as "
        what += f"{count - 1} members would"
        yield Advice(WEAK, group.name, what, "add one, or take one away")
    if count == 1:
        what = "has one member: its loss is the loss of the group"
        yield Advice(WEAK, group.name, what, "have three")
    sizes = Counter(inventory.by_name[name].site for name in group.members)
    for site, size in sorted(sizes.items()):
        if len(sizes) > 1 and count - size < group.majority:
            two = ", and the group is stretched over two sites" if len(sizes) == TWO_SITES else ""
            what = f"loses its majority with {site}, which has {size} of {count} members{two}"
            yield Advice(WEAK, group.name, what, "spread it over three sites, or add a witness")
    for name in group.members:
        if inventory.by_name[name].vantage_only:
            what = f"its member {name} is gameday_vantage_only"
            yield Advice(WRONG, group.name, what, "members are part of the estate: correct one")


def _address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def _inside(address: str, networks: list[Network]) -> bool:
    one = ipaddress.ip_address(address)
    return any(one.version == network.version and one in network for network in networks)
