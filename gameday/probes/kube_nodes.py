# SPDX-License-Identifier: Apache-2.0
"""``kube-nodes``: which nodes of a site's cluster are ready. Nodes: Python 3.9 syntax."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, Mapping, Sequence, Tuple

from gameday import clock
from gameday.probes.base import Outcome, Value
from gameday.probes.kube_collection import Feed, Item
from gameday.probes.kube_watch import Items, Judge, KubeWatch, condition, short

NODES = Feed("nodes", ("/api/v1/nodes",), slim=True)
LEASES = Feed("leases", ("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases",))

LEASE_S = 40
"""Kubelet's own default where a Lease does not say how long it holds."""


@dataclass(frozen=True)
class KubeNodesParams:
    """Parameters of ``kube-nodes``.

    Attributes:
        site: whose cluster is asked.
        nodes: names of nodes that count, as the cluster has them; all where there is none.
        min_ready: so many ready nodes are healthy; 0: all of them.
        cluster: how its API server is reached; the plan fills it in.
    """

    site: str
    nodes: Tuple[str, ...] = ()
    min_ready: int = 0
    cluster: Mapping[str, Any] = field(default_factory=dict)


class KubeNodes(KubeWatch):
    """Nodes and their Leases."""

    kind = "kube-nodes"
    Params: type = KubeNodesParams
    summary = "which nodes of a site's cluster are ready and schedulable, and their Leases' age"

    def feeds(self, params: KubeNodesParams) -> Sequence[Feed]:
        """Nodes, and the Leases by which kubelets say that they live."""
        return (NODES, LEASES)

    def judge(self, params: KubeNodesParams) -> Judge:
        """Ready is what the node's condition says; a Lease's age is counted on our own clock."""

        def judge(items: Items, now_ns: int) -> Outcome:
            nodes = _by_name(items["nodes"], params.nodes)
            leases = _by_name(items["leases"], params.nodes)
            ready = [n for n, one in nodes.items() if condition(one.body, "Ready") == "True"]
            wanted = params.min_ready or len(nodes)
            ages = {n: _age_s(one, now_ns) for n, one in leases.items() if n in nodes}
            late = [n for n, age in ages.items() if age > _holds_s(leases[n])]
            missing = set(params.nodes) - set(nodes)
            return Value({
                "healthy": bool(ready) and len(ready) >= wanted and not missing,
                "nodes": len(nodes),
                "ready": len(ready),
                "not_ready": short([*(set(nodes) - set(ready)), *missing]),
                "cordoned": short([n for n, one in nodes.items() if _cordoned(one)]),
                "late": short(late),
                "lease_age_s": max(ages.values(), default=0),
            })  # fmt: skip

        return judge


def _by_name(items: Mapping[str, Item], wanted: Sequence[str]) -> Dict[str, Item]:
    found = {str(item.body["metadata"]["name"]): item for item in items.values()}
    return {name: item for name, item in found.items() if not wanted or name in wanted}


def _cordoned(node: Item) -> bool:
    return bool((node.body.get("spec") or {}).get("unschedulable"))


def _age_s(lease: Item, now_ns: int) -> int:
    """For how long a Lease was certainly not renewed; 0 until its first renewal was received."""
    return (now_ns - lease.at_ns) // clock.NS_PER_S if lease.at_ns else 0


def _holds_s(lease: Item) -> int:
    return int((lease.body.get("spec") or {}).get("leaseDurationSeconds") or LEASE_S)


PROBE = KubeNodes()
