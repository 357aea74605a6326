# SPDX-License-Identifier: Apache-2.0
"""``kube-pods``: how many pods and endpoints of an application are ready. Nodes: Python 3.9."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set, Tuple

from gameday.probes.base import Outcome, Value
from gameday.probes.kube_collection import Feed, Item
from gameday.probes.kube_watch import Items, Judge, KubeWatch, condition, short

PLURALS: Mapping[str, str] = {
    "Deployment": "deployments",
    "StatefulSet": "statefulsets",
    "DaemonSet": "daemonsets",
}

WORKLOAD, ENDPOINTS, PODS = "workload", "endpoints", "pods"


@dataclass(frozen=True)
class KubePodsParams:
    """Parameters of ``kube-pods``; at least one of service, workload and pods.

    Attributes:
        site: whose cluster is asked.
        namespace: where the objects are.
        service: whose EndpointSlices are watched.
        workload: as in Deployment/ingress; StatefulSet and DaemonSet likewise.
        pods: a label selector, as in app=ingress.
        min_ready: so many are healthy, of endpoints where a service is named, else of the
            workload's replicas, else of pods.
        cluster: how its API server is reached; the plan fills it in.
    """

    site: str
    namespace: str
    service: str = ""
    workload: str = ""
    pods: str = ""
    min_ready: int = field(default=1, metadata={"ge": 1})
    cluster: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (self.service or self.workload or self.pods):
            raise ValueError("watches nothing: name a service, a workload or pods")
        kind, slash, name = self.workload.partition("/")
        if self.workload and (kind not in PLURALS or not slash or not name):
            known = ", ".join(PLURALS)
            raise ValueError(f"workload {self.workload!r} is not kind/name; kinds: {known}")


class KubePods(KubeWatch):
    """A Service's endpoints, a workload's replicas, pods."""

    kind = "kube-pods"
    Params: type = KubePodsParams
    summary = "how many endpoints of a Service, replicas of a workload and pods are ready"

    def feeds(self, params: KubePodsParams) -> Sequence[Feed]:
        """Those of the three that are named."""
        found: List[Feed] = []
        if params.service:
            base = f"namespaces/{params.namespace}/endpointslices"
            paths = (f"/apis/discovery.k8s.io/v1/{base}", f"/apis/discovery.k8s.io/v1beta1/{base}")
            wanted = {"labelSelector": f"kubernetes.io/service-name={params.service}"}
            found.append(Feed(ENDPOINTS, paths, wanted))
        if params.workload:
            kind, _, name = params.workload.partition("/")
            path = f"/apis/apps/v1/namespaces/{params.namespace}/{PLURALS[kind]}"
            found.append(Feed(WORKLOAD, (path,), {"fieldSelector": f"metadata.name={name}"}))
        if params.pods:
            path = f"/api/v1/namespaces/{params.namespace}/pods"
            found.append(Feed(PODS, (path,), {"labelSelector": params.pods}, slim=True))
        return found

    def judge(self, params: KubePodsParams) -> Judge:
        """Who is sent users decides: endpoints before replicas before pods."""

        def judge(items: Items, now_ns: int) -> Outcome:
            value: Dict[str, Any] = {}
            if PODS in items:
                ready, others = _pods(items[PODS])
                value.update(pods_ready=ready, pods_not_ready=others)
            if WORKLOAD in items:
                ready, wanted = _replicas(items[WORKLOAD])
                value.update(replicas_ready=ready, replicas_wanted=wanted)
            if ENDPOINTS in items:
                ready = endpoints_ready(items[ENDPOINTS])
                value.update(endpoints_ready=ready)
            return Value({"healthy": ready >= params.min_ready, "ready": ready, **value})

        return judge


def endpoints_ready(slices: Mapping[str, Item]) -> int:
    """Endpoints that are sent traffic, each counted once, however many slices have it."""
    found: Set[Tuple[str, str]] = set()
    for item in slices.values():
        for one in item.body.get("endpoints") or ():
            # A condition that is not there counts as true, as the API has it.
            if (one.get("conditions") or {}).get("ready") is not False:
                found.update(_who(one, address) for address in one.get("addresses") or ())
    return len(found)


def _who(endpoint: Mapping[str, Any], address: Any) -> Tuple[str, str]:
    """A pod with addresses of two families is in two slices, and one endpoint."""
    target = endpoint.get("targetRef") or {}
    return (str(target.get("uid") or target["name"]), "") if target else ("", str(address))


def _replicas(workloads: Mapping[str, Item]) -> Tuple[int, int]:
    """(ready, wanted); nothing is ready of a workload that is not there."""
    body: Optional[Mapping[str, Any]] = next((i.body for i in workloads.values()), None)
    if body is None:
        return 0, 0
    spec, status = body.get("spec") or {}, body.get("status") or {}
    if "numberReady" in status or "desiredNumberScheduled" in status:
        return int(status.get("numberReady") or 0), int(status.get("desiredNumberScheduled") or 0)
    wanted = spec.get("replicas")
    return int(status.get("readyReplicas") or 0), 1 if wanted is None else int(wanted)


def _pods(pods: Mapping[str, Item]) -> Tuple[int, List[str]]:
    """How many are ready and stay, and the names of the others."""
    ready, others = 0, []
    for item in pods.values():
        metadata = item.body["metadata"]
        if condition(item.body, "Ready") == "True" and not metadata.get("deletionTimestamp"):
            ready += 1
        else:
            others.append(str(metadata["name"]))
    return ready, short(others)


PROBE = KubePods()
