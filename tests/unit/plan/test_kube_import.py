# SPDX-License-Identifier: Apache-2.0
"""Clusters as an inventory: all that can be known, and the rest listed; never a word less."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from gameday.errors import InvalidInput
from gameday.plan import load_inventory
from gameday.plan.advice import WRONG, advise
from gameday.plan.ansible_source import RawInventory, read_with_ansible
from gameday.plan.kube_import import Imported, Source, import_clusters
from gameday.plan.kube_labels import Labels
from gameday.plan.kube_layout import keep_raft_apart, layout
from gameday.plan.kube_nodes import REGION_LABEL, ZONE_LABEL, Answers, Cluster, read_cluster
from gameday.plan.yaml_add import add, load
from tests.unit.plan.cluster_objects import etcd_pod, node, pod

LABELS = Labels(REGION_LABEL, ZONE_LABEL)
NONE = RawInventory((), {}, ())


def source(cluster: Cluster, name: str = "fra", site: str = "") -> Source:
    return Source(name, site, {"gameday_kubeconfig": "kube", "gameday_context": name}, cluster)


def cluster(*nodes: dict[str, Any], etcd: tuple[str, ...] = ()) -> Cluster:
    pods = [pod(one["metadata"]["name"]) for one in nodes]
    return read_cluster(Answers(list(nodes), [etcd_pod(name) for name in etcd], pods, []))


FRANKFURT = cluster(
    node("fra-1", 1, "frankfurt", "a", ("control-plane",)), node("fra-2", 2, "frankfurt", "b"),
    etcd=("fra-1",),
)  # fmt: skip
LONDON = cluster(node("lon-1", 3, "london", "a", ("control-plane",)), etcd=("lon-1",))


def written(path: Path, *sources: Source, labels: Labels = LABELS) -> Imported:
    """As the command does it."""
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    raw = read_with_ansible(path) if old else NONE
    found = import_clusters(raw, sources, labels)
    keep_raft_apart(load(old), raw, found)
    path.write_text(add(old, layout(load(old), found)), encoding="utf-8")
    return found


def by_hand(path: Path, hosts: dict[str, str]) -> None:
    """What a person adds: the listed lines."""
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    data["all"].setdefault("vars", {}).update(
        ansible_user="ops", gameday_known_hosts="known", gameday_management=["192.168.0.0/24"]
    )
    for site in data["all"]["children"]["sites"]["children"].values():
        for name, own in site["hosts"].items():
            if name in hosts:
                own["ansible_host"] = hosts[name]
    path.write_text(yaml.safe_dump(data), encoding="utf-8")


def test_what_is_wrong_with_the_result_is_what_is_listed(tmp_path: Path) -> None:
    path = tmp_path / "inventory.yaml"
    found = written(path, source(FRANKFURT), source(LONDON, "lon"))
    assert found.by_hand == [
        "ansible_host, the management address, of fra-1, fra-2, lon-1",
        "ansible_user, whom gameday logs in as, of all nodes",
        "gameday_known_hosts: an OpenSSH file with the nodes' host keys",
        "gameday_management: the networks that no fault may touch",
    ]
    assert found.notes == []
    with pytest.raises(InvalidInput) as caught:
        load_inventory(path)
    listed = {
        word for line in found.by_hand for word in re.findall(r"\b(?:ansible|gameday)_\w+", line)
    }
    told = "\n".join(caught.value.problems)
    assert set(re.findall(r"\.(\w+): is missing", told)) == listed
    assert told.count("is missing") == len(caught.value.problems), "and nothing else is wrong"
    by_hand(path, {"fra-1": "192.168.0.1", "fra-2": "192.168.0.2", "lon-1": "192.168.0.3"})
    inventory = load_inventory(path)
    assert not [one for one in advise(inventory) if one.level == WRONG]
    assert inventory.sites == {"frankfurt": ("fra-1", "fra-2"), "london": ("lon-1",)}
    assert inventory.by_name["fra-1"].racks == ("frankfurt-a",), "two sites have a zone a"
    assert inventory.by_name["fra-2"].racks == ("b",)
    assert inventory.by_name["fra-1"].roles == ("control-plane", "etcd", "etcd-frankfurt")
    assert inventory.by_name["fra-2"].addresses == ("10.1.0.2", "fd00:1::2")
    assert inventory.networks("lon-1") == ("10.244.3.0/24", "fd00:244:3::/64")
    assert {g.name: g.members for g in inventory.raft_groups} == {
        "etcd-frankfurt": ("fra-1",), "etcd-london": ("lon-1",),
    }  # fmt: skip
    assert inventory.clusters["london"] == {
        "kubeconfig": str(tmp_path / "kube"), "context": "lon", "in_cluster": False,
    }  # fmt: skip


def test_importing_again_adds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "inventory.yaml"
    written(path, source(FRANKFURT), source(LONDON, "lon"))
    text = path.read_text(encoding="utf-8")
    written(path, source(FRANKFURT), source(LONDON, "lon"))
    assert path.read_text(encoding="utf-8") == text


BY_HAND = """\
# Ours.
all:
  vars:
    gameday_raft_groups:
      main: {role: brains}   # not etcd's usual name
  children:
    sites:
      children:
        frankfurt-am-main:   # as everybody calls it
          hosts:
            fra-1: {gameday_addresses: [10.9.9.9]}  # behind NAT
    racks: {children: {row-7: {hosts: {fra-1: {}}}}}
    roles: {children: {brains: {hosts: {fra-1: {}}}}}
"""


def test_what_people_wrote_stays(tmp_path: Path) -> None:
    """Sites, racks, roles, addresses, Raft groups and every comment, and a node is added beside."""
    path = tmp_path / "inventory.yaml"
    path.write_text(BY_HAND, encoding="utf-8")
    found = written(path, source(FRANKFURT))
    text = path.read_text(encoding="utf-8")
    for comment in re.findall(r"#.*", BY_HAND):
        assert comment in text
    assert not found.raft, "its only member is in a group of theirs"
    hosts = {host.name: host for host in read_with_ansible(path).hosts}
    assert hosts["fra-1"].variables["gameday_addresses"] == ["10.9.9.9"]
    assert hosts["fra-1"].variables["gameday_networks"], "what was missing is added"
    assert hosts["fra-1"].groups >= {"frankfurt-am-main", "row-7", "brains", "k8s_cluster"}
    assert not hosts["fra-1"].groups & {"frankfurt", "a", "control-plane"}
    assert hosts["fra-2"].groups >= {"frankfurt", "b", "worker", "k8s_cluster"}


def test_variables_beside_the_file_count(tmp_path: Path) -> None:
    path = tmp_path / "inventory.yaml"
    written(path, source(FRANKFURT))
    text = re.sub(
        r" +gameday_addresses:\n( +- .*\n)+", "", path.read_text(encoding="utf-8"), count=1
    )
    path.write_text(text, encoding="utf-8")
    (tmp_path / "host_vars").mkdir()
    (tmp_path / "host_vars" / "fra-1.yaml").write_text("gameday_addresses: [10.5.5.5]\n")
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "all.yaml").write_text("gameday_raft_groups: {other: {role: x}}\n")
    path.write_text(re.sub(r"  vars:\n    gameday_raft(.*\n)+?  children", "  children", text))
    found = written(path, source(FRANKFURT))
    assert "fra-1" not in found.hosts
    assert any("gameday_raft_groups, beside those that it has: etcd-frankfurt" in one
               for one in found.by_hand)  # fmt: skip
    assert "gameday_raft_groups" not in path.read_text(encoding="utf-8")


def test_two_clusters_that_call_their_nodes_alike(tmp_path: Path) -> None:
    path = tmp_path / "inventory.yaml"
    west, east = cluster(node("n-1", 1)), cluster(node("n-1", 2), node("n-2", 3))
    written(path, source(west, "w", "west"), source(east, "e", "east"))
    names = {host.name: host.groups for host in read_with_ansible(path).hosts}
    assert set(names) == {"west-n-1", "east-n-1", "n-2"}
    text = path.read_text(encoding="utf-8")
    written(path, source(west, "w", "west"), source(east, "e", "east"))
    assert path.read_text(encoding="utf-8") == text, "they are known by their addresses again"


def test_one_cluster_stretched_over_two_sites(tmp_path: Path) -> None:
    path = tmp_path / "inventory.yaml"
    wide = cluster(
        node("a-1", 1, "a"), node("b-1", 2, "b"), node("b-2", 3, "b"), etcd=("a-1", "b-1", "b-2")
    )
    found = written(path, source(wide, "admin@wide"))
    assert found.sites["a"] == found.sites["b"]
    assert list(found.raft) == ["etcd-admin-wide"]


def test_places_that_labels_do_not_tell() -> None:
    some = cluster(node("x-1", 1, "x"), node("x-2", 2), etcd=("x-1",))
    found = import_clusters(NONE, [source(some)], LABELS)
    assert "the site of x-2: no label topology.kubernetes.io/region" in found.by_hand
    assert "x-2" not in found.groups["sites"]["x"]
    none = import_clusters(NONE, [source(cluster(node("y-1", 1)), "ypsilon")], LABELS)
    assert none.groups["sites"] == {"ypsilon": ["y-1"]}, "then a cluster is a site"


def test_a_zone_that_only_repeats_the_site_is_no_rack() -> None:
    found = import_clusters(NONE, [source(cluster(node("x-1", 1, "x", "x")))], LABELS)
    assert "racks" not in found.groups
    own = import_clusters(
        NONE, [source(cluster(node("x-1", 1, "", "x")), "c")], Labels(ZONE_LABEL, "r")
    )
    assert own.groups["sites"] == {"x": ["x-1"]}


def test_a_role_that_is_also_a_place_is_left_out() -> None:
    found = import_clusters(NONE, [source(cluster(node("x-1", 1, "edge", "", ("edge",))))], LABELS)
    assert "edge" not in found.groups["roles"]
    assert "role edge is left out: a site or rack has that name" in found.notes


@pytest.mark.parametrize(
    ("sources", "told"),
    [
        ([source(cluster(node("x-1", 1)), "admin@x")], "admin@x cannot be the name of a site"),
        ([source(cluster(node("x-1", 1)), "c", "racks")], "racks cannot be the name of a site"),
        ([source(cluster(node("x-1", 1, "x")), "one"), source(cluster(node("x-2", 2, "x")), "two")],
         "site x has nodes of one and of two"),
    ],
)  # fmt: skip
def test_clusters_that_cannot_be_told_apart(sources: list[Source], told: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        import_clusters(NONE, sources, LABELS)
    assert told in caught.value.problems[0]
    assert "--context SITE=" in caught.value.problems[0]
