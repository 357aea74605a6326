# SPDX-License-Identifier: Apache-2.0
"""What is read of a cluster's objects, and that nothing is made up where they do not say it."""

from __future__ import annotations

import pytest

from gameday.plan.kube_nodes import Answers, Cluster, Etcd, read_cluster
from tests.unit.plan.cluster_objects import etcd_pod, node, pod

NODES = [
    node("fra-2", 2, "frankfurt", "fra-b", unschedulable=True),
    node("fra-1", 1, "frankfurt", "fra-a", ("control-plane", "master")),
]


def test_a_node() -> None:
    cluster = read_cluster(Answers(NODES, [etcd_pod("fra-1")], [], []))
    first, second = cluster.nodes
    assert first.name == "fra-1"
    assert first.addresses == ("10.1.0.1", "fd00:1::1"), "both families, each in its usual form"
    assert first.networks == ("10.244.1.0/24", "fd00:244:1::/64")
    assert (first.roles, second.roles) == (("control-plane", "etcd"), ("worker",))
    assert (first.etcd, second.etcd) == (Etcd(2379, 100, 1000), None)
    assert (first.cordoned, second.cordoned) == (False, True)
    assert (first.ready, cluster.notes, cluster.checked) == ("True", (), True)


def test_a_node_that_says_nothing() -> None:
    cluster = read_cluster(Answers([{"metadata": {"name": "bare"}}], [], [], []))
    (one,) = cluster.nodes
    assert (one.addresses, one.networks, one.roles, one.ready) == ((), (), ("worker",), "Unknown")
    assert [note.split(":")[0] for note in cluster.notes] == [
        "no etcd member is visible (external, or not run as pods)",
        "no pod networks are known of bare",
    ]


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (etcd_pod("fra-1", "--heartbeat-interval=250", "--election-timeout=2500",
                  "--listen-client-urls=https://127.0.0.1:2379,https://10.1.0.1:12379"),
         Etcd(12379, 250, 2500)),
        (etcd_pod("fra-1", env={"ETCD_HEARTBEAT_INTERVAL": "300", "ETCD_ELECTION_TIMEOUT": "3000"}),
         Etcd(2379, 300, 3000)),
        (etcd_pod("fra-1", "--listen-client-urls=unix:///run/etcd.sock"), Etcd()),
    ],
)  # fmt: skip
def test_etcd_as_it_was_started(made: dict[str, object], expected: Etcd) -> None:
    assert read_cluster(Answers(NODES, [made])).nodes[0].etcd == expected


def test_etcd_by_label_where_pods_are_not_shown() -> None:
    cluster = read_cluster(
        Answers([node("k3s-1", 1, roles=("etcd", "control-plane"))], "forbidden")
    )
    assert cluster.nodes[0].etcd == Etcd()
    assert cluster.notes == (
        "pods of kube-system could not be listed (forbidden): etcd members are known by label only",
    )


def test_pods_contradict_a_podcidr() -> None:
    """Calico's own IPAM, say: the node's podCIDR belongs to nobody, and is not taken."""
    pods = [
        pod("fra-1", "10.244.1.7", "fd00:244:1::7"), pod("fra-2", "172.16.9.9"),
        pod("fra-2", "10.1.0.2", hostNetwork=True),
        {**pod("fra-1"), "status": {"phase": "Succeeded", "podIPs": [{"ip": "9.9.9.9"}]}},
    ]  # fmt: skip
    cluster = read_cluster(Answers(NODES, [etcd_pod("fra-1")], pods, []))
    assert [one.networks for one in cluster.nodes] == [("10.244.1.0/24", "fd00:244:1::/64"), ()]
    assert "such as 172.16.9.9 on fra-2" in cluster.notes[0]
    assert "no pod networks are known of fra-2" in cluster.notes[1]


def test_cilium_knows_better() -> None:
    own = [{"metadata": {"name": "fra-1"}, "spec": {"ipam": {"podCIDRs": ["10.0.3.0/24"]}}}]
    cluster = read_cluster(Answers(NODES, [etcd_pod("fra-1")], None, own))
    assert cluster.nodes[0].networks == ("10.0.3.0/24",)
    assert cluster.checked


def test_pods_that_nobody_may_list() -> None:
    cluster = read_cluster(Answers(NODES, [etcd_pod("fra-1")], "forbidden", "forbidden"))
    assert cluster.nodes[0].networks, "as the node says"
    assert not cluster.checked
    assert "were not compared" in cluster.notes[0]


def test_nodes_only() -> None:
    cluster: Cluster = read_cluster(Answers(NODES))
    assert [one.name for one in cluster.nodes] == ["fra-1", "fra-2"]
    assert not cluster.checked
