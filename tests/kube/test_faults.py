# SPDX-License-Identifier: Apache-2.0
"""Each kind on a real API server: it begins, it ends, and what was there is there again.

Kubernetes 1.20, not a supported version; no controllers run beside it. What dies meanwhile is in
test_deaths.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gameday.agent.system.kube import RealKube
from gameday.clock import NS_PER_S
from gameday.errors import ApiFailed, NodeError
from gameday.faults import TABLE, kube_marks
from gameday.faults.kube_kept import KubeKept
from tests.kube.apiserver import ApiServer
from tests.kube.held import Held, name
from tests.kube.leases import ARGO, KINDS, NODES, Kind, lease


@pytest.fixture
def server(apiserver: ApiServer) -> ApiServer:
    apiserver.crds("Cluster", "Application", "ManifestWork")
    return apiserver


@pytest.mark.parametrize("kind", KINDS)
def test_there_and_back(server: ApiServer, kind: str) -> None:
    own = Kind(server, kind, name())
    held = Held(own.lease())
    assert not own.changed(), "nothing before the window"
    held.begin()
    assert own.changed() and held.state() == "active"
    held.begin()
    assert held.end() == ("absent", ())
    assert own.read() == own.was
    assert held.fault.disarm(held.one, held.before, held.host) == []


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "kube-deny"])
def test_changed_by_somebody_else_and_gone(server: ApiServer, kind: str) -> None:
    """Neither overwritten nor made again, but told, with who it was."""
    own = Kind(server, kind, name())
    held = Held(own.lease())
    held.begin()
    ((path, _, _),) = held.before["targets"][0]["fields"]
    theirs = {"kube-scale": 7, "kube-pause.argocd": {"prune": False}, "kube-pause.ocm": []}
    value = theirs.get(kind, False)
    server.done("PATCH", f"{own.path}?fieldManager=somebody", kube_marks.patch([(path, value)]))
    assert held.state() == "foreign"
    state, foreign = held.end()
    assert state == "absent" and len(foreign) == 1 and ".".join(path) in foreign[0]
    found = server.done("GET", own.path)
    assert kube_marks.value(found, path) in (value, None if value is False else value)
    assert kube_marks.read(found) is None
    if value not in (False, []):
        assert "changed by somebody at 20" in foreign[0], foreign

    gone = Kind(server, kind, name())
    held = Held(gone.lease())
    held.begin()
    server.done("DELETE", gone.path)
    state, foreign = held.end()
    assert state == "absent" and "is gone: somebody deleted it" in foreign[0]
    assert server.request("GET", gone.path)[0] == 404


def test_two_writers_on_one_object(server: ApiServer) -> None:
    """Somebody writes between our read and our write: the server says 409, and we read again."""
    own = Kind(server, "kube-scale", name())
    held = Held(own.lease())
    conflicts: list[str] = []
    racing = [3]

    class Racing(RealKube):
        def opened(self, cluster: Any) -> Any:
            opened = super().opened(cluster)
            outer = opened.__enter__()
            ask = outer.request

            def request(method: str, path: str, body: Any = None, query: Any = None) -> Any:
                if method == "PATCH" and racing[0]:
                    racing[0] -= 1
                    note = {"metadata": {"annotations": {"somebody/else": str(racing[0])}}}
                    server.done("PATCH", own.path, note)
                try:
                    return ask(method, path, body, query)
                except ApiFailed as error:
                    conflicts.append(error.reason)
                    raise

            outer.request = request  # type: ignore[method-assign]
            return _Again(opened, outer)

    held.host.kube = Racing()
    held.begin()
    assert conflicts == ["conflict"] * 3
    racing[0] = 2
    assert held.end() == ("absent", ())
    found = server.done("GET", own.path)
    assert found["spec"]["replicas"] == 3
    assert found["metadata"]["annotations"]["somebody/else"] == "0", "theirs is kept"


class _Again:
    """A context manager that was entered already."""

    def __init__(self, opened: Any, outer: Any) -> None:
        self._opened, self._outer = opened, outer

    def __enter__(self) -> Any:
        return self._outer

    def __exit__(self, *error: Any) -> None:
        self._opened.__exit__(*error)


@pytest.mark.parametrize("kind", KINDS)
def test_least_privilege_is_enough_and_less_is_refused(
    server: ApiServer, tmp_path: Path, kind: str
) -> None:
    """With just what ``permissions`` says it works; without any one of them nothing is armed."""
    user, own = name(), Kind(server, kind, name())
    kubeconfig = server.write_kubeconfig(tmp_path / "kubeconfig", server.token(user))
    data = own.lease(kubeconfig=kubeconfig)
    fault = TABLE[data["kind"]]
    assert isinstance(fault, KubeKept)
    wanted = fault.permissions(data["spec"])
    rules = [{"apiGroups": [p.group], "resources": [p.resource], "verbs": [p.verb]}
             for p in wanted]  # fmt: skip
    for number, missing in enumerate(wanted):
        server.allow(user, *(rule for i, rule in enumerate(rules) if i != number))
        server.wait(lambda one=missing: str(one) in _refusal(data), f"{missing} is refused")  # type: ignore[misc]
        assert f"does not let gameday {missing}: grant it" in _refusal(data)
        assert "frankfurt's cluster (context frankfurt)" in _refusal(data)
    server.allow(user, *rules)
    server.wait(lambda: _refusal(data) == "", "everything is allowed")
    held = Held(data)
    held.begin()
    assert own.changed()
    assert held.end() == ("absent", ())
    assert own.read() == own.was


def _refusal(data: dict[str, Any]) -> str:
    try:
        Held(data)
    except NodeError as error:
        return error.message
    return ""


def test_a_missing_crd_and_an_expired_token(server: ApiServer, tmp_path: Path) -> None:
    spec = {"tool": "fleet", "kind": "HelmOp", "resource": "fleet.cattle.io/v1alpha1/helmops",
            "namespace": "default", "names": ["x"], "destination": ""}  # fmt: skip
    assert "serves no helmops of fleet.cattle.io/v1alpha1: is fleet installed there?" in _refusal(
        lease(server, "kube-pause", **spec)
    )
    user = name()
    server.allow(user, {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]})
    own = Kind(server, "kube-cordon", name())
    path = server.write_kubeconfig(tmp_path / "kubeconfig", server.token(user, -120))
    data = own.lease(kubeconfig=path)
    assert "unauthorized" in _refusal(data), "nothing is armed with it"
    server.write_kubeconfig(path, server.token(user))
    held = Held(data)
    held.begin()
    server.write_kubeconfig(path, server.token(user, -120))
    with pytest.raises(NodeError, match="unauthorized"):
        held.end()
    assert own.changed() and held.state() == "foreign", "not called clean"
    server.write_kubeconfig(path, server.token(user))
    assert held.end() == ("absent", ())
    assert own.read() == own.was


def test_draining_by_the_eviction_api(server: ApiServer) -> None:
    """A budget holds a pod back, and the pod of a DaemonSet stays."""
    own, app = Kind(server, "kube-cordon", name()), name()
    pods = "/api/v1/namespaces/default/pods"
    budgets = "/apis/policy/v1beta1/namespaces/default/poddisruptionbudgets"
    for pod, kind in ((f"{app}-web", "ReplicaSet"), (f"{app}-agent", "DaemonSet")):
        owner = {"apiVersion": "apps/v1", "kind": kind, "name": "x", "uid": "y", "controller": True}
        body = {
            "metadata": {"name": pod, "labels": {"app": app}, "ownerReferences": [owner]},
            "spec": {"nodeName": own.name, "terminationGracePeriodSeconds": 0,
                     "containers": [{"name": "c", "image": "registry.example/pause:1"}]},
        }  # fmt: skip
        server.done("POST", pods, body)
        ready = {"status": {"phase": "Running", "conditions": [{"type": "Ready",
                                                                "status": "True"}]}}  # fmt: skip
        server.done("PATCH", f"{pods}/{pod}/status", ready)
    budget = {"metadata": {"name": app}, "spec": {
        "minAvailable": 1, "selector": {"matchLabels": {"app": app}}}}  # fmt: skip
    made = server.done("POST", budgets, budget)
    held = Held({**own.lease(), "spec": {**own.lease()["spec"], "drain": True}})
    assert held.begin() == 2 * NS_PER_S
    assert server.request("GET", f"{pods}/{app}-web")[0] == 200, "the budget says no"
    made["status"] = {"observedGeneration": 1, "disruptionsAllowed": 1, "currentHealthy": 2,
                      "desiredHealthy": 1, "expectedPods": 2, "disruptedPods": {}}  # fmt: skip
    server.done("PUT", f"{budgets}/{app}/status", made)
    held.begin()
    assert server.request("GET", f"{pods}/{app}-web")[0] == 404
    assert server.request("GET", f"{pods}/{app}-agent")[0] == 200
    assert held.begin() is None
    assert held.end() == ("absent", ())
    assert own.read() == own.was


def test_what_stands_on_the_object_is_enough_for_anybody(server: ApiServer) -> None:
    """One question finds all of a lease, by the label."""
    own = Kind(server, "kube-pause.argocd", name())
    held = Held(own.lease())
    held.begin()
    found = server.done("GET", f"{ARGO}?labelSelector=gameday.io/lease%3D{held.one.id}")["items"]
    mark = kube_marks.read(found[0])
    assert mark is not None and mark.run == "run-of-a-test"
    assert mark.fields[0][1] == {"prune": True, "selfHeal": True}
    assert server.done("GET", f"{NODES}?labelSelector=gameday.io/lease")["items"] == []
    assert held.end() == ("absent", ())
