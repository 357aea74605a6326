# SPDX-License-Identifier: Apache-2.0
"""``kube-delivery``: whether Fleet, Argo CD or OCM holds a site in its wanted state, or is paused.

Nodes: Python 3.9 syntax.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, List, Mapping, Sequence, Tuple

from gameday.probes.base import Outcome, Value
from gameday.probes.kube_collection import Feed
from gameday.probes.kube_watch import Items, Judge, KubeWatch, condition, short

Body = Mapping[str, Any]


@dataclass(frozen=True)
class Rule:
    """What one kind of object says.

    Attributes:
        kind: of the object. path: of its collection, with the namespace left open.
        healthy: whether the object is as it is wanted. paused: whether nobody sees to that.
    """

    kind: str
    path: str
    healthy: Callable[[Body], bool]
    paused: Callable[[Body], bool]


def _ready(body: Body) -> bool:
    return condition(body, "Ready") == "True"


def _spec_paused(body: Body) -> bool:
    return bool((body.get("spec") or {}).get("paused"))


def _synced(body: Body) -> bool:
    status = body.get("status") or {}
    health, sync = status.get("health") or {}, status.get("sync") or {}
    return bool(health.get("status") == "Healthy" and sync.get("status") == "Synced")


def _not_automated(body: Body) -> bool:
    """Argo CD syncs by itself only where the policy is there and not switched off."""
    automated = ((body.get("spec") or {}).get("syncPolicy") or {}).get("automated")
    skipped = (body["metadata"].get("annotations") or {}).get(SKIP) == "true"
    return automated is None or automated.get("enabled") is False or skipped


def _available(body: Body) -> bool:
    return condition(body, "ManagedClusterConditionAvailable") == "True"


def _applied(body: Body) -> bool:
    return condition(body, "Applied") == "True" and condition(body, "Available") == "True"


def _create_only(body: Body) -> bool:
    """Of a ManifestWork, whether its agent leaves every manifest as it is, once it is there."""
    spec = body.get("spec") or {}
    configs = spec.get("manifestConfigs") or ()
    kinds = [(one.get("updateStrategy") or {}).get("type") for one in configs]
    wanted = len((spec.get("workload") or {}).get("manifests") or ())
    return bool(wanted) and len(kinds) >= wanted and set(kinds) <= {"CreateOnly", "ReadOnly"}


def _never(body: Body) -> bool:
    """A hub that no longer accepts a cluster deletes what it has of it: that is no pause."""
    return False


SKIP = "argocd.argoproj.io/skip-reconcile"

FLEET = "/apis/fleet.cattle.io/v1alpha1/namespaces/{}/"
ARGOCD = "/apis/argoproj.io/v1alpha1/namespaces/{}/"
OCM = "/apis/cluster.open-cluster-management.io/v1/managedclusters"
WORK = "/apis/work.open-cluster-management.io/v1/namespaces/{}/manifestworks"

RULES: Mapping[str, Tuple[Rule, ...]] = {
    "fleet": (
        Rule("GitRepo", FLEET + "gitrepos", _ready, _spec_paused),
        Rule("Cluster", FLEET + "clusters", _ready, _spec_paused),
        Rule("Bundle", FLEET + "bundles", _ready, _spec_paused),
    ),
    "argocd": (Rule("Application", ARGOCD + "applications", _synced, _not_automated),),
    "ocm": (
        Rule("ManagedCluster", OCM, _available, _never),
        Rule("ManifestWork", WORK, _applied, _create_only),
    ),
}
NAMESPACES: Mapping[str, str] = {"fleet": "fleet-default", "argocd": "argocd", "ocm": ""}


@dataclass(frozen=True)
class KubeDeliveryParams:
    """Parameters of ``kube-delivery``.

    Attributes:
        site: whose cluster is asked: the one where the tool runs, not the one that it manages.
        tool: fleet, argocd or ocm.
        namespace: of its objects; by default fleet-default, or argocd. Of ocm: that of a managed
            cluster, whose ManifestWorks count then.
        objects: the ones that count, as in Cluster/frankfurt; all of them where it is empty.
        cluster: how its API server is reached; the plan fills it in.
    """

    site: str
    tool: str
    namespace: str = ""
    objects: Tuple[str, ...] = ()
    cluster: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.tool not in RULES:
            raise ValueError(f"tool {self.tool!r} is none of {', '.join(RULES)}")
        kinds = [rule.kind for rule in RULES[self.tool]]
        for name in self.objects:
            kind, _, rest = name.partition("/")
            if kind not in kinds or not rest:
                raise ValueError(f"object {name!r} is not kind/name; kinds: {', '.join(kinds)}")
            if kind == "ManifestWork" and not self.namespace:
                raise ValueError(f"object {name!r} is in the namespace of a cluster; name it")


class KubeDelivery(KubeWatch):
    """The objects by which a delivery tool says how a site does."""

    kind = "kube-delivery"
    Params: type = KubeDeliveryParams
    summary = "whether Fleet, Argo CD or OCM says that all is as wanted, and what of it is paused"

    def feeds(self, params: KubeDeliveryParams) -> Sequence[Feed]:
        """The tool's objects."""
        namespace = params.namespace or NAMESPACES[params.tool]
        rules = [rule for rule in RULES[params.tool] if namespace or "{}" not in rule.path]
        return [
            Feed(rule.kind, (rule.path.format(namespace),), slim=True)
            for rule in rules
            if not params.objects or any(n.startswith(f"{rule.kind}/") for n in params.objects)
        ]

    def judge(self, params: KubeDeliveryParams) -> Judge:
        """Healthy where every object is; none at all is not healthy."""

        def judge(items: Items, now_ns: int) -> Outcome:
            there: List[str] = []
            unhealthy: List[str] = []
            paused: List[str] = []
            for rule in RULES[params.tool]:
                for item in items.get(rule.kind, {}).values():
                    name = f"{rule.kind}/{item.body['metadata']['name']}"
                    if params.objects and name not in params.objects:
                        continue
                    there.append(name)
                    unhealthy += [] if rule.healthy(item.body) else [name]
                    paused += [name] if rule.paused(item.body) else []
            unhealthy += [name for name in params.objects if name not in there]
            return Value({
                "healthy": bool(there) and not unhealthy,
                "objects": len(there),
                "unhealthy": short(unhealthy),
                "paused": short(paused),
            })  # fmt: skip

        return judge


PROBE = KubeDelivery()
