# SPDX-License-Identifier: Apache-2.0
"""The manifests of playbooks/kubernetes, applied to an API server as kubectl would."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.kube.apiserver import ApiServer

PLACE = Path(__file__).parents[2] / "playbooks" / "kubernetes"

COLLECTIONS: Mapping[str, str] = {
    "Namespace": "/api/v1/namespaces",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "PersistentVolumeClaim": "/api/v1/namespaces/{}/persistentvolumeclaims",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
    "Job": "/apis/batch/v1/namespaces/{}/jobs",
    # batch/v1 has CronJobs since Kubernetes 1.21.
    "CronJob": "/apis/batch/v1beta1/namespaces/{}/cronjobs",
}


def documents(name: str) -> list[dict[str, Any]]:
    """The objects of one file."""
    text = (PLACE / name).read_text(encoding="utf-8")
    return [one for one in yaml.safe_load_all(text) if one]


def collection(one: Mapping[str, Any], namespace: str) -> str:
    """Where an object is created; ``namespace`` where it names none itself."""
    return COLLECTIONS[one["kind"]].format(one["metadata"].get("namespace", namespace))


@contextlib.contextmanager
def applied(server: ApiServer, name: str, namespace: str = "default") -> Iterator[None]:
    """One file's objects, for as long as the context lasts."""
    made = []
    try:
        for one in documents(name):
            path = collection(one, namespace)
            server.done("POST", path, one)
            made.append(f"{path}/{one['metadata']['name']}")
        yield
    finally:
        for path in reversed(made):
            server.done("DELETE", path)


def home(server: ApiServer) -> str:
    """A token of the service account of namespace.yaml, as a pod gets one; made where missing."""
    for one in documents("namespace.yaml"):
        path = collection(one, "gameday")
        status, found = server.request("POST", path, one)
        assert status in (201, 409), found
    path = "/api/v1/namespaces/gameday/serviceaccounts/gameday/token"
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    return str(server.done("POST", path, asked)["status"]["token"])


def space(server: ApiServer, name: str) -> None:
    """A namespace; made where missing."""
    status, found = server.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    assert status in (201, 409), found
