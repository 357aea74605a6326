# SPDX-License-Identifier: Apache-2.0
"""What probes see that watch a cluster, against a real API server.

k8gb's and the delivery tools' own controllers are not there: the tests write their status.
"""

from __future__ import annotations

import threading
from typing import Any

import pytest

from gameday import clock
from gameday.probes import TABLE
from gameday.probes.base import Value
from gameday.probes.params import build
from tests.kube.apiserver import ApiServer
from tests.kube.watching import (
    GSLBS,
    NS,
    gslb,
    look,
    make_gslb,
    make_node,
    reason,
    set_health,
    set_ready,
    telling,
    watching,
)
from tests.unit.probes.kube_fake import healthy


def test_nodes_readiness_cordons_and_leases(apiserver: ApiServer) -> None:
    make_node(apiserver, "nodes-1")
    make_node(apiserver, "nodes-2")
    lease = {"metadata": {"name": "nodes-1"}, "spec": {"leaseDurationSeconds": 40}}
    apiserver.request("POST", NS, {"metadata": {"name": "kube-node-lease"}})
    leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
    apiserver.done("POST", leases, lease)
    with watching(apiserver, "kube-nodes", nodes=["nodes-1", "nodes-2"]) as watched:
        found = look(watched)
        assert found == Value({
            "healthy": True, "nodes": 2, "ready": 2, "not_ready": [], "cordoned": [], "late": [],
            "lease_age_s": 0, "watch": "",
        })  # fmt: skip
        found = telling(watched, lambda: set_ready(apiserver, "nodes-2", "Unknown"))
        assert healthy(found) is False and found.value["not_ready"] == ["nodes-2"]
        first, change = watched[1].all[:2]
        assert first[2] <= change[1] <= change[2], "from the end of the look that saw it ready"
        cordon = {"spec": {"unschedulable": True}}
        found = telling(watched, lambda: apiserver.done("PATCH", "/api/v1/nodes/nodes-1", cordon))
        assert found.value["cordoned"] == ["nodes-1"]
    with watching(apiserver, "kube-nodes", nodes=["nodes-1", "nobody"], min_ready=1) as watched:
        found = look(watched)
        assert healthy(found) is False and found.value["not_ready"] == ["nobody"]


def test_endpoints_replicas_and_pods(apiserver: ApiServer) -> None:
    apiserver.done("POST", NS, {"metadata": {"name": "pods"}})
    labels = {"app": "ingress"}
    pod = {"containers": [{"name": "c", "image": "i"}]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    deployments = "/apis/apps/v1/namespaces/pods/deployments"
    apiserver.done("POST", deployments, {"metadata": {"name": "ingress"}, "spec": spec})
    apiserver.done("PATCH", f"{deployments}/ingress/status",
                   {"status": {"replicas": 2, "readyReplicas": 2}})  # fmt: skip
    slices = "/apis/discovery.k8s.io/v1beta1/namespaces/pods/endpointslices"
    one = {
        "metadata": {"name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.1.0.1"], "conditions": {"ready": True}},
                      {"addresses": ["10.1.0.2"], "conditions": {"ready": False}}],
    }  # fmt: skip
    apiserver.done("POST", slices, one)
    pods = f"{NS}/pods/pods"
    apiserver.done("POST", pods, {"metadata": {"name": "p-1", "labels": labels}, "spec": pod})
    params = {"namespace": "pods", "service": "web", "workload": "Deployment/ingress",
              "pods": "app=ingress"}  # fmt: skip
    with watching(apiserver, "kube-pods", **params) as watched:
        assert look(watched) == Value({
            "healthy": True, "ready": 1, "endpoints_ready": 1, "replicas_ready": 2,
            "replicas_wanted": 2, "pods_ready": 0, "pods_not_ready": ["p-1"], "watch": "",
        })  # fmt: skip
        scale = {"spec": {"replicas": 0}}
        found = telling(
            watched, lambda: apiserver.done("PATCH", f"{deployments}/ingress/scale", scale)
        )
        assert found.value["replicas_wanted"] == 0 and healthy(found) is True
        gone = {"endpoints": []}
        found = telling(watched, lambda: apiserver.done("PATCH", f"{slices}/web-1", gone))
        assert healthy(found) is False


def test_gslb_of_which_nobody_has_written_is_unknown(apiserver: ApiServer) -> None:
    make_gslb(apiserver, "gslb-a", health="")
    with gslb(apiserver, "gslb-a") as watched:
        assert reason(look(watched)) == "no-status"
        found = telling(watched, lambda: set_health(apiserver, "gslb-a", "Healthy"))
        assert healthy(found) is True and found.value["addresses"] == ["198.18.10.11"]
        found = telling(watched, lambda: set_health(apiserver, "gslb-a", "NotFound"))
        assert healthy(found) is False and found.value["hosts"] == ["app.test: NotFound"]
        apiserver.done("DELETE", f"{GSLBS.format('gslb-a')}/app")
        assert healthy(look(watched)) is False


MANIFEST = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "x"}}


def said(kind: str) -> dict[str, str]:
    """A condition that holds."""
    return {"type": kind, "status": "True", "reason": "x", "message": "x",
            "lastTransitionTime": "2026-01-01T00:00:00Z"}  # fmt: skip


@pytest.mark.parametrize(
    ("tool", "path", "kind", "body", "good", "paused"),
    [
        ("fleet", "/apis/fleet.cattle.io/v1alpha1/namespaces/tools/gitrepos", "GitRepo",
         {"spec": {"repo": "https://git.test/fleet"}},
         {"conditions": [{"type": "Ready", "status": "True"}]}, {"spec": {"paused": True}}),
        ("fleet", "/apis/fleet.cattle.io/v1alpha1/namespaces/tools/clusters", "Cluster",
         {"spec": {}},
         {"conditions": [{"type": "Ready", "status": "True"}]}, {"spec": {"paused": True}}),
        ("argocd", "/apis/argoproj.io/v1alpha1/namespaces/tools/applications", "Application",
         {"spec": {"project": "default", "source": {"repoURL": "https://git.test/x"},
                   "destination": {"namespace": "x"},
                   "syncPolicy": {"automated": {"prune": True}}}},
         {"health": {"status": "Healthy"}, "sync": {"status": "Synced"}},
         {"spec": {"syncPolicy": {"automated": None}}}),
        ("ocm", "/apis/work.open-cluster-management.io/v1/namespaces/tools/manifestworks",
         "ManifestWork", {"spec": {"workload": {"manifests": [MANIFEST]}}},
         {"conditions": [said("Applied"), said("Available")]},
         {"spec": {"manifestConfigs": [{
             "resourceIdentifier": {"resource": "configmaps", "name": "x", "namespace": "x"},
             "updateStrategy": {"type": "CreateOnly"}}]}}),
    ],
    ids=["fleet-gitrepo", "fleet-cluster", "argocd", "ocm"],
)  # fmt: skip
def test_delivery_tools_say_how_they_do_and_whether_they_are_paused(  # noqa: PLR0917
    apiserver: ApiServer, tool: str, path: str, kind: str, body: dict[str, Any],
    good: dict[str, Any], paused: dict[str, Any],
) -> None:  # fmt: skip
    apiserver.crds(kind)
    apiserver.request("POST", NS, {"metadata": {"name": "tools"}})
    group = path.removeprefix("/apis/").split("/")
    named = {"apiVersion": f"{group[0]}/{group[1]}", "kind": kind, "metadata": {"name": "site"}}
    apiserver.done("POST", path, {**named, **body})
    status = f"{path}/site/status"
    if apiserver.request("GET", status)[0] != 200:
        # Argo CD's Application has no status subresource: its status is written with the rest.
        status = f"{path}/site"
    params = {"tool": tool, "namespace": "tools", "objects": [f"{kind}/site"]}
    with watching(apiserver, "kube-delivery", **params) as watched:
        found = look(watched)
        assert healthy(found) is False and found.value["unhealthy"] == [f"{kind}/site"]
        found = telling(watched, lambda: apiserver.done("PATCH", status, {"status": good}))
        assert healthy(found) is True and found.value["paused"] == []
        found = telling(watched, lambda: apiserver.done("PATCH", f"{path}/site", paused))
        assert healthy(found) is True and found.value["paused"] == [f"{kind}/site"]


def test_events_are_received_and_counted_again(apiserver: ApiServer) -> None:
    apiserver.done("POST", NS, {"metadata": {"name": "events"}})
    path = f"{NS}/events/events"

    def event(name: str, why: str) -> None:
        about = {"kind": "Pod", "name": "web-0", "namespace": "events"}
        apiserver.done("POST", path, {
            "metadata": {"name": name}, "involvedObject": about, "reason": why, "count": 1,
            "type": "Warning", "message": "probe failed",
        })  # fmt: skip

    event("old", "Before")
    heard: list[tuple[str, Any, int, int]] = []
    more = threading.Condition()

    def emit(target: str, outcome: Any, since_ns: int | None = None) -> None:
        with more:
            now = clock.mono_ns()
            heard.append((target, outcome, since_ns if since_ns is not None else now, now))
            more.notify_all()

    cluster = {"kubeconfig": str(apiserver.kubeconfig), "context": apiserver.context,
               "in_cluster": False}  # fmt: skip
    kind = TABLE["kube-events"]
    params = build(kind.Params, {"site": "frankfurt", "namespace": "events", "cluster": cluster})
    ears = kind.listen(params, emit)
    try:
        assert ears.trouble() == "" and heard == [], "what was there before is no news"
        event("new", "Unhealthy")
        with more:
            assert more.wait_for(lambda: heard, 10)
        target, outcome, since, now = heard[0]
        assert (target, outcome.value["message"]) == ("Unhealthy", "probe failed")
        assert "object=Pod/web-0" in outcome.value["labels"] and since < now
        apiserver.done("PATCH", f"{path}/new", {"count": 2})
        with more:
            assert more.wait_for(lambda: len(heard) == 2, 10)
        assert heard[1][1].value["count"] == 2
        apiserver.stop()
        assert ears.trouble().startswith("refused: events")
    finally:
        ears.close()
        apiserver.start()


def test_a_managed_cluster_is_healthy_where_its_hub_says_so(apiserver: ApiServer) -> None:
    apiserver.crds("ManagedCluster")
    path = "/apis/cluster.open-cluster-management.io/v1/managedclusters"
    body = {"apiVersion": "cluster.open-cluster-management.io/v1", "kind": "ManagedCluster",
            "metadata": {"name": "london"}, "spec": {"hubAcceptsClient": True}}  # fmt: skip
    apiserver.done("POST", path, body)
    status = {"status": {"conditions": [said("ManagedClusterConditionAvailable")]}}
    objects = ["ManagedCluster/london", "ManagedCluster/paris"]
    with (
        watching(apiserver, "kube-delivery", tool="ocm") as all_of_them,
        watching(apiserver, "kube-delivery", tool="ocm", objects=objects) as named,
    ):
        assert healthy(look(all_of_them)) is False
        found = telling(
            all_of_them, lambda: apiserver.done("PATCH", f"{path}/london/status", status)
        )
        assert healthy(found) is True and found.value["paused"] == []
        assert look(named).value["unhealthy"] == ["ManagedCluster/paris"]
