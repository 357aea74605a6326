# SPDX-License-Identifier: Apache-2.0
"""What each manifest lets gameday do: by the API server's own word, and by trying.

What is expected is written here once more, so that a manifest that grows is noticed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.kube.apiserver import ApiServer
from tests.kube.manifests import PLACE, applied, documents, home, space

Rights = set[tuple[str, str, str]]
"""(verb, group, resource)"""

HERE, ELSEWHERE, LEASES = "rbac-shop", "rbac-other", "kube-node-lease"
KINDS = ("Application", "Bundle", "Cluster", "GitRepo", "Gslb", "ManagedCluster", "ManifestWork")


def rights(verbs: str, group: str, resources: str) -> Rights:
    return {(verb, group, one) for verb in verbs.split() for one in resources.split()}


WATCH = "list watch"
PATCH = "get list patch"
FLEET, ARGOCD = "fleet.cattle.io", "argoproj.io"
OCM, WORK = "cluster.open-cluster-management.io", "work.open-cluster-management.io"

EVERYWHERE: Mapping[str, Rights] = {
    "observer.yaml": rights(WATCH, "", "events namespaces nodes"),
    "observer-ocm.yaml": rights(WATCH, OCM, "managedclusters"),
    "import.yaml": rights("list", "", "nodes pods") | rights("list", "cilium.io", "ciliumnodes"),
    "operator-cordon.yaml": rights(PATCH, "", "nodes"),
    "sweep.yaml": rights("list", "", "nodes")
    | rights("list", "apps", "deployments replicasets statefulsets")
    | rights("list", "networking.k8s.io", "networkpolicies")
    | rights("list", FLEET, "bundles clusters gitrepos") | rights("list", ARGOCD, "applications")
    | rights("list", WORK, "manifestworks"),
    "operator-drain.yaml": rights(PATCH, "", "nodes") | rights("list", "", "pods")
    | rights("create", "", "pods/eviction"),
}  # fmt: skip
IN_A_NAMESPACE: Mapping[str, Rights] = {
    "observer-application.yaml": rights(WATCH, "", "pods")
    | rights(WATCH, "apps", "daemonsets deployments statefulsets")
    | rights(WATCH, "discovery.k8s.io", "endpointslices") | rights(WATCH, "k8gb.absa.oss", "gslbs"),
    "observer-fleet.yaml": rights(WATCH, FLEET, "bundles clusters gitrepos"),
    "observer-argocd.yaml": rights(WATCH, ARGOCD, "applications"),
    "observer-ocm-work.yaml": rights(WATCH, WORK, "manifestworks"),
    "operator-scale.yaml": rights("get patch", "apps", "deployments replicasets statefulsets")
    | rights("patch", "apps", "deployments/scale replicasets/scale statefulsets/scale")
    | rights("list", "autoscaling", "horizontalpodautoscalers"),
    "operator-deny.yaml": rights("create delete get list", "networking.k8s.io", "networkpolicies"),
    "operator-pause-fleet.yaml": rights(PATCH, FLEET, "bundles clusters gitrepos"),
    "operator-pause-argocd.yaml": rights(PATCH, ARGOCD, "applications"),
    "operator-pause-ocm.yaml": rights(PATCH, WORK, "manifestworks"),
}  # fmt: skip


@pytest.fixture(scope="module")
def token(apiserver: ApiServer) -> Iterator[str]:
    """Of gameday's service account, which has no rights yet."""
    apiserver.crds(*KINDS)
    for name in (HERE, ELSEWHERE):
        space(apiserver, name)
    yield home(apiserver)


def allowed(server: ApiServer, token: str, namespace: str) -> Rights:
    """All that a service account may do in a namespace, by the API server's own word."""
    asked = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
             "spec": {"namespace": namespace}}  # fmt: skip
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    status, found = server.request("POST", path, asked, token=token)
    assert status == 201 and not found["status"]["incomplete"], found
    return {
        (verb, group, one)
        for rule in found["status"]["resourceRules"]
        for verb in rule["verbs"] for group in rule["apiGroups"] for one in rule["resources"]
    }  # fmt: skip


def may(server: ApiServer, token: str, right: tuple[str, str, str], namespace: str = "") -> bool:
    """By the same question that gameday asks before it arms."""
    verb, group, resource = right
    name, _, part = resource.partition("/")
    asked = {"verb": verb, "group": group, "resource": name, "subresource": part,
             "namespace": namespace}  # fmt: skip
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": asked}}  # fmt: skip
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    status, found = server.request("POST", path, body, token=token)
    assert status == 201, found
    return bool(found["status"]["allowed"])


def test_every_role_is_expected() -> None:
    """A manifest that nobody looks at here is not shipped."""
    found = {path.name for path in PLACE.glob("*.yaml")
             if any("Role" in one["kind"] for one in documents(path.name))}  # fmt: skip
    assert found == {*EVERYWHERE, *IN_A_NAMESPACE}


def test_no_wildcard_and_no_secret() -> None:
    for name in (*EVERYWHERE, *IN_A_NAMESPACE):
        for one in documents(name):
            for rule in one.get("rules", ()):
                words = {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
                assert not words & {"*", "secrets", "impersonate", "escalate", "bind"}, name


@pytest.mark.parametrize("name", EVERYWHERE)
def test_rights_of_the_whole_cluster(apiserver: ApiServer, token: str, name: str) -> None:
    before = {place: allowed(apiserver, token, place) for place in (HERE, LEASES)}
    with applied(apiserver, name):
        wait(apiserver, token, EVERYWHERE[name])
        leases = (
            rights(WATCH, "coordination.k8s.io", "leases") if name == "observer.yaml" else set()
        )
        assert allowed(apiserver, token, HERE) - before[HERE] == EVERYWHERE[name]
        assert allowed(apiserver, token, LEASES) - before[LEASES] == EVERYWHERE[name] | leases
        assert all(may(apiserver, token, right) for right in EVERYWHERE[name])
    assert before[HERE] == {
        ("create", "authorization.k8s.io", "selfsubjectaccessreviews"),
        ("create", "authorization.k8s.io", "selfsubjectrulesreviews"),
    }, "what every user has, and all that is left"


@pytest.mark.parametrize("name", IN_A_NAMESPACE)
def test_rights_of_one_namespace(apiserver: ApiServer, token: str, name: str) -> None:
    before = allowed(apiserver, token, HERE)
    with applied(apiserver, name, HERE):
        wait(apiserver, token, IN_A_NAMESPACE[name], HERE)
        assert allowed(apiserver, token, HERE) - before == IN_A_NAMESPACE[name]
        assert allowed(apiserver, token, ELSEWHERE) == before
        for right in IN_A_NAMESPACE[name]:
            assert may(apiserver, token, right, HERE)
            assert not may(apiserver, token, right, ELSEWHERE)
            assert not may(apiserver, token, right), "nor in all namespaces"


def wait(server: ApiServer, token: str, wanted: Rights, namespace: str = "") -> None:
    """The authorizer learns of roles by watches of its own, a moment later."""
    server.wait(
        lambda: all(may(server, token, right, namespace) for right in wanted), "roles count"
    )


Call = tuple[str, str, Any]


def deployment(name: str) -> dict[str, Any]:
    labels = {"app": name}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "c"}]}}
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": pod}
    return {"metadata": {"name": name}, "spec": spec}


APPS = f"/apis/apps/v1/namespaces/{HERE}/deployments"
POLICIES = f"/apis/networking.k8s.io/v1/namespaces/{HERE}/networkpolicies"
POLICY = {"metadata": {"name": "deny"}, "spec": {"podSelector": {}, "policyTypes": ["Ingress"]}}
PODS = f"/api/v1/namespaces/{HERE}/pods"
EVICTION = {"apiVersion": "policy/v1beta1", "kind": "Eviction",
            "metadata": {"name": "rbac-pod", "namespace": HERE}}  # fmt: skip
CORDON = {"spec": {"unschedulable": True}}

TRIED: Mapping[str, tuple[list[Call], list[Call]]] = {
    "observer.yaml": (
        [("GET", "/api/v1/nodes", None), ("GET", "/api/v1/nodes?watch=1&timeoutSeconds=1", None),
         ("GET", "/api/v1/namespaces?limit=1", None), ("GET", "/api/v1/events", None),
         ("GET", f"/apis/coordination.k8s.io/v1/namespaces/{LEASES}/leases", None)],
        [("PATCH", "/api/v1/nodes/rbac-node", CORDON), ("GET", "/api/v1/secrets", None),
         ("GET", "/api/v1/nodes/rbac-node/proxy/pods", None), ("GET", PODS, None),
         ("GET", "/apis/coordination.k8s.io/v1/leases", None)],
    ),
    "observer-application.yaml": (
        [("GET", PODS, None), ("GET", APPS, None),
         ("GET", f"/apis/discovery.k8s.io/v1beta1/namespaces/{HERE}/endpointslices", None),
         ("GET", f"/apis/k8gb.absa.oss/v1beta1/namespaces/{HERE}/gslbs", None)],
        [("GET", f"{PODS}/rbac-pod/log", None), ("POST", f"{PODS}/rbac-pod/exec", None),
         ("GET", f"/api/v1/namespaces/{HERE}/configmaps", None), ("GET", "/api/v1/pods", None),
         ("PATCH", f"{APPS}/rbac-app", {"spec": {"replicas": 0}})],
    ),
    "operator-cordon.yaml": (
        [("PATCH", "/api/v1/nodes/rbac-node", CORDON)],
        [("DELETE", "/api/v1/nodes/rbac-node", None),
         ("POST", f"{PODS}/rbac-pod/eviction", EVICTION),
         ("PATCH", "/api/v1/nodes/rbac-node/status", {"status": {"phase": "Running"}})],
    ),
    "operator-scale.yaml": (
        [("GET", f"{APPS}/rbac-app", None),
         ("PATCH", f"{APPS}/rbac-app", {"metadata": {"annotations": {"gameday.io/lease": "x"}}}),
         ("PATCH", f"{APPS}/rbac-app/scale", {"spec": {"replicas": 0}}),
         ("GET", f"/apis/autoscaling/v1/namespaces/{HERE}/horizontalpodautoscalers", None)],
        [("POST", APPS, deployment("more")), ("DELETE", f"{APPS}/rbac-app", None),
         ("PATCH", f"/apis/apps/v1/namespaces/{ELSEWHERE}/deployments/rbac-app", CORDON)],
    ),
    "operator-deny.yaml": (
        [("POST", POLICIES, POLICY), ("GET", f"{POLICIES}/deny", None),
         ("DELETE", f"{POLICIES}/deny", None)],
        [("PATCH", f"{POLICIES}/theirs", {"spec": {"policyTypes": []}}),
         ("POST", POLICIES.replace(HERE, ELSEWHERE), POLICY)],
    ),
    "operator-drain.yaml": (
        [("GET", "/api/v1/pods", None), ("POST", f"{PODS}/rbac-pod/eviction", EVICTION)],
        [("DELETE", f"{PODS}/theirs", None), ("POST", PODS, {"metadata": {"name": "new"}})],
    ),
}  # fmt: skip


@pytest.fixture
def objects(apiserver: ApiServer) -> Iterator[None]:
    """What is read and changed here."""
    apiserver.done("POST", "/api/v1/nodes", {"metadata": {"name": "rbac-node"}})
    apiserver.done("POST", APPS, deployment("rbac-app"))
    containers = [{"name": "c", "image": "c"}]
    for name in ("rbac-pod", "theirs"):
        apiserver.done(
            "POST", PODS, {"metadata": {"name": name}, "spec": {"containers": containers}}
        )
    apiserver.done("POST", POLICIES, {**POLICY, "metadata": {"name": "theirs"}})
    try:
        yield
    finally:
        for path in (f"{APPS}/rbac-app", f"{POLICIES}/theirs", "/api/v1/nodes/rbac-node",
                     f"{PODS}/rbac-pod?gracePeriodSeconds=0", f"{PODS}/theirs?gracePeriodSeconds=0",
                     f"{POLICIES}/deny"):  # fmt: skip
            apiserver.request("DELETE", path)


@pytest.mark.parametrize("name", TRIED)
def test_tried(apiserver: ApiServer, token: str, objects: None, name: str) -> None:
    """What is needed is done, and what is not is refused with 403, whatever else is wrong."""
    granted, refused = TRIED[name]
    for method, path, body in granted:
        status, found = apiserver.request(method, path, body, token=token)
        assert status == 403, f"without the role: {method} {path}: {found}"
    with applied(apiserver, name, HERE):
        wait(apiserver, token, {**EVERYWHERE, **IN_A_NAMESPACE}[name], HERE)
        for method, path, body in granted:
            status, found = apiserver.request(method, path, body, token=token)
            assert status < 300, f"{method} {path}: {found}"
        for method, path, body in refused:
            status, found = apiserver.request(method, path, body, token=token)
            assert status == 403, f"{method} {path}: {status} {found}"
