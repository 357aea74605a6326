# SPDX-License-Identifier: Apache-2.0
"""What a cluster's API server says of its nodes, as an inventory would say it. Pure.

Nothing is guessed: what cannot be seen there is a note, and pod networks are taken only where
pods' own addresses do not contradict them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

ROLE_LABEL = "node-role.kubernetes.io/"
REGION_LABEL = "topology.kubernetes.io/region"
ZONE_LABEL = "topology.kubernetes.io/zone"
CONTROL_PLANE, WORKER, ETCD = "control-plane", "worker", "etcd"
OLD_NAMES = {"master": CONTROL_PLANE}
"""What control-plane nodes were called until Kubernetes 1.24."""

ETCD_PORT, ETCD_HEARTBEAT_MS, ETCD_ELECTION_MS = 2379, 100, 1000
"""etcd's own defaults."""

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Answers:
    """What an API server answered; a text instead of a list says why it did not.

    Attributes:
        nodes: Node objects. etcd_pods: etcd's pods in kube-system. pods: of all namespaces, or
            None where nobody asked. cilium: CiliumNode objects; empty without Cilium.
    """

    nodes: list[Json]
    etcd_pods: list[Json] | str = ""
    pods: list[Json] | str | None = None
    cilium: list[Json] | str = ""


@dataclass(frozen=True)
class Etcd:
    """An etcd member as its pod was started."""

    port: int = ETCD_PORT
    heartbeat_ms: int = ETCD_HEARTBEAT_MS
    election_ms: int = ETCD_ELECTION_MS


@dataclass(frozen=True)
class ClusterNode:
    """One node.

    Attributes:
        addresses: its InternalIPs, v4 and v6. labels: all of them.
        networks: CIDRs of its pods; empty where they are not known.
        roles: by its labels and its etcd member. etcd: the member, where one is seen.
        cordoned: nothing new is scheduled there. ready: its condition: True, False or Unknown.
    """

    name: str
    addresses: tuple[str, ...]
    labels: Mapping[str, str]
    networks: tuple[str, ...]
    roles: tuple[str, ...]
    etcd: Etcd | None
    cordoned: bool
    ready: str


@dataclass(frozen=True)
class Cluster:
    """A cluster as it was seen.

    Attributes:
        nodes: sorted by name. notes: what could not be seen, as sentences.
        checked: whether pod networks were compared with pods, or are what the CNI itself says.
    """

    nodes: tuple[ClusterNode, ...]
    notes: tuple[str, ...] = ()
    checked: bool = False


def read_cluster(answers: Answers) -> Cluster:
    """Everything that an inventory can have of a cluster."""
    notes: list[str] = []
    members = _members(answers.etcd_pods, notes)
    networks = _cilium(answers.cilium)
    nodes = [_node(one, members, networks) for one in answers.nodes]
    if not any(node.etcd for node in nodes):
        notes.append("no etcd member is visible (external, or not run as pods): give its nodes a "
                     "role, and the group its entry in gameday_raft_groups")  # fmt: skip
    checked = bool(networks)
    if not networks and answers.pods is not None:
        nodes, checked = _compared(nodes, answers.pods, notes)
    without = [node.name for node in nodes if not node.networks]
    if without:
        notes.append(f"no pod networks are known of {_few(without)}: gameday_networks is yours to "
                     "write, or faults do not touch pods' own addresses")  # fmt: skip
    return Cluster(tuple(sorted(nodes, key=lambda one: one.name)), tuple(notes), checked)


def _node(data: Json, members: Mapping[str, Etcd], cilium: Mapping[str, Any]) -> ClusterNode:
    meta, spec, status = data["metadata"], data.get("spec", {}), data.get("status", {})
    name, labels = str(meta["name"]), dict(meta.get("labels") or {})
    ips = [one["address"] for one in status.get("addresses") or () if one["type"] == "InternalIP"]
    cidrs = spec.get("podCIDRs") or [one for one in [spec.get("podCIDR")] if one]
    ready = next((one["status"] for one in status.get("conditions") or ()
                  if one["type"] == "Ready"), "Unknown")  # fmt: skip
    roles = {label.removeprefix(ROLE_LABEL) for label in labels if label.startswith(ROLE_LABEL)}
    roles = {OLD_NAMES.get(role, role) for role in roles if role} or {WORKER}
    etcd = members.get(name) or (Etcd() if ETCD in roles else None)
    return ClusterNode(
        name, _addresses(ips), labels, _networks(cilium.get(name, cidrs)),
        tuple(sorted(roles | ({ETCD} if etcd else set()))), etcd,
        bool(spec.get("unschedulable")), str(ready),
    )  # fmt: skip


def _members(pods: list[Json] | str, notes: list[str]) -> dict[str, Etcd]:
    if isinstance(pods, str):
        if pods:
            notes.append(f"pods of kube-system could not be listed ({pods}): etcd members are "
                         "known by label only")  # fmt: skip
        return {}
    return {str(one["spec"]["nodeName"]): _etcd(one) for one in pods if one["spec"].get("nodeName")}


def _etcd(pod: Json) -> Etcd:
    """From the flags and the environment that the pod was given."""
    given: dict[str, str] = {}
    for container in pod["spec"].get("containers") or ():
        for one in container.get("env") or ():
            if str(one["name"]).startswith("ETCD_") and "value" in one:
                given[str(one["name"])[5:].lower().replace("_", "-")] = str(one["value"])
        for word in [*(container.get("command") or ()), *(container.get("args") or ())]:
            flag, _, value = str(word).lstrip("-").partition("=")
            given[flag] = value
    return Etcd(
        _port(given.get("listen-client-urls", "")),
        _number(given.get("heartbeat-interval"), ETCD_HEARTBEAT_MS),
        _number(given.get("election-timeout"), ETCD_ELECTION_MS),
    )


def _port(urls: str) -> int:
    ports = [url.rpartition(":")[2] for url in urls.split(",") if "127.0.0.1" not in url]
    return _number(ports[0] if ports else None, ETCD_PORT)


def _number(text: str | None, default: int) -> int:
    return int(text) if text and text.isdigit() else default


def _cilium(found: list[Json] | str) -> dict[str, list[str]]:
    """Pod networks where Cilium assigns them: a node's own podCIDR may then belong to nobody."""
    if isinstance(found, str):
        return {}
    return {
        str(one["metadata"]["name"]): list((one.get("spec", {}).get("ipam") or {}).get("podCIDRs")
                                           or ())
        for one in found
    }  # fmt: skip


def _compared(
    nodes: list[ClusterNode], pods: list[Json] | str, notes: list[str]
) -> tuple[list[ClusterNode], bool]:
    """Nodes without those pod networks that their pods' addresses contradict."""
    if isinstance(pods, str):
        notes.append(f"pods could not be listed ({pods}): pod networks are as the nodes say, and "
                     "were not compared with pods' addresses")  # fmt: skip
        return nodes, False
    inside = {node.name: [ipaddress.ip_network(text) for text in node.networks] for node in nodes}
    outside: dict[str, str] = {}
    for name, address in _pod_addresses(pods):
        if not any(ipaddress.ip_address(address) in one for one in inside.get(name, ())):
            outside.setdefault(name, address)
    wrong = {name: address for name, address in outside.items() if inside.get(name)}
    if wrong:
        name = min(wrong)
        notes.append(f"pods have addresses outside of the podCIDR of their node, such as "
                     f"{wrong[name]} on {name}: the CNI assigns them by itself")  # fmt: skip
    kept = [replace(one, networks=()) if one.name in wrong else one for one in nodes]
    return kept, True


def _pod_addresses(pods: Iterable[Json]) -> Iterator[tuple[str, str]]:
    """(node, address) of pods that have addresses of their own now."""
    for pod in pods:
        spec, status = pod.get("spec", {}), pod.get("status", {})
        if spec.get("hostNetwork") or status.get("phase") != "Running":
            continue
        for one in status.get("podIPs") or ():
            yield str(spec.get("nodeName")), str(one["ip"])


def _addresses(texts: Iterable[str]) -> tuple[str, ...]:
    found = []
    for text in texts:
        address = ipaddress.ip_address(text)
        # A link-local one says nothing without its link.
        if not address.is_link_local:
            found.append(str(address))
    return tuple(dict.fromkeys(found))


def _networks(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(ipaddress.ip_network(text)) for text in texts))


def _few(names: list[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(sorted(names)[:most]) + more
