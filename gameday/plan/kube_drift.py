# SPDX-License-Identifier: Apache-2.0
"""Where an inventory and its clusters say different things. Pure.

A cluster that did not answer is a finding too: what it would have said is unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gameday.plan.advice import UNKNOWN, WEAK, WRONG, Advice
from gameday.plan.estate import ROUTER, Inventory, Node
from gameday.plan.kube_import import MEMBERS, rack_names
from gameday.plan.kube_labels import RACK_LABEL, SITE_LABEL, Labels
from gameday.plan.kube_nodes import Cluster, ClusterNode


@dataclass(frozen=True)
class Asked:
    """One cluster and what came of asking it.

    Attributes:
        sites: of the inventory that name it. name: of its context, for people.
        cluster: None where it did not answer. reason: why not.
    """

    sites: tuple[str, ...]
    name: str
    cluster: Cluster | None
    reason: str = ""


def drift(
    inventory: Inventory, asked: list[Asked], site_label: str | None = None,
    rack_label: str | None = None,
) -> list[Advice]:  # fmt: skip
    """Every difference, the wrong ones first, what is unknown last.

    Args:
        site_label, rack_label: of all nodes, whatever the inventory says of their sites.
    """
    found: list[Advice] = []
    for one in asked:
        if one.cluster is None:
            what = f"its cluster {one.name} did not answer ({one.reason})"
            todo = "whether it differs from the inventory is unknown"
            found += [Advice(UNKNOWN, site, what, todo) for site in one.sites]
            continue
        seen = _named(inventory, one)
        found += _missing(inventory, one, seen)
        found += _unlisted(inventory, one, seen)
        for node in inventory.nodes:
            if node.name in seen and node.site in one.sites:
                found += _addresses(node, seen[node.name])
                found += _networks(node, seen[node.name], one.cluster.checked)
                found += _state(node, seen[node.name])
        for node in inventory.nodes:
            if node.name in seen:
                # Of a node that is elsewhere here, only its cluster's own sites can tell.
                own = inventory.labels_of(node.site if node.site in one.sites else one.sites[0])
                labels = Labels(site_label or own.site, rack_label or own.rack)
                found += _site(inventory, one, node, seen[node.name], labels.site)
                found += _rack(inventory, one, node, seen[node.name], labels.rack)
    order = {WRONG: 0, WEAK: 1, UNKNOWN: 2}
    return sorted(set(found), key=lambda one: (order[one.level], one.where, one.what))


def _named(inventory: Inventory, asked: Asked) -> dict[str, ClusterNode]:
    """Nodes of a cluster by their names in the inventory; by their own where it has none.

    Addresses say who a node is before names do: two clusters may call their nodes alike.
    """
    found: dict[str, ClusterNode] = {}
    for node in asked.cluster.nodes if asked.cluster else ():
        same = [one for one in inventory.nodes
                if set(node.addresses) & {*one.addresses, one.host}]  # fmt: skip
        same.sort(key=lambda one: one.site not in asked.sites)
        own = inventory.by_name.get(node.name)
        if same:
            name = same[0].name
        elif own is not None and own.site not in asked.sites:
            name = f"{asked.name}/{node.name}"
        else:
            name = node.name
        found[name] = node
    return found


def _missing(
    inventory: Inventory, asked: Asked, seen: Mapping[str, ClusterNode]
) -> Iterator[Advice]:
    grouped = any(MEMBERS in node.groups for node in inventory.nodes)
    for node in inventory.nodes:
        if node.name in seen or node.site not in asked.sites:
            continue
        outside = node.vantage_only or ROUTER in node.roles
        if MEMBERS in node.groups if grouped else not outside:
            todo = (
                f"correct it, or take it out of the group {MEMBERS}"
                if grouped
                else f"correct it, or list the clusters' nodes in a group {MEMBERS}"
            )
            what = f"is not in the cluster {asked.name}"
            yield Advice(WRONG if grouped else WEAK, node.name, what, todo)


def _unlisted(
    inventory: Inventory, asked: Asked, seen: Mapping[str, ClusterNode]
) -> Iterator[Advice]:
    for name in sorted(seen):
        own = inventory.by_name.get(name)
        if own is None:
            what = f"is in the cluster {asked.name} and not in the inventory"
            todo = "no fault would reach it: gameday inventory import --update adds it"
            yield Advice(WRONG, name, what, todo)
        elif own.site not in asked.sites:
            theirs = " and ".join(asked.sites)
            what = f"is in {own.site}, and in the cluster {asked.name} of {theirs}"
            yield Advice(WRONG, name, what, "correct its site, or the site's cluster")


def _addresses(node: Node, seen: ClusterNode) -> Iterator[Advice]:
    for address in seen.addresses:
        if address in node.addresses:
            continue
        if address == node.host:
            what = f"its InternalIP {address} is its management address"
            todo = "faults on gameday_addresses leave alone what the cluster itself uses"
            yield Advice(WEAK, node.name, what, todo)
        else:
            what = f"has the InternalIP {address}, which is not in gameday_addresses"
            yield Advice(WRONG, node.name, what, "no fault would be about it: correct it")
    if node.addresses and seen.addresses and not set(node.addresses) & set(seen.addresses):
        what = f"none of its gameday_addresses ({', '.join(node.addresses)}) is an InternalIP"
        yield Advice(WRONG, node.name, what, "faults would be about another machine: correct them")


def _networks(node: Node, seen: ClusterNode, checked: bool) -> Iterator[Advice]:
    """Only where they were compared with pods: a node's podCIDR may belong to nobody."""
    if not checked or not seen.networks or set(seen.networks) == set(node.networks):
        return
    there = ", ".join(seen.networks)
    if node.networks:
        what = f"its pods are in {there}, and gameday_networks has {', '.join(node.networks)}"
        yield Advice(WRONG, node.name, what, "a cut would miss its pods: correct it")
    else:
        what = f"its pods are in {there}, and it has no gameday_networks"
        yield Advice(WEAK, node.name, what, "a cut misses its pods: add them")


def _state(node: Node, seen: ClusterNode) -> Iterator[Advice]:
    if seen.cordoned:
        what = "is cordoned already"
        yield Advice(WEAK, node.name, what, "a drill would not find it as users have it")
    if seen.ready != "True":
        yield Advice(WEAK, node.name, f"is not ready (Ready is {seen.ready})", "look at it first")


def _site(
    inventory: Inventory, asked: Asked, node: Node, seen: ClusterNode, label: str
) -> Iterator[Advice]:
    value = seen.labels.get(label, "")
    if not value or value == node.site:
        return
    if value in inventory.sites:
        what = f"is in {node.site}, and its label {label} says {value}"
        yield Advice(WRONG, node.name, what, "correct one of them")
    elif node.site in asked.sites:
        what = f"{label} of its nodes says {value}, which is no site here"
        todo = f"whether they are where the inventory has them cannot be compared: {SITE_LABEL}"
        yield Advice(WEAK, node.site, what, f"{todo} names another label")


def _rack(
    inventory: Inventory, asked: Asked, node: Node, seen: ClusterNode, label: str
) -> Iterator[Advice]:
    value = seen.labels.get(label, "")
    if not value or not node.racks or value in inventory.sites:
        return
    names = rack_names(node.site, value)
    if set(names) & set(node.racks):
        return
    if inventory.names["rack"] & set(names):
        what = f"is in the rack {', '.join(node.racks)}, and its label {label} says {value}"
        yield Advice(WRONG, node.name, what, "correct one of them")
    elif node.site in asked.sites:
        what = f"{label} of its nodes says {value}, which is no rack here"
        todo = f"whether they are where the inventory has them cannot be compared: {RACK_LABEL}"
        yield Advice(WEAK, node.site, what, f"{todo} names another label")
