# SPDX-License-Identifier: Apache-2.0
"""What each kind that changes objects of a cluster has of its own."""

from __future__ import annotations

import pytest

from gameday.clock import NS_PER_S
from gameday.errors import NodeError
from gameday.record.types import Lease
from tests.unit.faults.fake_host import FakeHost
from tests.unit.faults.fake_kube import ARGO, INGRESS, WORKS
from tests.unit.faults.kube_kit import begun, ended, fault_of
from tests.unit.faults.test_conformance import lease


def test_autoscalers_and_gitops_are_told() -> None:
    host, one = FakeHost(), lease("kube-scale")
    scaler = {"kind": "HorizontalPodAutoscaler", "metadata": {"name": "hpa"}, "spec": {
        "scaleTargetRef": {"kind": "Deployment", "name": "ingress-nginx-controller"}}}  # fmt: skip
    base = "/apis/autoscaling/v1/namespaces/ingress/horizontalpodautoscalers"
    host.kube.there[f"{base}/hpa"] = scaler
    tracked = {"annotations": {"argocd.argoproj.io/tracking-id": "x"}}
    host.kube.change(INGRESS, "argocd", {"metadata": tracked})
    fault = fault_of(one)
    before = fault.before(one, host)
    first, second = fault.observe(one, before, host).said
    assert "HorizontalPodAutoscaler hpa stands still" in first and "Argo CD" in second
    some = Lease(**{**one.__dict__, "spec": {**one.spec, "replicas": 1}})
    with pytest.raises(NodeError, match="would undo it at once"):
        fault.before(some, host)
    same = Lease(**{**one.__dict__, "spec": {**one.spec, "replicas": 3}})
    host.kube.there.pop(f"{base}/hpa")
    with pytest.raises(NodeError, match="has 3 replicas already"):
        fault.before(same, host)


def test_cordon_undoes_only_what_it_did() -> None:
    host = FakeHost()
    host.kube.change("/api/v1/nodes/fra-2", "ops", {"spec": {"unschedulable": True}})
    host, one, before, fault = begun("kube-cordon", host)
    assert before["said"] == ["node fra-2 is cordoned already, and is left so at the end"]
    assert ended(host, one, before, fault).foreign_changed == ()
    assert host.kube.there["/api/v1/nodes/fra-2"]["spec"] == {"unschedulable": True}
    assert host.kube.there["/api/v1/nodes/fra-1"]["spec"] == {}


def test_a_node_is_known_by_its_address_too() -> None:
    host, one = FakeHost(), lease("kube-cordon")
    found = host.kube.there.pop("/api/v1/nodes/fra-1")
    found["metadata"]["name"] = "ip-198-18-1-11"
    found["status"] = {"addresses": [{"type": "InternalIP", "address": "198.18.1.11"}]}
    host.kube.there["/api/v1/nodes/ip-198-18-1-11"] = found
    paths = [target["path"] for target in fault_of(one).before(one, host)["targets"]]
    assert paths == ["/api/v1/nodes/ip-198-18-1-11", "/api/v1/nodes/fra-2"]
    host.kube.there.pop("/api/v1/nodes/fra-2")
    with pytest.raises(NodeError, match="no node of the name or address of: fra-2"):
        fault_of(one).before(one, host)


def test_draining_honours_budgets_and_leaves_daemons() -> None:
    host, one = FakeHost(), lease("kube-cordon.drain")
    fault, path = fault_of(one), "/api/v1/namespaces/shop/pods"
    before = fault.before(one, host)
    host.now, host.kube.budget = one.fire_at_ns, {"web-1"}
    assert fault.drive(one, before, host, 0) == 2 * NS_PER_S, "asked again"
    assert fault.observe(one, before, host).counters["waiting"] == 1
    host.kube.budget = set()
    assert fault.drive(one, before, host, 2 * NS_PER_S) == 4 * NS_PER_S
    assert fault.drive(one, before, host, 4 * NS_PER_S) is None
    found = fault.observe(one, before, host)
    assert found.counters == {"objects": 2, "evicted": 1, "waiting": 0}
    assert f"{path}/web-1" not in host.kube.there and f"{path}/agent-1" in host.kube.there


def test_a_pod_that_would_be_lost_is_not_drained() -> None:
    host, one = FakeHost(), lease("kube-cordon.drain")
    host.kube.there["/api/v1/namespaces/shop/pods/web-1"]["metadata"]["ownerReferences"] = []
    with pytest.raises(NodeError, match=r"without a controller would be lost .* shop/web-1"):
        fault_of(one).before(one, host)


def test_a_policy_that_was_changed_is_still_deleted_and_told() -> None:
    host, one, before, fault = begun("kube-deny")
    (path,) = [target["path"] for target in before["targets"]]
    host.kube.change(path, "kubectl", {"spec": {"ingress": [{}]}})
    assert fault.observe(one, before, host).state == "foreign"
    found = ended(host, one, before, fault)
    assert path not in host.kube.there
    assert "it is the lease's own, and gone" in found.foreign_changed[0]


def test_a_policy_of_somebody_else_is_never_deleted() -> None:
    host, one, before, fault = begun("kube-deny")
    (path,) = [target["path"] for target in before["targets"]]
    theirs = {"kind": "NetworkPolicy", "spec": {"podSelector": {}},
              "metadata": {"name": "x", "uid": "other", "resourceVersion": "1"}}  # fmt: skip
    host.kube.there[path] = theirs
    found = ended(host, one, before, fault)
    assert host.kube.there[path] == theirs
    assert "not the one that the lease made" in found.foreign_changed[0]


def test_policies_that_allow_are_told() -> None:
    host, one = FakeHost(), lease("kube-deny")
    base = "/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies"
    for name, app in (("allows", "web"), ("others", "db")):
        host.kube.there[f"{base}/{name}"] = {
            "kind": "NetworkPolicy", "metadata": {"name": name},
            "spec": {"podSelector": {"matchLabels": {"app": app}}, "ingress": [{}]},
        }  # fmt: skip
    (said,) = fault_of(one).before(one, host)["said"]
    assert said.startswith("NetworkPolicy allows allows some of it")


def test_argo_applications_that_are_not_automated_are_left() -> None:
    host, one = FakeHost(), lease("kube-pause.argocd")
    host.kube.change(f"{ARGO}/web", "ops", {"spec": {"syncPolicy": None}})
    with pytest.raises(NodeError, match="for frankfurt in argocd that is not paused already"):
        fault_of(one).before(one, host)


def test_a_work_that_is_not_applied_yet_cannot_be_paused() -> None:
    host, one = FakeHost(), lease("kube-pause.ocm")
    host.kube.change(f"{WORKS}/web", "ops", {"status": None})
    with pytest.raises(NodeError, match="tells of 0 of its 1 manifests"):
        fault_of(one).before(one, host)


def test_ocm_keeps_the_rest_of_its_configurations() -> None:
    host = FakeHost()
    identifier = {"group": "apps", "resource": "deployments", "namespace": "shop", "name": "web"}
    rules = {"feedbackRules": [{"type": "WellKnownStatus"}]}
    was = [{"resourceIdentifier": identifier, **rules}]
    host.kube.change(f"{WORKS}/web", "ops", {"spec": {"manifestConfigs": was}})
    host, one, before, fault = begun("kube-pause.ocm", host)
    spec = host.kube.there[f"{WORKS}/web"]["spec"]
    assert spec["manifestConfigs"] == [{"resourceIdentifier": identifier, **rules,
                                        "updateStrategy": {"type": "CreateOnly"}}]  # fmt: skip
    ended(host, one, before, fault)
    assert host.kube.there[f"{WORKS}/web"]["spec"]["manifestConfigs"] == was
