# SPDX-License-Identifier: Apache-2.0
"""Every way in which an inventory and its clusters can say different things, and unknown ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gameday.plan.advice import UNKNOWN, WEAK, WRONG
from gameday.plan.estate import Inventory, Node
from gameday.plan.kube_drift import Asked, drift
from gameday.plan.kube_nodes import Answers, read_cluster
from tests.unit.plan.cluster_objects import node, pod


def listed(name: str, number: int, site: str = "fra", **other: Any) -> Node:
    plain = Node(
        name=name, host=f"192.168.0.{number}", port=22, user="ops", key_file=None, python="python3",
        site=site, racks=(), roles=("worker",), groups=(),
        addresses=(f"10.1.0.{number}", f"fd00:1::{number:x}"), vantage_only=False,
        networks=(f"10.244.{number}.0/24", f"fd00:244:{number}::/64"),
    )  # fmt: skip
    return replace(plain, **other)


def estate(*nodes: Node) -> Inventory:
    return Inventory("inventory.yaml", nodes, (), "known", (), None, ())


def asked(*nodes: dict[str, Any], pods: bool = True, sites: tuple[str, ...] = ("fra",)) -> Asked:
    running = [pod(one["metadata"]["name"]) for one in nodes] if pods else None
    return Asked(sites, "kube", read_cluster(Answers(list(nodes), [], running, [])))


def said(inventory: Inventory, *clusters: Asked) -> list[str]:
    return [str(one) for one in drift(inventory, list(clusters))]


def changed(one: dict[str, Any], **status: Any) -> dict[str, Any]:
    return {**one, "status": {**one["status"], **status}}


def internal(*addresses: str) -> list[dict[str, str]]:
    return [{"type": "InternalIP", "address": one} for one in addresses]


def test_alike_is_no_finding() -> None:
    router = listed("rtr", 9, roles=("router",))
    client = listed("cli", 8, vantage_only=True)
    away = listed("lon-1", 7, "lon")
    inventory = estate(listed("a", 1), listed("b", 2, racks=("x",)), router, client, away)
    assert said(inventory, asked(node("a", 1, "fra", "fra"), node("b", 2, "fra", "x"))) == []


@pytest.mark.parametrize(
    ("inventory", "cluster", "expected"),
    [
        (estate(listed("a", 1), listed("b", 2)), asked(node("a", 1)),
         (WEAK, "b", "is not in the cluster kube")),
        (estate(listed("a", 1, groups=("k8s_cluster",)), listed("b", 2, groups=("k8s_cluster",))),
         asked(node("a", 1)), (WRONG, "b", "is not in the cluster kube")),
        (estate(listed("a", 1)), asked(node("a", 1), node("b", 2)),
         (WRONG, "b", "is in the cluster kube and not in the inventory")),
        (estate(listed("a", 1), listed("b", 2, "lon")), asked(node("a", 1), node("b", 2)),
         (WRONG, "b", "is in lon, and in the cluster kube of fra")),
        (estate(listed("a", 1)),
         asked(changed(node("a", 1), addresses=internal("10.1.0.1", "fd00:1::1", "10.7.7.7"))),
         (WRONG, "a", "has the InternalIP 10.7.7.7, which is not in gameday_addresses")),
        (estate(listed("a", 1)),
         asked(changed(node("a", 1), addresses=internal("10.1.0.1", "192.168.0.1"))),
         (WEAK, "a", "its InternalIP 192.168.0.1 is its management address")),
        (estate(listed("a", 1, networks=("10.9.0.0/24",))), asked(node("a", 1)),
         (WRONG, "a", "its pods are in 10.244.1.0/24, fd00:244:1::/64, and gameday_networks has "
                      "10.9.0.0/24")),
        (estate(listed("a", 1, networks=())), asked(node("a", 1)),
         (WEAK, "a", "its pods are in 10.244.1.0/24, fd00:244:1::/64, and it has no "
                     "gameday_networks")),
        (estate(listed("a", 1)), asked(node("a", 1, unschedulable=True)),
         (WEAK, "a", "is cordoned already")),
        (estate(listed("a", 1)),
         asked(changed(node("a", 1), conditions=[{"type": "Ready", "status": "Unknown"}])),
         (WEAK, "a", "is not ready (Ready is Unknown)")),
        (estate(listed("a", 1), listed("l", 7, "lon")), asked(node("a", 1, "lon")),
         (WRONG, "a", "is in fra, and its label topology.kubernetes.io/region says lon")),
        (estate(listed("a", 1), listed("b", 2)), asked(node("a", 1, "eu-1"), node("b", 2, "eu-1")),
         (WEAK, "fra", "topology.kubernetes.io/region of its nodes says eu-1, which is no site "
                       "here")),
        (estate(listed("a", 1, racks=("x",)), listed("l", 7, "lon", racks=("y",))),
         asked(node("a", 1, "", "y")),
         (WRONG, "a", "is in the rack x, and its label topology.kubernetes.io/zone says y")),
        (estate(listed("a", 1, racks=("x",))), asked(node("a", 1, "", "r17")),
         (WEAK, "fra", "topology.kubernetes.io/zone of its nodes says r17, which is no rack here")),
    ],
)  # fmt: skip
def test_one_difference_is_one_finding(
    inventory: Inventory, cluster: Asked, expected: tuple[str, str, str]
) -> None:
    found = [(one.level, one.where, one.what) for one in drift(inventory, [cluster])]
    assert found == [expected]


def test_another_machine_under_the_same_name() -> None:
    found = said(
        estate(listed("a", 1)), asked(changed(node("a", 1), addresses=internal("10.7.7.7")))
    )
    assert len(found) == 2
    assert "none of its gameday_addresses (10.1.0.1, fd00:1::1) is an InternalIP" in found[1]


def test_a_node_is_known_by_its_address_before_its_name() -> None:
    """Two clusters that call their nodes alike, as an import names them."""
    inventory = estate(listed("fra-n", 1), listed("lon-n", 2, "lon"))
    assert said(inventory, asked(node("n", 1)), asked(node("n", 2), sites=("lon",))) == []
    alike = estate(listed("n", 1), listed("m", 2, "lon"))
    other = changed(node("n", 3), addresses=internal("10.1.0.3"))
    found = said(alike, asked(node("n", 1)), asked(node("m", 2), other, sites=("lon",)))
    assert [one.split(": ")[1] for one in found] == ["kube/n"]


def test_a_rack_by_its_longer_name() -> None:
    assert said(estate(listed("a", 1, racks=("fra-a",))), asked(node("a", 1, "", "a"))) == []


def test_pod_networks_that_nobody_compared_are_no_finding() -> None:
    inventory = estate(listed("a", 1, networks=("10.9.0.0/24",)))
    assert said(inventory, asked(node("a", 1), pods=False)) == []


def test_a_cluster_that_did_not_answer_is_unknown_and_not_alike() -> None:
    found = drift(estate(listed("a", 1)), [Asked(("fra", "lon"), "kube", None, "refused: x")])
    assert [(one.level, one.where) for one in found] == [(UNKNOWN, "fra"), (UNKNOWN, "lon")]
    assert str(found[0]) == (
        "unknown: fra: its cluster kube did not answer (refused: x); whether it differs from the "
        "inventory is unknown"
    )
