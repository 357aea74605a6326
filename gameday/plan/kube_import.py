# SPDX-License-Identifier: Apache-2.0
"""Clusters as an inventory: what it lacks of them, and what only people can add. Pure.

What an inventory has already stays as it is, wherever Ansible found it: only what is missing is
added, and what differs is told.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from gameday.errors import InvalidInput
from gameday.plan.ansible_source import RawHost, RawInventory
from gameday.plan.clusters import CONTEXT, VARIABLES
from gameday.plan.kube_labels import Labels, to_add
from gameday.plan.kube_nodes import ETCD, Cluster, ClusterNode
from gameday.plan.ways import NoWay, Ways

MEMBERS = "k8s_cluster"
"""The group of nodes that are in a cluster, as Kubespray's inventories call it."""

GROUP_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
RESERVED = frozenset({"all", "ungrouped", "sites", "racks", "roles", MEMBERS})

RAFT = "gameday_raft_groups"


@dataclass(frozen=True)
class Source:
    """One cluster to import.

    Attributes:
        name: of its context. site: of all its nodes; empty where a label says it.
        variables: that the inventory names it by.
    """

    name: str
    site: str
    variables: Mapping[str, str]
    cluster: Cluster


@dataclass
class Imported:
    """What to add.

    Attributes:
        groups: parent group ("sites", "racks", "roles" or "") to group to hosts.
        hosts: variables by host. sites: variables by site. raft: groups by name.
        notes: what somebody should know. by_hand: what no cluster knows.
    """

    groups: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    hosts: dict[str, dict[str, Any]] = field(default_factory=dict)
    sites: dict[str, dict[str, str]] = field(default_factory=dict)
    raft: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    by_hand: list[str] = field(default_factory=list)

    def put(self, parent: str, group: str, host: str) -> None:
        """A host into a group, once."""
        hosts = self.groups.setdefault(parent, {}).setdefault(group, [])
        if host not in hosts:
            hosts.append(host)


def import_clusters(raw: RawInventory, sources: Sequence[Source], labels: Labels) -> Imported:
    """What an inventory lacks of its clusters.

    Args:
        raw: the inventory as it is; without hosts where there is none yet.

    Raises:
        InvalidInput: where two clusters cannot be told apart by site.
    """
    sources = _named(raw, sources, labels)
    known = {host.name: host for host in raw.hosts}
    site_of = _sites(raw, known, sources, labels)
    found = Imported()
    for source in sources:
        found.notes += [f"{source.name}: {note}" for note in source.cluster.notes]
        for node in source.cluster.nodes:
            _host(found, raw, known.get(node.name), node, site_of[node.name])
    _racks(found, raw, known, sources, site_of, labels)
    _clusters(found, known, sources, site_of, labels)
    for source in sources:
        _etcd(found, raw, known, source, site_of)
    _by_hand(found, raw, known, site_of, labels)
    return found


def _named(raw: RawInventory, sources: Sequence[Source], labels: Labels) -> list[Source]:
    """Sources whose nodes are called as the inventory calls them, or will.

    Addresses say who a node is before names do: two clusters may call their nodes alike, and then
    those that are new get their site's name in front.
    """
    own = [{node.name: _own(raw, source, node) for node in source.cluster.nodes}
           for source in sources]  # fmt: skip
    fresh = Counter(name for names in own for name, host in names.items() if host is None)
    taken = {host.name for host in raw.hosts}
    found = []
    for source, names in zip(sources, own, strict=True):
        nodes = []
        for node in source.cluster.nodes:
            name = names[node.name]
            if name is None and (fresh[node.name] > 1 or node.name in taken):
                site = source.site or node.labels.get(labels.site) or source.name
                name = f"{site}-{node.name}"
            nodes.append(replace(node, name=name or node.name))
        cluster = replace(source.cluster, nodes=tuple(nodes))
        found.append(replace(source, cluster=cluster))
    return found


def _own(raw: RawInventory, source: Source, node: ClusterNode) -> str | None:
    """The inventory's host that a node is; None where it is new."""
    for host in raw.hosts:
        addresses = _words(host.variables.get("gameday_addresses"))
        if set(node.addresses) & {*addresses, str(host.variables.get("ansible_host"))}:
            return host.name
    for host in raw.hosts:
        context = host.variables.get(CONTEXT)
        if host.name == node.name and context in (None, source.variables.get(CONTEXT)):
            return host.name
    return None


def _words(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else str(value or "").split(",")


def _sites(
    raw: RawInventory, known: Mapping[str, RawHost], sources: Sequence[Source], labels: Labels
) -> dict[str, str]:
    """Node to its site: where the inventory has it, else as asked, else by label; "" unknown.

    Raises:
        InvalidInput: where a site has no name that a group can have, or two clusters.
    """
    sites = set(raw.children.get("sites", ()))
    found: dict[str, str] = {}
    owner: dict[str, str] = {}
    wrong = []
    names = Counter(node.name for source in sources for node in source.cluster.nodes)
    twice = sorted(name for name, count in names.items() if count > 1)
    if twice:
        raise InvalidInput(f"two nodes would be called {twice[0]}",
                           "give one of them another name in the inventory first")  # fmt: skip
    for source in sources:
        labelled = any(node.labels.get(labels.site) for node in source.cluster.nodes)
        for node in source.cluster.nodes:
            own = sorted(known[node.name].groups & sites) if node.name in known else []
            site = own[0] if own else source.site or node.labels.get(labels.site, "")
            site = site or ("" if labelled else source.name)
            if site and (not GROUP_NAME.fullmatch(site) or site in RESERVED):
                wrong.append(f"{source.name}: {site} cannot be the name of a site; name it as in "
                             f"--context SITE={source.name}")  # fmt: skip
            elif site and owner.setdefault(site, source.name) != source.name:
                wrong.append(f"site {site} has nodes of {owner[site]} and of {source.name}; name "
                             f"them apart as in --context SITE={source.name}")  # fmt: skip
            found[node.name] = site
    if wrong:
        raise InvalidInput("a site is a group of its own with one cluster",
                           problems=list(dict.fromkeys(wrong)))  # fmt: skip
    return found


def _host(
    found: Imported, raw: RawInventory, own: RawHost | None, node: ClusterNode, site: str
) -> None:
    sites, roles = (set(raw.children.get(one, ())) for one in ("sites", "roles"))
    groups = own.groups if own else frozenset()
    have = own.variables if own else {}
    new = {
        name: list(values)
        for name, values in (
            ("gameday_addresses", node.addresses),
            ("gameday_networks", node.networks),
        )
        if values and not have.get(name)
    }
    if new or own is None:
        found.hosts[node.name] = new
    if site and not groups & sites:
        found.put("sites", site, node.name)
    if not groups & roles:
        for role in node.roles:
            if GROUP_NAME.fullmatch(role) and role not in RESERVED:
                found.put("roles", role, node.name)
    if MEMBERS not in groups:
        found.put("", MEMBERS, node.name)


def rack_names(site: str, value: str) -> tuple[str, str]:
    """What a rack may be called for a label's value; two sites may use the same values."""
    return value, f"{site}-{value}"


def _racks(  # noqa: PLR0917 - everything that says where a node is
    found: Imported, raw: RawInventory, known: Mapping[str, RawHost], sources: Sequence[Source],
    site_of: Mapping[str, str], labels: Labels,
) -> None:  # fmt: skip
    """Racks of nodes that are in none; a label that only repeats a site says nothing of racks."""
    racks, sites = set(raw.children.get("racks", ())), set(raw.children.get("sites", ()))
    taken = {rack: {site for host in raw.hosts if rack in host.groups
                    for site in host.groups & sites} for rack in racks}  # fmt: skip
    wanted = []
    for node in (node for source in sources for node in source.cluster.nodes):
        value, site = node.labels.get(labels.rack, ""), site_of[node.name]
        groups = known[node.name].groups if node.name in known else frozenset()
        if not value or groups & racks or value in {*site_of.values(), *sites, *RESERVED}:
            continue
        if GROUP_NAME.fullmatch(value):
            wanted.append((node.name, site, value))
            taken.setdefault(value, set()).add(site)
    for name, site, value in wanted:
        plain, longer = rack_names(site, value)
        found.put("racks", longer if len(taken[value]) > 1 else plain, name)
    other = {*site_of.values(), *sites, *found.groups.get("racks", {})}
    for role in sorted(set(found.groups.get("roles", {})) & other):
        # A group that is both would put its hosts into a place that they are not in.
        del found.groups["roles"][role]
        found.notes.append(f"role {role} is left out: a site or rack has that name")


def _clusters(
    found: Imported, known: Mapping[str, RawHost], sources: Sequence[Source],
    site_of: Mapping[str, str], labels: Labels,
) -> None:  # fmt: skip
    """The variables of each site that name its cluster, and its labels where they are others."""
    for source in sources:
        for site in sorted({site_of[node.name] for node in source.cluster.nodes} - {""}):
            have: dict[str, Any] = {}
            hosts = [host for host in known.values() if site in host.groups]
            for host in hosts:
                have |= {n: host.variables[n] for n in VARIABLES if n in host.variables}
            if not have:
                found.sites[site] = dict(source.variables)
            elif other := {n: v for n, v in have.items() if source.variables.get(n, v) != v}:
                name, value = min(other.items())
                found.notes.append(f"{site}: {name} is {value} and stays so; this import has "
                                   f"{source.variables[name]}")  # fmt: skip
            lacking, notes = to_add(site, hosts, labels)
            if lacking:
                found.sites.setdefault(site, {}).update(lacking)
            found.notes += notes


def _etcd(
    found: Imported, raw: RawInventory, known: Mapping[str, RawHost], source: Source,
    site_of: Mapping[str, str],
) -> None:  # fmt: skip
    """The Raft group of a cluster's etcd, unless one of the inventory has these members."""
    members = {node.name: node.etcd for node in source.cluster.nodes if node.etcd}
    if not members:
        return
    have = next((host.variables[RAFT] for host in raw.hosts if RAFT in host.variables), None)
    roles = [one.get("role") for one in (have or {}).values() if isinstance(one, Mapping)]
    for role in roles:
        if all(name in known and role in known[name].groups for name in members):
            return
    sites = {site_of[node.name] for node in source.cluster.nodes} - {""}
    stretched = re.sub(r"[^A-Za-z0-9_.-]", "-", source.name)
    name = f"{ETCD}-{min(sites) if len(sites) == 1 else stretched}"
    timers = Counter(members.values())
    etcd = timers.most_common(1)[0][0]
    if len(timers) > 1:
        found.notes.append(f"{source.name}: its etcd members have different ports or timers; most "
                           f"have {etcd.heartbeat_ms} and {etcd.election_ms} ms")  # fmt: skip
    for member in sorted(members):
        found.put("roles", name, member)
    found.raft[name] = {"kind": "etcd", "role": name, **asdict(etcd)}


def _by_hand(
    found: Imported, raw: RawInventory, known: Mapping[str, RawHost], site_of: Mapping[str, str],
    labels: Labels,
) -> None:  # fmt: skip
    ways = Ways()
    doors, users = [], []
    for name in sorted({*site_of, *known}):
        variables = known[name].variables if name in known else {}
        try:
            way = ways.find(str(variables.get("ansible_host") or name), variables)
        except NoWay:
            # Reading the inventory says what is wrong with it.
            continue
        if not variables.get("ansible_host") and way.host == name:
            doors.append(name)
        if not variables.get("ansible_user") and not way.user:
            users.append(name)
    add = found.by_hand.append
    if doors:
        add(f"ansible_host, the management address, of {', '.join(doors)}")
    if users:
        whose = "all nodes" if len(users) == len({*site_of, *known}) else ", ".join(users)
        add(f"ansible_user, whom gameday logs in as, of {whose}")
    have = {name for host in raw.hosts for name in host.variables}
    if "gameday_known_hosts" not in have:
        add("gameday_known_hosts: an OpenSSH file with the nodes' host keys")
    if "gameday_management" not in have:
        add("gameday_management: the networks that no fault may touch")
    nowhere = sorted(name for name, site in site_of.items() if not site)
    if nowhere:
        add(f"the site of {', '.join(nowhere)}: no label {labels.site}")
    bare = sorted(n for n, v in found.hosts.items() if not v.get("gameday_addresses")
                  and not (n in known and known[n].variables.get("gameday_addresses")))  # fmt: skip
    if bare:
        add(f"gameday_addresses of {', '.join(bare)}: no InternalIP")
