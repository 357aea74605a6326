# SPDX-License-Identifier: Apache-2.0
"""The lab's own controllers of a site, against a real API server; the test is the kubelet.

tests/lab has them in a whole lab, with the lab's kubelet. Kubernetes 1.20, no supported version.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gameday import clock
from gameday.lab import topology as t
from tests.kube.apiserver import ApiServer
from tests.kube.played import (
    DEPLOYMENT,
    FLEET,
    GSLB,
    INGRESS,
    NODE,
    PODS,
    beat,
    bury,
    controllers,
    health,
    pods,
    run_pod,
    site_at_work,
)

OWN_SERVICE = "/api/v1/namespaces/default/services/kubernetes"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the site's files are; what its controllers are told is in "controllers"."""
    return tmp_path_factory.mktemp("site")


@pytest.fixture(scope="module")
def site(home: Path) -> Iterator[ApiServer]:
    """A site's API server with its controllers; one node, that nothing renews the Lease of."""
    with site_at_work(home) as server:
        yield server


def until(server: ApiServer, condition: Callable[[], bool], what: str, beats: bool = True) -> None:
    """Wait, with or without heartbeats meanwhile."""

    def look() -> bool:
        if beats:
            beat(server)
        return condition()

    server.wait(look, what)


def serve(server: ApiServer) -> str:
    """Play the kubelet until one pod is bound and ready; its name."""

    def bound() -> bool:
        bury(server)
        return any(one["spec"].get("nodeName") == NODE for one in pods(server))

    until(server, bound, "a pod is bound")
    (one,) = [each for each in pods(server) if each["spec"].get("nodeName")]
    run_pod(server, one)
    until(server, lambda: health(server) == "Healthy", "k8gb's status says healthy")
    return str(one["metadata"]["name"])


def test_scaled_to_zero_and_back(site: ApiServer) -> None:
    name = serve(site)
    found = site.done("GET", DEPLOYMENT)["status"]
    assert (found["readyReplicas"], found["replicas"]) == (1, 1)
    assert site.done("GET", GSLB)["status"]["healthyRecords"] == {t.APP_NAME: [INGRESS]}
    site.done("PATCH", DEPLOYMENT, {"spec": {"replicas": 0}})
    until(
        site, lambda: "deletionTimestamp" in site.done("GET", f"{PODS}/{name}")["metadata"],
        "the pod has to go",
    )  # fmt: skip
    until(site, lambda: health(site) == "Unhealthy", "k8gb's status says so")
    assert site.done("GET", GSLB)["status"]["healthyRecords"] == {t.APP_NAME: []}
    bundle = f"{FLEET}/bundles/platform-ingress"
    until(
        site, lambda: site.done("GET", bundle)["status"]["display"]["state"] == "Modified",
        "Fleet says that it was changed by hand",
    )  # fmt: skip
    assert site.done("GET", DEPLOYMENT)["spec"]["replicas"] == 0, "and leaves it"
    site.done("PATCH", DEPLOYMENT, {"spec": {"replicas": 1}})
    assert serve(site) != name
    until(
        site, lambda: site.done("GET", bundle)["status"]["display"]["state"] == "Ready",
        "Fleet is content",
    )  # fmt: skip


def test_nothing_is_written_while_nothing_happens(site: ApiServer) -> None:
    """A watch of them tells only what happened."""
    serve(site)
    written = (
        DEPLOYMENT, GSLB, f"{FLEET}/gitrepos/platform", f"{FLEET}/bundles/platform-ingress",
        "/apis/discovery.k8s.io/v1beta1/namespaces/ingress/endpointslices/ingress-lab",
    )  # fmt: skip

    def versions() -> list[str]:
        return [site.done("GET", path)["metadata"]["resourceVersion"] for path in written]

    until(site, lambda: settled(site, versions), "no version changes for two seconds")


def settled(server: ApiServer, versions: Callable[[], list[str]]) -> bool:
    before = versions()
    for _ in range(8):
        beat(server)
        clock.sleep_until_mono(clock.mono_ns() + 250 * clock.NS_PER_MS)
    return versions() == before


def test_fleet_corrects_drift_where_it_is_asked_to_and_not_while_paused(site: ApiServer) -> None:
    serve(site)
    repo = f"{FLEET}/gitrepos/platform"
    site.done("PATCH", repo, {"spec": {"correctDrift": {"enabled": True}, "paused": True}})
    site.done("PATCH", DEPLOYMENT, {"spec": {"replicas": 0}})
    until(
        site, lambda: site.done("GET", repo)["status"]["display"]["state"] == "Modified",
        "a paused one says so",
    )  # fmt: skip
    assert site.done("GET", DEPLOYMENT)["spec"]["replicas"] == 0
    site.done("PATCH", repo, {"spec": {"paused": False}})
    until(
        site, lambda: site.done("GET", DEPLOYMENT)["spec"]["replicas"] == 1, "it is put back"
    )  # fmt: skip
    site.done("PATCH", repo, {"spec": {"correctDrift": {"enabled": False}}})


def test_a_drained_node_takes_no_pod_until_it_is_uncordoned(site: ApiServer) -> None:
    name = serve(site)
    site.done("PATCH", f"/api/v1/nodes/{NODE}", {"spec": {"unschedulable": True}})
    site.done("POST", f"{PODS}/{name}/eviction", {
        "apiVersion": "policy/v1beta1", "kind": "Eviction", "metadata": {"name": name},
    })  # fmt: skip
    until(
        site, lambda: any(not one["spec"].get("nodeName") for one in pods(site)),
        "another pod waits for a node",
    )  # fmt: skip
    until(site, lambda: health(site) == "Unhealthy", "no endpoint is ready")
    site.done("PATCH", f"/api/v1/nodes/{NODE}", {"spec": {"unschedulable": None}})
    assert serve(site) != name


def test_a_node_that_is_not_heard_of_is_not_ready_and_neither_are_its_pods(
    site: ApiServer,
) -> None:
    serve(site)

    def ready() -> str:
        found = site.done("GET", f"/api/v1/nodes/{NODE}")["status"]["conditions"]
        return next(str(one["status"]) for one in found if one["type"] == "Ready")

    begin = clock.mono_ns()
    site.wait(lambda: ready() == "Unknown", "its Lease is too old")
    assert clock.mono_ns() - begin > 4 * clock.NS_PER_S, "not before its grace is over"
    site.wait(lambda: health(site) == "Unhealthy", "what runs there serves nobody")

    def taints() -> set[str]:
        spec = site.done("GET", f"/api/v1/nodes/{NODE}")["spec"]
        return {one["key"] for one in spec.get("taints", [])}

    site.wait(lambda: taints() == {"node.kubernetes.io/unreachable"}, "it is tainted as such")
    events = site.done("GET", "/api/v1/namespaces/default/events")["items"]
    assert "NodeNotReady" in {one["reason"] for one in events}
    until(site, lambda: not taints(), "it is heard of again")


def test_nothing_is_made_before_the_api_server_has_its_own_service(
    site: ApiServer, home: Path
) -> None:
    """It makes that late, a few seconds here; another Service could be given its address."""
    late = home / "late"
    shutil.copytree(home / "controllers", late)
    maps = "/api/v1/namespaces/default/configmaps"
    first = {"path": maps, "object": {"metadata": {"name": "first"}}}
    (late / "objects.json").write_text(json.dumps([first]))
    site.done("DELETE", OWN_SERVICE)
    with controllers(late):
        site.wait(lambda: site.request("GET", f"{maps}/first")[0] == 200, "the site has begun")
    versions = [
        int(site.done("GET", path)["metadata"]["resourceVersion"])
        for path in (OWN_SERVICE, f"{maps}/first")
    ]
    assert versions == sorted(versions), "the revisions of etcd at which they were made"


def test_the_controllers_go_on_where_the_api_server_was_away(site: ApiServer) -> None:
    serve(site)
    site.stop()
    site.start()
    site.done("PATCH", DEPLOYMENT, {"spec": {"replicas": 0}})
    until(site, lambda: health(site) == "Unhealthy", "they obey again")
    site.done("PATCH", DEPLOYMENT, {"spec": {"replicas": 1}})
    serve(site)
