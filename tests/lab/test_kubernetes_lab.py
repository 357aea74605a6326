# SPDX-License-Identifier: Apache-2.0
"""A lab with a Kubernetes cluster per site, asked as gameday asks: over the management network.

The API servers are real (1.20, no supported version); kubelets, controllers, k8gb and Fleet are the
lab's own. A lab of its own, since the other tests' has no clusters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gameday import clock
from gameday.lab import Lab
from gameday.lab import topology as t
from gameday.lab.parts import kube_objects, kubernetes
from gameday.plan.inventory import load_inventory
from gameday.probes.kube_client import MERGE_PATCH, Client
from gameday.transport import netns
from tests.lab.conftest import NAME

WAIT_S = 60
"""Everything here takes a few seconds, and longer on a machine that others use."""

DEPLOYMENT = "/apis/apps/v1/namespaces/ingress/deployments/ingress"
GSLB = "/apis/k8gb.absa.oss/v1beta1/namespaces/ingress/gslbs/app"
SLICE = "/apis/discovery.k8s.io/v1beta1/namespaces/ingress/endpointslices/ingress-lab"
HTTP = (
    "import http.client, sys; c = http.client.HTTPConnection(sys.argv[1], timeout=3)\n"
    "c.request('GET', '/healthz/deep'); sys.stdout.write(str(c.getresponse().status))"
)
ADDRESS = {one.site: t.v4(one) for one in t.with_role("ingress")}


class Clusters:
    """Every site's API, as the controller reaches it: from its own network namespace."""

    def __init__(self, lab: Lab) -> None:
        inventory = load_inventory(lab.inventory)
        handle = str(lab.state / "ctl.netns")
        # One thread is moved there, and the clients stay with it.
        self._inside = ThreadPoolExecutor(1, initializer=netns.enter, initargs=(handle,))
        self._clients = {}
        for site in kubernetes.sites():
            cluster = inventory.cluster(site)
            assert cluster is not None, site
            self._clients[site] = Client(cluster)

    def close(self) -> None:
        for client in self._clients.values():
            self._inside.submit(client.close).result()
        self._inside.shutdown()

    def get(self, site: str, path: str) -> dict[str, Any]:
        return self._inside.submit(self._clients[site].request, "GET", path).result()

    def patch(self, site: str, path: str, body: Any) -> None:
        self._inside.submit(
            self._clients[site].request, "PATCH", path, body, content_type=MERGE_PATCH
        ).result()

    def ready(self, site: str) -> dict[str, str]:
        """Node to the status of its condition Ready."""
        return {
            one["metadata"]["name"]: each["status"]
            for one in self.get(site, "/api/v1/nodes")["items"]
            for each in one["status"]["conditions"] if each["type"] == "Ready"
        }  # fmt: skip

    def word(self, site: str) -> str:
        """k8gb's on the app, of that site."""
        return str(self.get(site, GSLB).get("status", {}).get("serviceHealth", {}).get(t.APP_NAME))


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """With clusters, and without what they do not need."""
    one = Lab(f"{NAME}_kubernetes")
    one.down()
    one.up(without=["monitoring"], also=["kubernetes"])
    yield one
    one.down()


@pytest.fixture
def clusters(lab: Lab) -> Iterator[Clusters]:
    one = Clusters(lab)
    yield one
    one.close()


def wait(condition: Callable[[], bool], what: str) -> int:
    """Until it holds; nanoseconds that it took."""
    begin = clock.mono_ns()
    while not condition():
        assert clock.mono_ns() - begin < WAIT_S * clock.NS_PER_S, f"not in time: {what}"
        clock.sleep_until_mono(clock.mono_ns() + 200 * clock.NS_PER_MS)
    return clock.mono_ns() - begin


def serves(lab: Lab, site: str) -> bool:
    """Whether a user gets an answer from that site's ingress."""
    done = lab.exec("cli-1", ["/usr/bin/python3", "-c", HTTP, ADDRESS[site]])
    return done.stdout == "200"


def test_every_site_has_its_own_cluster_of_ready_nodes_that_say_where_they_stand(
    lab: Lab, clusters: Clusters
) -> None:
    assert lab.status()["problems"] == []
    for site in kubernetes.sites():
        names = {one.name for one in kubernetes.members(site)}
        assert clusters.ready(site) == dict.fromkeys(names, "True")
        for node in clusters.get(site, "/api/v1/nodes")["items"]:
            own = t.node(node["metadata"]["name"])
            labels = node["metadata"]["labels"]
            assert labels[kube_objects.ZONE_LABEL] == site
            assert labels[kube_objects.REGION_LABEL] == kube_objects.REGION
            assert labels[kube_objects.RACK_LABEL] == t.rack(own)
            found = {each["address"] for each in node["status"]["addresses"]}
            assert found == {t.v4(own), t.v6(own), own.name}
    path = "/apis/fleet.cattle.io/v1alpha1/namespaces/fleet-local/gitrepos/platform"

    def state() -> object:
        status = clusters.get("amsterdam", path).get("status", {})
        return status.get("display", {}).get("state")

    wait(lambda: state() == "Ready", "Fleet's status says so")


def test_an_ingress_scaled_to_zero_takes_its_site_down_for_its_users(
    lab: Lab, clusters: Clusters
) -> None:
    assert serves(lab, "frankfurt")
    wait(lambda: clusters.word("frankfurt") == "Healthy", "k8gb's status says so")
    clusters.patch("frankfurt", DEPLOYMENT, {"spec": {"replicas": 0}})
    wait(lambda: not serves(lab, "frankfurt"), "users get no answer")
    wait(lambda: clusters.word("frankfurt") == "Unhealthy", "k8gb's status says so")
    wait(lambda: not clusters.get("frankfurt", SLICE).get("endpoints"), "no endpoint is left")
    assert clusters.get("frankfurt", DEPLOYMENT)["status"].get("readyReplicas", 0) == 0
    records = clusters.get("frankfurt", GSLB)["status"]["healthyRecords"][t.APP_NAME]
    assert records == [ADDRESS["london"]]
    assert serves(lab, "london") and clusters.word("london") == "Healthy", "only this site"
    wait(
        lambda: (
            ADDRESS["frankfurt"]
            not in clusters.get("london", GSLB)["status"]["healthyRecords"][t.APP_NAME]
        ),
        "the other site's k8gb sees it",
    )
    assert any("frankfurt" in line for line in lab.status()["problems"])
    clusters.patch("frankfurt", DEPLOYMENT, {"spec": {"replicas": 1}})
    wait(lambda: serves(lab, "frankfurt"), "users are served again")
    wait(lambda: clusters.word("frankfurt") == "Healthy", "k8gb's status says so again")
    wait(lambda: lab.status()["problems"] == [], "all of the lab is well")


def test_a_node_cut_off_on_the_data_network_is_not_ready_and_its_ingress_goes_on(
    lab: Lab, clusters: Clusters
) -> None:
    """The kubelet talks over the site's network, the controller over management."""
    server = t.v4(kubernetes.sites()["london"])
    rule = ["OUTPUT", "-d", server, "-p", "tcp", "--dport", str(t.KUBERNETES_PORT), "-j", "DROP"]
    assert lab.exec("lon-2", ["iptables", "-w", "-A", *rule]).returncode == 0
    try:
        wait(lambda: clusters.ready("london")["lon-2"] == "Unknown", "its Lease is too old")
        assert clusters.ready("london")["lon-1"] == "True"
        wait(lambda: clusters.word("london") == "Unhealthy", "k8gb withdraws it")
        assert serves(lab, "london"), "users of the address are served as before"
    finally:
        assert lab.exec("lon-2", ["iptables", "-w", "-D", *rule]).returncode == 0
    wait(lambda: clusters.ready("london")["lon-2"] == "True", "it is heard of again")
    wait(lambda: lab.status()["problems"] == [], "all of the lab is well")


def test_down_leaves_nothing(lab: Lab) -> None:
    """The last test here."""
    lab.down()
    assert lab.processes() == []
    assert not Path(lab.state).exists()
