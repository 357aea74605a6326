# SPDX-License-Identifier: Apache-2.0
"""``kube-cordon``: nodes of a cluster take no new pods, and are drained where that is asked for.

Draining asks the eviction API for every pod, which honours PodDisruptionBudgets; a pod that may
not go yet is asked for again until the window ends. Pods that were evicted do not come back by
themselves: whoever controls them makes others.

This module travels to nodes: standard library only, Python 3.9 syntax.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Tuple

from gameday.errors import ApiFailed, InvalidInput, NodeError
from gameday.faults.base import CONTROLLER, Estate, Selector
from gameday.faults.hosts import Host
from gameday.faults.kube_api import Api, Permission, kubectl, where
from gameday.faults.kube_kept import POLL_NS, TARGETS_MAX, KubeKept, cluster_of, free
from gameday.record.types import Lease

NODES, PODS = "/api/v1/nodes", "/api/v1/pods"
UNSCHEDULABLE = ["spec", "unschedulable"]
MIRROR = "kubernetes.io/config.mirror"
"""The annotation of a pod that its kubelet made from a file: the API cannot evict it."""

BARE_SHOWN = 5


@dataclass(frozen=True)
class KubeCordonParams:
    """Parameters of ``kube-cordon``.

    Attributes:
        site: whose cluster it is.
        nodes: which of its nodes; else all nodes of the site.
        drain: whether their pods are evicted too.
    """

    site: str
    nodes: Optional[Selector] = None
    drain: bool = False


class KubeCordon(KubeKept):
    """A site that takes no new pods."""

    kind = "kube-cordon"
    Params: type = KubeCordonParams
    summary = "nodes of a cluster are cordoned, and drained where asked for; uncordoned again"

    def spread(self, params: KubeCordonParams, estate: Estate) -> Dict[str, Dict[str, Any]]:
        """One spec for the controller's host.

        Raises:
            InvalidInput: where the site has no cluster, or no node is selected.
        """
        begin = cluster_of(estate, params.site)
        names = estate.select(params.nodes or Selector(site=(params.site,)))
        names = tuple(name for name in names if estate.can_arm(name))
        if len(names) > TARGETS_MAX:
            raise InvalidInput(f"nodes selects {len(names)} nodes; at most {TARGETS_MAX}")
        if not names:
            raise InvalidInput("nodes selects no node", "see the inventory's groups")
        # In one text: a plan takes every address by itself for one that packets are kept from.
        nodes = [{"node": name, "known_as": " ".join(estate.addresses(name))} for name in names]
        return {CONTROLLER: {**begin, "nodes": nodes, "drain": params.drain}}

    def permissions(self, spec: Mapping[str, Any]) -> List[Permission]:
        """See ``KubeKept``; pods are evicted in whatever namespace they are."""
        found = [Permission(verb, "", "nodes") for verb in ("list", "get", "patch")]
        if spec["drain"]:
            found += [Permission("list", "", "pods"), Permission("create", "", "pods/eviction")]
        return found

    def claims(self, spec: Mapping[str, Any]) -> Tuple[str, ...]:
        """Whether each node takes pods."""
        return tuple(f"cordon of node {one['node']} of {where(spec)}" for one in spec["nodes"])

    def explain(self, lease: Lease) -> Tuple[List[str], List[str]]:
        """The requests, and the undo."""
        spec, rules, undo = lease.spec, [], []
        for one in spec["nodes"]:
            rules.append(f'{where(spec)}: PATCH {NODES}/{one["node"]} '
                         '{"spec":{"unschedulable":true}}')  # fmt: skip
            undo.append(f'{where(spec)}: PATCH {NODES}/{one["node"]} {{"spec":{{"unschedulable":'
                        "null}}, if the lease cordoned it and it is cordoned still")  # fmt: skip
        rules.append("each with the annotation and the label gameday.io/lease")
        if spec["drain"]:
            rules.append(
                "then POST /api/v1/namespaces/<ns>/pods/<pod>/eviction for every pod on them but "
                "those of DaemonSets and mirror pods; where a PodDisruptionBudget forbids it, "
                "again every 2 s until the window ends"
            )
            undo.append(
                "evicted pods cannot be brought back, nor what was in their emptyDir volumes: "
                "their controllers made others elsewhere, and nothing moves those back"
            )
        return rules, undo

    def find(self, spec: Mapping[str, Any], api: Api, host: Host) -> Dict[str, Any]:
        """See ``KubeKept``.

        Raises:
            NodeError: where a node is not in the cluster, all are cordoned, or a pod would be
                lost for good.
        """
        by_name = _by_name(api.items(NODES))
        targets, said, names, wrong = [], [], [], []
        for one in spec["nodes"]:
            keys = (one["node"], *one["known_as"].split())
            found = next((by_name[key] for key in keys if key in by_name), None)
            if found is None:
                wrong.append(one["node"])
                continue
            name = found["metadata"]["name"]
            names.append(name)
            free(found, f"node {name}")
            if (found.get("spec") or {}).get("unschedulable"):
                said.append(f"node {name} is cordoned already, and is left so at the end")
                continue
            now = (found.get("spec") or {}).get("unschedulable")
            targets.append({"path": f"{NODES}/{name}", "what": f"node {name}",
                            "uid": found["metadata"]["uid"],
                            "fields": [[UNSCHEDULABLE, now, True]]})  # fmt: skip
        if wrong:
            raise NodeError(f"{where(spec)} has no node of the name or address of: "
                            f"{', '.join(wrong)}")  # fmt: skip
        if not targets and not spec["drain"]:
            raise NodeError("all of these nodes are cordoned already: there is nothing to change")
        if spec["drain"]:
            _check_pods(spec, api, names, host)
        return {"targets": targets, "said": said, "nodes": names, "eviction": _version(api)}

    def more(
        self, lease: Lease, before: Mapping[str, Any], api: Api, note: Dict[str, Any]
    ) -> Optional[int]:
        """Evict what is still there and may be."""
        if not lease.spec["drain"]:
            return None
        counters = note.setdefault("counters", {"evicted": 0, "waiting": 0})
        pods = _evictable(api, before["nodes"])
        for pod in pods:
            leaves = pod["metadata"].get("deletionTimestamp")
            if not leaves and _evict(api, pod, before["eviction"]):
                counters["evicted"] += 1
        counters["waiting"] = len(pods)
        return POLL_NS if pods else None

    def by_hand(self, lease: Lease, target: Mapping[str, Any]) -> str:
        """See ``KubeKept``."""
        return f"`{kubectl(lease.spec)} uncordon {target['path'].rpartition('/')[2]}`"


def _by_name(nodes: List[Dict[str, Any]]) -> Dict[str, Dict[str, Any]]:
    """Nodes by their names, and by their addresses where nobody is called so."""
    found = {}
    for node in nodes:
        for one in (node.get("status") or {}).get("addresses") or ():
            found[str(one.get("address"))] = node
    for node in nodes:
        found[str(node["metadata"]["name"])] = node
    return found


def _evictable(api: Api, nodes: List[str]) -> List[Dict[str, Any]]:
    """Pods on nodes that draining evicts, as kubectl sorts them."""
    found = []
    for node in nodes:
        for pod in api.items(PODS, {"fieldSelector": f"spec.nodeName={node}"}):
            done = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
            if (
                not done
                and MIRROR not in (pod["metadata"].get("annotations") or {})
                and ((_controller(pod) or {}).get("kind") != "DaemonSet")
            ):
                found.append(pod)
    return found


def _controller(pod: Mapping[str, Any]) -> Optional[Mapping[str, Any]]:
    owners = pod["metadata"].get("ownerReferences") or ()
    return next((one for one in owners if one.get("controller")), None)


def _check_pods(spec: Mapping[str, Any], api: Api, nodes: List[str], host: Host) -> None:
    pods = _evictable(api, nodes)
    bare = [_name(pod) for pod in pods if _controller(pod) is None]
    if bare:
        more = f" and {len(bare) - BARE_SHOWN} more" if len(bare) > BARE_SHOWN else ""
        raise NodeError(f"pods without a controller would be lost for good: "
                        f"{', '.join(bare[:BARE_SHOWN])}{more}; move them first")  # fmt: skip
    own = host.kube.own_pod() if spec["cluster"]["in_cluster"] else ""
    if own and any(pod["metadata"]["name"] == own for pod in pods):
        raise NodeError(f"gameday's own pod {own} runs on one of these nodes: it would be evicted")


def _name(pod: Mapping[str, Any]) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def _evict(api: Api, pod: Mapping[str, Any], version: str) -> bool:
    """Whether the pod goes; not where a PodDisruptionBudget forbids it for now."""
    meta = pod["metadata"]
    path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/eviction"
    body = {
        "apiVersion": version, "kind": "Eviction",
        "metadata": {"name": meta["name"], "namespace": meta["namespace"]},
        "deleteOptions": {"preconditions": {"uid": meta["uid"]}},
    }  # fmt: skip
    try:
        api.act(path, body)
    except ApiFailed as error:
        # 429: a budget. 404 and 409: it went by itself, or another has its name by now.
        if error.status in (404, 409, 429):
            return False
        raise
    return True


def _version(api: Api) -> str:
    """The version of evictions that this API server takes: v1 since 1.22."""
    for one in (api.get("/api/v1") or {}).get("resources") or ():
        if one.get("name") == "pods/eviction":
            return f"policy/{one.get('version', 'v1')}"
    return "policy/v1"


FAULT = KubeCordon()
