# SPDX-License-Identifier: Apache-2.0
"""Asking an API server for objects, and whether it would do what a lease needs.

This module travels to nodes: standard library only, Python 3.9 syntax.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence

from gameday.errors import ApiFailed, NodeError
from gameday.faults.hosts.kube import Asked

MANAGER = "gameday"
"""What the API server notes as who wrote a field."""

PAGE = 500
"""Objects asked for at once, as kubectl does."""

OBJECTS_MAX = 20_000
"""Pods of one cluster's nodes; who has more does not drain them in a drill."""

ALLOWED = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


class Api:
    """One cluster, by objects.

    Attributes:
        wrote: whether anything was asked for that may have changed something.
    """

    def __init__(self, asked: Asked, manager: str = MANAGER) -> None:
        self._asked, self._manager = asked, manager
        self.wrote = False

    def get(self, path: str) -> Optional[Dict[str, Any]]:
        """An object; ``None`` where there is none.

        Raises:
            ApiFailed: where it is not known.
        """
        try:
            return self._asked.request("GET", path)
        except ApiFailed as error:
            if error.status == 404:
                return None
            raise

    def items(self, path: str, query: Optional[Mapping[str, Any]] = None) -> List[Dict[str, Any]]:
        """All objects of a collection, page by page.

        Raises:
            ApiFailed: as ``get``. NodeError: where there are more than ``OBJECTS_MAX``.
        """
        found: List[Dict[str, Any]] = []
        asked: Dict[str, Any] = {**(query or {}), "limit": PAGE}
        while True:
            page = self._asked.request("GET", path, None, asked)
            found += page.get("items") or []
            following = (page.get("metadata") or {}).get("continue")
            if not following:
                return found
            if len(found) > OBJECTS_MAX:
                raise NodeError(f"{path} has more than {OBJECTS_MAX} objects")
            asked["continue"] = following

    def patch(self, path: str, body: Mapping[str, Any]) -> Dict[str, Any]:
        """Merge a patch into an object; with its ``resourceVersion`` in it, only into that one."""
        self.wrote = True
        return self._asked.request("PATCH", path, body, {"fieldManager": self._manager})

    def create(self, path: str, body: Mapping[str, Any]) -> Dict[str, Any]:
        """Make an object in a collection."""
        self.wrote = True
        return self._asked.request("POST", path, body, {"fieldManager": self._manager})

    def try_create(self, path: str, body: Mapping[str, Any]) -> None:
        """Whether it would be made; nothing is.

        Raises:
            ApiFailed: where it would not.
        """
        self._asked.request("POST", path, body, {"dryRun": "All"})

    def delete(self, path: str, uid: str, version: str) -> None:
        """Remove an object, if it is still that one, as it was read."""
        self.wrote = True
        conditions = {"uid": uid, "resourceVersion": version}
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": conditions}
        self._asked.request("DELETE", path, body)

    def act(self, path: str, body: Mapping[str, Any]) -> Dict[str, Any]:
        """Ask for something that is no object to keep: a review, an eviction."""
        self.wrote = True
        return self._asked.request("POST", path, body)


@dataclass(frozen=True)
class Permission:
    """One thing that a kind asks an API server for.

    Attributes:
        verb: as in RBAC. group: "" for the core. resource: with its subresource, as in
            "deployments/scale". namespace: "" for all, and for what has none.
    """

    verb: str
    group: str
    resource: str
    namespace: str = ""

    def __str__(self) -> str:
        name, _, part = self.resource.partition("/")
        whole = f"{name}.{self.group}" if self.group else name
        where = f" in namespace {self.namespace}" if self.namespace else ""
        return f"{self.verb} {whole}{'/' + part if part else ''}{where}"


def not_allowed(api: Api, wanted: Sequence[Permission]) -> List[Permission]:
    """What of it the API server would refuse, by its own word (SelfSubjectAccessReview)."""
    found = []
    for one in wanted:
        name, _, part = one.resource.partition("/")
        asked = {"verb": one.verb, "group": one.group, "resource": name, "subresource": part,
                 "namespace": one.namespace}  # fmt: skip
        body = {
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {k: v for k, v in asked.items() if v}},
        }  # fmt: skip
        if not (api.act(ALLOWED, body).get("status") or {}).get("allowed"):
            found.append(one)
    return found


def not_served(api: Api, wanted: Sequence[str]) -> List[str]:
    """Resources that the API server does not have, of those given as group/version/plural."""
    lists: Dict[str, List[str]] = {}
    missing = []
    for one in wanted:
        version, _, plural = one.rpartition("/")
        if version not in lists:
            answer = api.get(f"/apis/{version}")
            lists[version] = [str(x["name"]) for x in (answer or {}).get("resources") or []]
        if plural not in lists[version]:
            missing.append(one)
    return missing


def where(spec: Mapping[str, Any]) -> str:
    """The cluster of a spec, for people."""
    cluster = spec["cluster"]
    if cluster["in_cluster"]:
        return f"{spec['site']}'s cluster (in-cluster)"
    return f"{spec['site']}'s cluster (context {cluster['context']})"


def kubectl(spec: Mapping[str, Any]) -> str:
    """The beginning of a command for people."""
    cluster = spec["cluster"]
    if cluster["in_cluster"]:
        return "kubectl"
    return f"kubectl --kubeconfig {cluster['kubeconfig']} --context {cluster['context']}"
