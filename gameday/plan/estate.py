# SPDX-License-Identifier: Apache-2.0
"""The resolved inventory: sites, nodes, Raft groups. Frozen, without secrets."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from gameday.faults.base import CONTROLLER, Selector
from gameday.plan.kube_labels import Labels
from gameday.plan.policy import Policy, policy_from_json
from gameday.plan.ways import Jump

ROUTER = "router"
"""The role of nodes that forward between sites and serve nobody themselves."""


@dataclass(frozen=True)
class Node:
    """One machine, and how gameday reaches it.

    Attributes:
        host, port, user, key_file, python: for SSH and the agent; key_file is a path.
        groups: every group of the inventory that it is in.
        addresses: its data addresses, v4 and v6; never its management address.
        networks: CIDRs behind it, its pods'.
        bypasses_netfilter: packets pass it outside netfilter (eBPF host routing).
        vantage_only: gameday looks from here but puts no fault here.
        bmc: its BMC's address, and where the credentials are; never the credentials.
        workers: remote workers it is asked through, the preferred first; empty where the
            controller connects itself.
        jumps: hosts to log in to on the way, the first from here first.
    """

    name: str
    host: str
    port: int
    user: str
    key_file: str | None
    python: str
    site: str
    racks: tuple[str, ...]
    roles: tuple[str, ...]
    groups: tuple[str, ...]
    addresses: tuple[str, ...]
    vantage_only: bool
    networks: tuple[str, ...] = ()
    bypasses_netfilter: bool = False
    bmc: Mapping[str, str] | None = None
    workers: tuple[str, ...] = ()
    jumps: tuple[Jump, ...] = ()


@dataclass(frozen=True)
class RaftGroup:
    """Members that must agree by majority.

    Attributes:
        kind: "etcd" or "raft". role: the inventory's role that its members have.
        port: of its client API. heartbeat_ms, election_ms: its configured timers.
    """

    name: str
    kind: str
    role: str
    members: tuple[str, ...]
    port: int
    heartbeat_ms: int
    election_ms: int

    @property
    def majority(self) -> int:
        """Members that must agree: more than half."""
        return len(self.members) // 2 + 1


@dataclass(frozen=True)
class Inventory:
    """The whole estate; answers what fault kinds ask (``gameday.faults.base.Estate``).

    Attributes:
        source: the file it came from, as it was given.
        nodes: sorted by name.
        management_cidrs: networks that no fault may touch.
        known_hosts: path of the OpenSSH file with the nodes' host keys.
        controller: the controller's own addresses, where the inventory tells.
        limits: bounds that it lowers; see ``gameday.plan.bounds``.
        controller_netns: path of the network namespace to reach nodes from, or None.
        workers: remote workers' commands, by their names.
        policy: what must be given before a run is begun.
        clusters: how each site's Kubernetes API is reached; sites without one are absent.
        labels: of their clusters' nodes, where the site says which; else the defaults.
    """

    source: str
    nodes: tuple[Node, ...]
    management_cidrs: tuple[str, ...]
    known_hosts: str
    controller: tuple[str, ...]
    controller_netns: str | None
    raft_groups: tuple[RaftGroup, ...]
    limits: Mapping[str, int] = field(default_factory=dict)
    workers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    policy: Policy = field(default_factory=Policy)
    clusters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    labels: Mapping[str, Labels] = field(default_factory=dict)

    @cached_property
    def by_name(self) -> Mapping[str, Node]:
        """Nodes by their names."""
        return {node.name: node for node in self.nodes}

    @cached_property
    def sites(self) -> Mapping[str, tuple[str, ...]]:
        """Names of nodes by site, both in order of names."""
        sites = sorted({node.site for node in self.nodes})
        return {s: tuple(n.name for n in self.nodes if n.site == s) for s in sites}

    @cached_property
    def names(self) -> Mapping[str, frozenset[str]]:
        """Valid names by the selector's fields."""
        return {
            "site": frozenset(node.site for node in self.nodes),
            "rack": frozenset(rack for node in self.nodes for rack in node.racks),
            "role": frozenset(role for node in self.nodes for role in node.roles),
            "node": frozenset(self.by_name),
            "group": frozenset(group for node in self.nodes for group in node.groups),
        }

    def select(self, selector: Selector) -> tuple[str, ...]:
        """Names of the nodes that match every field given, sorted."""
        return tuple(node.name for node in self.nodes if _matches(node, selector))

    def vantages(self, selector: Selector) -> tuple[str, ...]:
        """As ``select``, and the controller's own host where it is named and no node is."""
        found = self.select(selector)
        if CONTROLLER in selector.node and CONTROLLER not in self.by_name:
            return (*found, CONTROLLER)
        return found

    def addresses(self, node: str) -> tuple[str, ...]:
        """The node's data addresses, v4 and v6."""
        return self.by_name[node].addresses

    def networks(self, node: str) -> tuple[str, ...]:
        """CIDRs that are behind the node: its pods'."""
        return self.by_name[node].networks

    def bypasses_netfilter(self, node: str) -> bool:
        """Whether packets pass this node outside netfilter (eBPF host routing)."""
        return self.by_name[node].bypasses_netfilter

    def bmc(self, node: str) -> Mapping[str, str] | None:
        """How the node's BMC is reached, credentials by reference."""
        return self.by_name[node].bmc

    def cluster(self, site: str) -> Mapping[str, Any] | None:
        """How the site's Kubernetes API is reached, credentials by reference."""
        return self.clusters.get(site)

    def labels_of(self, site: str) -> Labels:
        """Which labels of the site's cluster say where its nodes are."""
        return self.labels.get(site, Labels())

    def can_arm(self, node: str) -> bool:
        """Whether gameday may put a fault on this node."""
        return not self.by_name[node].vantage_only

    def management(self) -> tuple[str, ...]:
        """CIDRs that no fault may touch."""
        return self.management_cidrs

    def management_hosts(self) -> Mapping[str, str]:
        """Who is reached at each management address (not name) of nodes and controller."""
        found = {address: "the controller" for address in self.controller}
        ways = {jump.host: f"the jump host of {node.name}" for node in self.nodes
                for jump in node.jumps}  # fmt: skip
        for host, name in [*ways.items(), *((node.host, node.name) for node in self.nodes)]:
            try:
                found[str(ipaddress.ip_address(host))] = name
            except ValueError:
                continue
        return found

    def missing_files(self, asked: Collection[str] | None = None) -> tuple[str, ...]:
        """What must be on the controller before nodes and clusters can be reached, and is not.

        Args:
            asked: the nodes that are reached; all of them where it is left out.
        """
        nodes = [node for node in self.nodes if asked is None or node.name in asked]
        wanted = {f"known_hosts file {self.known_hosts}": self.known_hosts} if nodes else {}
        for node in nodes:
            for key_file in (node.key_file, *(jump.key_file for jump in node.jumps)):
                if key_file:
                    wanted[f"SSH key {key_file}"] = key_file
        for cluster in self.clusters.values():
            if cluster["kubeconfig"]:
                wanted[f"kubeconfig {cluster['kubeconfig']}"] = str(cluster["kubeconfig"])
        if self.controller_netns:
            wanted[f"network namespace {self.controller_netns}"] = self.controller_netns
        return tuple(what for what, path in sorted(wanted.items()) if not _is_there(path))

    def to_json(self) -> dict[str, Any]:
        """JSON of the inventory: paths of keys, never their content; no passwords."""
        return {
            "schema": "gameday/v1",
            "source": self.source,
            "nodes": {node.name: _lists(asdict(node)) for node in self.nodes},
            "management": list(self.management_cidrs),
            "known_hosts": self.known_hosts,
            "controller": list(self.controller),
            "controller_netns": self.controller_netns,
            "raft_groups": {group.name: _lists(asdict(group)) for group in self.raft_groups},
            "limits": dict(self.limits),
            "workers": {name: list(command) for name, command in self.workers.items()},
            "policy": self.policy.to_json(),
            "clusters": {site: dict(cluster) for site, cluster in self.clusters.items()},
            "labels": {site: asdict(labels) for site, labels in self.labels.items()},
        }


def inventory_from_json(data: Mapping[str, Any]) -> Inventory:
    """The inverse of ``Inventory.to_json``."""
    return Inventory(
        source=data["source"],
        nodes=tuple(_node(node) for _, node in sorted(data["nodes"].items())),
        management_cidrs=tuple(data["management"]),
        known_hosts=data["known_hosts"],
        controller=tuple(data["controller"]),
        controller_netns=data["controller_netns"],
        raft_groups=tuple(RaftGroup(**_tuples(g)) for g in data["raft_groups"].values()),
        limits=data.get("limits", {}),
        workers={name: tuple(argv) for name, argv in data.get("workers", {}).items()},
        policy=policy_from_json(data.get("policy", {})),
        clusters=data.get("clusters", {}),
        labels={site: Labels(**labels) for site, labels in data.get("labels", {}).items()},
    )


def _node(data: Mapping[str, Any]) -> Node:
    jumps = tuple(Jump(**one) for one in data.get("jumps", ()))
    return Node(**{**_tuples(data), "jumps": jumps})


def _matches(node: Node, selector: Selector) -> bool:
    # A site or rack means its servers. Routers are the network between them; a fault is put
    # there only by somebody who names them.
    named = selector.role or selector.node or selector.group
    if ROUTER in node.roles and not named:
        return False
    pairs = (
        (selector.site, (node.site,)),
        (selector.rack, node.racks),
        (selector.role, node.roles),
        (selector.node, (node.name,)),
        (selector.group, node.groups),
    )
    return any(wanted for wanted, _ in pairs) and all(
        not wanted or set(wanted) & set(own) for wanted, own in pairs
    )


def _is_there(path: str) -> bool:
    try:
        return Path(path).exists()
    except OSError:  # A directory on the way may not be ours to read.
        return False


def _lists(data: dict[str, Any]) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in data.items()}


def _tuples(data: Mapping[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
