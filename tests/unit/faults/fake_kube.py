# SPDX-License-Identifier: Apache-2.0
"""The part of ``FakeHost`` that stands for ``gameday.faults.hosts.kube``: one cluster in memory.

It knows merge patches, optimistic locks, scales, evictions, reviews and discovery as far as the
kinds ask for them; the real thing is asked in tests/kube.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gameday.errors import ApiFailed

CLUSTER = {"kubeconfig": "/etc/gameday/kube", "context": "fra", "in_cluster": False}
SERVED = {
    "fleet.cattle.io/v1alpha1": ["clusters", "gitrepos", "bundles"],
    "argoproj.io/v1alpha1": ["applications"],
    "work.open-cluster-management.io/v1": ["manifestworks"],
}
VOLATILE = ("resourceVersion", "managedFields")


def node(name: str, **spec: Any) -> dict[str, Any]:
    return {"kind": "Node", "metadata": {"name": name}, "spec": spec}


def pod(name: str, on: str, **owner: Any) -> dict[str, Any]:
    owners = [{"controller": True, "kind": "ReplicaSet", "name": "rs", **owner}]
    return {"kind": "Pod", "spec": {"nodeName": on}, "status": {"phase": "Running"},
            "metadata": {"name": name, "namespace": "shop", "ownerReferences": owners}}  # fmt: skip


FLEET = "/apis/fleet.cattle.io/v1alpha1/namespaces/fleet-default/clusters"
ARGO = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications"
WORKS = "/apis/work.open-cluster-management.io/v1/namespaces/frankfurt/manifestworks"
INGRESS = "/apis/apps/v1/namespaces/ingress/deployments/ingress-nginx-controller"


def objects() -> dict[str, dict[str, Any]]:
    """A site's cluster with one of each that the kinds change."""
    meta = {"group": "apps", "resource": "deployments", "namespace": "shop", "name": "web"}
    return {
        "/api/v1/nodes/fra-1": node("fra-1"),
        "/api/v1/nodes/fra-2": node("fra-2"),
        "/api/v1/namespaces/shop/pods/web-1": pod("web-1", "fra-1"),
        "/api/v1/namespaces/shop/pods/agent-1": pod("agent-1", "fra-1", kind="DaemonSet"),
        INGRESS: {"kind": "Deployment", "metadata": {"name": "ingress-nginx-controller",
                  "namespace": "ingress"}, "spec": {"replicas": 3}},
        f"{FLEET}/frankfurt": {"kind": "Cluster", "metadata": {"name": "frankfurt"}, "spec": {}},
        f"{ARGO}/web": {"kind": "Application", "metadata": {"name": "web"}, "spec": {
            "destination": {"name": "frankfurt"},
            "syncPolicy": {"automated": {"prune": True, "selfHeal": True}, "retry": {"limit": 5}}}},
        f"{WORKS}/web": {"kind": "ManifestWork", "metadata": {"name": "web"}, "spec": {
            "workload": {"manifests": [{"kind": "Deployment"}]}},
            "status": {"resourceStatus": {"manifests": [{"resourceMeta": meta}]}}},
    }  # fmt: skip


@dataclass
class FakeKube:
    """In memory; ``mutate`` is called before every change and may crash.

    Attributes:
        fails: what is raised instead of any answer. refused: permissions that are missing, as
            (verb, resource). budget: pods that may not go. races: called before each write.
    """

    mutate: Callable[[], None]
    there: dict[str, dict[str, Any]] = field(default_factory=objects)
    served: dict[str, list[str]] = field(default_factory=lambda: copy.deepcopy(SERVED))
    asked: list[tuple[str, str]] = field(default_factory=list)
    fails: ApiFailed | None = None
    refused: set[tuple[str, str]] = field(default_factory=set)
    budget: set[str] = field(default_factory=set)
    races: Callable[[], None] = lambda: None
    pod: str = ""
    writes: int = 0

    def __post_init__(self) -> None:
        for path, one in self.there.items():
            one["metadata"].update(uid=f"uid-{path}", resourceVersion="1")

    def state(self) -> object:
        """All that a lease may change, as plain data."""
        found = copy.deepcopy(self.there)
        for one in found.values():
            for name in VOLATILE:
                one["metadata"].pop(name, None)
            for name in ("labels", "annotations"):
                if not one["metadata"].get(name):
                    one["metadata"].pop(name, None)
        # What was evicted does not come back, as the plan says.
        return {path: one for path, one in found.items() if one["kind"] != "Pod"}

    @contextlib.contextmanager
    def opened(self, cluster: Mapping[str, Any]) -> Iterator[FakeKube]:
        assert dict(cluster) == CLUSTER
        yield self

    def own_pod(self) -> str:
        return self.pod

    def change(self, path: str, manager: str, patch: Mapping[str, Any]) -> None:
        """Somebody else writes to an object."""
        self._write(path, patch, manager)

    def request(
        self, method: str, path: str, body: Any = None, query: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        self.asked.append((method, path))
        if self.fails is not None:
            raise self.fails
        if method == "GET":
            return self._read(path, query or {})
        if path.endswith("selfsubjectaccessreviews"):
            asked = body["spec"]["resourceAttributes"]
            name = "/".join(x for x in (asked["resource"], asked.get("subresource", "")) if x)
            return {"status": {"allowed": (asked["verb"], name) not in self.refused}}
        if (query or {}).get("dryRun"):
            return dict(body)
        return self._act(method, path, body)

    def _act(self, method: str, path: str, body: Any) -> dict[str, Any]:
        self.races()
        self.mutate()
        if path.endswith("/eviction"):
            return self._evict(path.removesuffix("/eviction"))
        if method == "POST":
            return self._create(path, body)
        whole = path.removesuffix("/scale")
        if whole not in self.there:
            raise ApiFailed(404, "not-found", path)
        if method == "DELETE":
            self._locked(whole, body["preconditions"])
            return self.there.pop(whole)
        self._locked(whole, body.get("metadata") or {})
        return copy.deepcopy(self._write(whole, body, "gameday"))

    def _read(self, path: str, query: Mapping[str, Any]) -> dict[str, Any]:
        if path in self.there:
            return copy.deepcopy(self.there[path])
        version = path.removeprefix("/apis/")
        if version in SERVED:
            if version not in self.served:
                raise ApiFailed(404, "not-found", path)
            return {"resources": [{"name": name} for name in self.served[version]]}
        if path == "/api/v1":
            return {"resources": [{"name": "pods/eviction", "version": "v1beta1"}]}
        last = path.rpartition("/")[2]
        if not last.endswith("s") and last not in ("horizontalpodautoscalers",):
            raise ApiFailed(404, "not-found", path)
        found = [
            one for own, one in self.there.items()
            if own.rpartition("/")[0] == path
            or (path == "/api/v1/pods" and one["kind"] == "Pod" and query.get("fieldSelector")
                == f"spec.nodeName={one['spec']['nodeName']}")
        ]  # fmt: skip
        if not found and path.rpartition("/")[0] in {p.rpartition("/")[0] for p in self.there}:
            raise ApiFailed(404, "not-found", path)
        return {"items": copy.deepcopy(found), "metadata": {}}

    def _create(self, collection: str, body: dict[str, Any]) -> dict[str, Any]:
        path = f"{collection}/{body['metadata']['name']}"
        if path in self.there:
            raise ApiFailed(409, "conflict", f"{path} exists")
        one = copy.deepcopy(body)
        one["metadata"].update(uid=f"uid-{path}", resourceVersion="1")
        self.there[path] = one
        return copy.deepcopy(one)

    def _evict(self, path: str) -> dict[str, Any]:
        if path.rpartition("/")[2] in self.budget:
            raise ApiFailed(429, "server", "the disruption budget needs 1 healthy pod")
        if path not in self.there:
            raise ApiFailed(404, "not-found", path)
        del self.there[path]
        return {"status": "Success"}

    def _locked(self, path: str, asked: Mapping[str, Any]) -> None:
        meta = self.there[path]["metadata"]
        if any(meta[key] != asked[key] for key in ("uid", "resourceVersion") if key in asked):
            raise ApiFailed(409, "conflict", "the object has been modified")

    def _write(self, path: str, body: Mapping[str, Any], manager: str) -> dict[str, Any]:
        self.writes += 1
        one = self.there[path]
        _merge(one, {k: v for k, v in body.items() if k != "metadata"})
        meta = {k: v for k, v in (body.get("metadata") or {}).items() if k != "resourceVersion"}
        _merge(one["metadata"], meta)
        one["metadata"]["resourceVersion"] = str(int(one["metadata"]["resourceVersion"]) + 1)
        entry = {"manager": manager, "time": "2026-11-29T12:00:00Z", "fieldsV1": _fields(body)}
        one["metadata"].setdefault("managedFields", []).append(entry)
        return one


def _merge(into: dict[str, Any], patch: Mapping[str, Any]) -> None:
    """RFC 7396."""
    for key, new in patch.items():
        if new is None:
            into.pop(key, None)
        elif isinstance(new, Mapping):
            if not isinstance(into.get(key), dict):
                into[key] = {}
            _merge(into[key], new)
        else:
            into[key] = copy.deepcopy(new)


def _fields(body: Mapping[str, Any]) -> dict[str, Any]:
    return {f"f:{k}": _fields(v) if isinstance(v, Mapping) else {} for k, v in body.items()}
