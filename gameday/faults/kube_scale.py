# SPDX-License-Identifier: Apache-2.0
"""``kube-scale``: a workload is scaled, to zero unless told otherwise, and back again.

Through the scale subresource, as ``kubectl scale`` and autoscalers do it. What was there before
stands on the object itself, beside the receipt.

This module travels to nodes: standard library only, Python 3.9 syntax.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Literal, Mapping, Tuple

from gameday.errors import NodeError
from gameday.faults.base import CONTROLLER, Estate
from gameday.faults.hosts import Host
from gameday.faults.kube_api import Api, Permission, kubectl, where
from gameday.faults.kube_kept import KubeKept, check_names, cluster_of, gitops, required
from gameday.faults.kube_objects import shown
from gameday.record.types import Lease

REPLICAS_MAX = 1000
"""More than any workload of a drill has; a typing error must not order ten thousand pods."""

PLURALS: Mapping[str, str] = {
    "Deployment": "deployments", "StatefulSet": "statefulsets", "ReplicaSet": "replicasets",
}  # fmt: skip
REPLICAS = ["spec", "replicas"]


@dataclass(frozen=True)
class KubeScaleParams:
    """Parameters of ``kube-scale``.

    Attributes:
        site: whose cluster has the workload.
        namespace: of the workload. name: of the workload.
        workload: what it is.
        replicas: that it has in the window.
    """

    site: str
    namespace: str
    name: str
    workload: Literal["Deployment", "StatefulSet", "ReplicaSet"] = "Deployment"
    replicas: int = field(default=0, metadata={"ge": 0, "le": REPLICAS_MAX})


class KubeScale(KubeKept):
    """An ingress that is scaled to zero."""

    kind = "kube-scale"
    Params: type = KubeScaleParams
    summary = "a workload of a cluster is scaled, to zero as a rule, and back again"

    def spread(self, params: KubeScaleParams, estate: Estate) -> Dict[str, Dict[str, Any]]:
        """One spec for the controller's host.

        Raises:
            InvalidInput: where the site has no cluster, or a name cannot be one.
        """
        check_names(namespace=params.namespace, name=params.name)
        return {CONTROLLER: {
            **cluster_of(estate, params.site), "namespace": params.namespace,
            "resource": PLURALS[params.workload], "name": params.name,
            "replicas": params.replicas,
        }}  # fmt: skip

    def permissions(self, spec: Mapping[str, Any]) -> List[Permission]:
        """See ``KubeKept``: the mark is on the workload, the number is set by its scale."""
        group, resource, space = "apps", spec["resource"], spec["namespace"]
        return [
            Permission("get", group, resource, space), Permission("patch", group, resource, space),
            Permission("patch", group, f"{resource}/scale", space),
            Permission("list", "autoscaling", "horizontalpodautoscalers", space),
        ]  # fmt: skip

    def claims(self, spec: Mapping[str, Any]) -> Tuple[str, ...]:
        """The workload's replicas."""
        return (f"replicas of {spec['resource']} {spec['namespace']}/{spec['name']} of "
                f"{where(spec)}",)  # fmt: skip

    def explain(self, lease: Lease) -> Tuple[List[str], List[str]]:
        """The requests, and the undo."""
        spec = lease.spec
        path = _path(spec)
        body = '{"spec":{"replicas":%d}}' % spec["replicas"]
        rules = [
            f"{where(spec)}: PATCH {path} (annotation and label gameday.io/lease)",
            f"{where(spec)}: PATCH {path}/scale {body}",
            "a HorizontalPodAutoscaler lets a workload with 0 replicas alone, and undoes any other "
            "number; Argo CD and Fleet undo it where they correct drift (found when it is armed)",
        ]
        undo = [
            f"{where(spec)}: PATCH {path}/scale with the replicas that were there, if there are "
            f"still {spec['replicas']}; the annotation and the label are taken off",
            f"by hand: {kubectl(spec)} -n {spec['namespace']} scale {spec['resource']} "
            f"{spec['name']} --replicas=<as in its annotation>",
        ]
        return rules, undo

    def find(self, spec: Mapping[str, Any], api: Api, host: Host) -> Dict[str, Any]:
        """See ``KubeKept``.

        Raises:
            NodeError: where it is not there, has that many replicas already, or a
                HorizontalPodAutoscaler would undo it at once.
        """
        what = f"{spec['resource']} {spec['namespace']}/{spec['name']}"
        found = required(api, _path(spec), what)
        now = (found.get("spec") or {}).get("replicas")
        if now == spec["replicas"]:
            raise NodeError(f"{what} has {now} replicas already: there is nothing to change")
        said = []
        scalers = _autoscalers(spec, api, str(found.get("kind")))
        if scalers and spec["replicas"]:
            raise NodeError(
                f"{what} is scaled by the HorizontalPodAutoscaler {scalers[0]}, which would undo "
                "it at once: scale to 0, or take the autoscaler away"
            )
        if scalers:
            said.append(f"the HorizontalPodAutoscaler {scalers[0]} stands still while {what} has "
                        "0 replicas; somebody who starts one replica starts it too")  # fmt: skip
        tool = gitops(found)
        if tool:
            said.append(f"{what} is applied by {tool}, which may set its replicas back: pause it "
                        "with a fault of kind kube-pause")  # fmt: skip
        target = {"path": _path(spec), "what": what, "uid": found["metadata"]["uid"],
                  "fields": [[REPLICAS, now, spec["replicas"]]], "scale": True}  # fmt: skip
        return {"targets": [target], "said": said}

    def by_hand(self, lease: Lease, target: Mapping[str, Any]) -> str:
        """See ``KubeKept``."""
        spec = lease.spec
        return (f"`{kubectl(spec)} -n {spec['namespace']} scale {spec['resource']} {spec['name']} "
                f"--replicas={shown(target['fields'][0][1])}`")  # fmt: skip


def _path(spec: Mapping[str, Any]) -> str:
    return f"/apis/apps/v1/namespaces/{spec['namespace']}/{spec['resource']}/{spec['name']}"


def _autoscalers(spec: Mapping[str, Any], api: Api, kind: str) -> List[str]:
    path = f"/apis/autoscaling/v1/namespaces/{spec['namespace']}/horizontalpodautoscalers"
    found = []
    for one in api.items(path):
        aim = one["spec"]["scaleTargetRef"]
        if (aim.get("kind"), aim.get("name")) == (kind, spec["name"]):
            found.append(str(one["metadata"]["name"]))
    return found


FAULT = KubeScale()
