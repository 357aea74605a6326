# SPDX-License-Identifier: Apache-2.0
"""A lab with a Kubernetes cluster per site, asked as gameday asks: over the management network.

The API servers are real (1.20, no supported version); kubelets, controllers, k8gb and Fleet are the
lab's own. A lab of its own, since the other tests' has no clusters.
"""

from __future__ import annotations

from pathlib import Path

from gameday.lab import Lab
from gameday.lab import topology as t
from gameday.lab.parts import kube_objects, kubernetes
from tests.lab.clusters import ADDRESS, DEPLOYMENT, GIT_REPO, GSLB, Clusters, serves, wait

SLICE = "/apis/discovery.k8s.io/v1beta1/namespaces/ingress/endpointslices/ingress-lab"


def test_every_site_has_its_own_cluster_of_ready_nodes_that_say_where_they_stand(
    kube_lab: Lab, clusters: Clusters
) -> None:
    assert kube_lab.status()["problems"] == []
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

    def state() -> object:
        status = clusters.get("amsterdam", GIT_REPO).get("status", {})
        return status.get("display", {}).get("state")

    wait(lambda: state() == "Ready", "Fleet's status says so")


def test_an_ingress_scaled_to_zero_takes_its_site_down_for_its_users(
    kube_lab: Lab, clusters: Clusters
) -> None:
    assert serves(kube_lab, "frankfurt")
    wait(lambda: clusters.word("frankfurt") == "Healthy", "k8gb's status says so")
    clusters.patch("frankfurt", DEPLOYMENT, {"spec": {"replicas": 0}})
    wait(lambda: not serves(kube_lab, "frankfurt"), "users get no answer")
    wait(lambda: clusters.word("frankfurt") == "Unhealthy", "k8gb's status says so")
    wait(lambda: not clusters.get("frankfurt", SLICE).get("endpoints"), "no endpoint is left")
    assert clusters.get("frankfurt", DEPLOYMENT)["status"].get("readyReplicas", 0) == 0
    records = clusters.get("frankfurt", GSLB)["status"]["healthyRecords"][t.APP_NAME]
    assert records == [ADDRESS["london"]]
    assert serves(kube_lab, "london") and clusters.word("london") == "Healthy", "only this site"
    wait(
        lambda: (
            ADDRESS["frankfurt"]
            not in clusters.get("london", GSLB)["status"]["healthyRecords"][t.APP_NAME]
        ),
        "the other site's k8gb sees it",
    )
    assert any("frankfurt" in line for line in kube_lab.status()["problems"])
    clusters.patch("frankfurt", DEPLOYMENT, {"spec": {"replicas": 1}})
    wait(lambda: serves(kube_lab, "frankfurt"), "users are served again")
    wait(lambda: clusters.word("frankfurt") == "Healthy", "k8gb's status says so again")
    wait(lambda: kube_lab.status()["problems"] == [], "all of the lab is well")


def test_a_node_cut_off_on_the_data_network_is_not_ready_and_its_ingress_goes_on(
    kube_lab: Lab, clusters: Clusters
) -> None:
    """The kubelet talks over the site's network, the controller over management."""
    server = t.v4(kubernetes.sites()["london"])
    rule = ["OUTPUT", "-d", server, "-p", "tcp", "--dport", str(t.KUBERNETES_PORT), "-j", "DROP"]
    assert kube_lab.exec("lon-2", ["iptables", "-w", "-A", *rule]).returncode == 0
    try:
        wait(lambda: clusters.ready("london")["lon-2"] == "Unknown", "its Lease is too old")
        assert clusters.ready("london")["lon-1"] == "True"
        wait(lambda: clusters.word("london") == "Unhealthy", "k8gb withdraws it")
        assert serves(kube_lab, "london"), "users of the address are served as before"
    finally:
        assert kube_lab.exec("lon-2", ["iptables", "-w", "-D", *rule]).returncode == 0
    wait(lambda: clusters.ready("london")["lon-2"] == "True", "it is heard of again")
    wait(lambda: kube_lab.status()["problems"] == [], "all of the lab is well")


def test_down_leaves_nothing(kube_lab: Lab) -> None:
    """The last test here."""
    kube_lab.down()
    assert kube_lab.processes() == []
    assert not Path(kube_lab.state).exists()
