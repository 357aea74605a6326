# SPDX-License-Identifier: Apache-2.0
"""An inventory from a real API server, and every way in which the two come to differ.

A server of its own: an import takes all nodes that there are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gameday import clock
from gameday.cli.main import cli
from gameday.conduct import kube_ask
from gameday.conduct.collect import Recorder
from gameday.conduct.kube_drift import compare
from gameday.errors import InvalidInput
from gameday.plan import load_inventory
from gameday.plan.kube_nodes import Cluster
from gameday.probes.kube_client import Client
from gameday.record.journal import read_events
from tests.kube.apiserver import ApiServer
from tests.unit.plan.cluster_objects import etcd_pod, node, pod

NODES = {
    "fra-1": node("fra-1", 1, "frankfurt", "hall-a", ("control-plane",)),
    "fra-2": node("fra-2", 2, "frankfurt", "hall-b"),
    "lon-1": node("lon-1", 3, "london", "hall-a"),
}
DOORS = {"fra-1": "192.168.0.1", "fra-2": "192.168.0.2", "lon-1": "192.168.0.3"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A cluster over two sites; tests leave its objects as they found them."""
    with ApiServer(tmp_path_factory.mktemp("import"), "wide") as one:
        for wanted in NODES.values():
            put(one, wanted)
        made = etcd_pod("fra-1", "--heartbeat-interval=250", "--election-timeout=2500")
        made["spec"]["containers"][0]["image"] = "etcd"
        one.done("POST", "/api/v1/namespaces/kube-system/pods", made)
        yield one


def put(server: ApiServer, wanted: dict[str, Any]) -> None:
    """A node as its kubelet would have registered it."""
    path = "/api/v1/nodes"
    name = wanted["metadata"]["name"]
    server.done("POST", path, {"metadata": wanted["metadata"], "spec": wanted["spec"]})
    server.done("PATCH", f"{path}/{name}/status", {"status": wanted["status"]})
    # It has the taint of a node that nobody initialised, which no test here is about.
    server.done("PATCH", f"{path}/{name}", {"spec": {"taints": None}})


def call(*argv: object) -> int:
    return int(cli.main(["inventory", *(str(one) for one in argv)], standalone_mode=False) or 0)


def imported(server: ApiServer, path: Path, *more: object) -> int:
    return call("import", "--context", "wide", "--kubeconfig", server.kubeconfig, "-o", path, *more)


@pytest.fixture
def inventory(server: ApiServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """As imported, with what people add."""
    path = tmp_path / "inventory.yaml"
    assert imported(server, path) == 0
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    data["all"]["vars"].update(
        ansible_user="ops", gameday_known_hosts="known", gameday_management=["192.168.0.0/24"]
    )
    for site in data["all"]["children"]["sites"]["children"].values():
        for name, own in site["hosts"].items():
            own["ansible_host"] = DOORS[name]
    path.write_text("# By hand.\n" + yaml.safe_dump(data), encoding="utf-8")
    (tmp_path / "known").touch()
    capsys.readouterr()
    return path


def drift(path: Path, capsys: pytest.CaptureFixture[str], *more: object) -> tuple[int, list[str]]:
    """(exit code, findings that the clusters are the reason of)."""
    capsys.readouterr()
    code = call("check", "-i", path, "--clusters", "--json", *more)
    found = json.loads(capsys.readouterr().out)
    said = [f"{one['level']}: {one['where']}: {one['what']}" for one in found]
    call("check", "-i", path, "--json")
    alone = {f"{one['level']}: {one['where']}: {one['what']}"
             for one in json.loads(capsys.readouterr().out)}  # fmt: skip
    return code, [one for one in said if one not in alone]


def test_what_is_listed_is_all_that_is_wrong(
    server: ApiServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "inventory.yaml"
    assert imported(server, path) == 0
    listed = capsys.readouterr().err
    with pytest.raises(InvalidInput) as caught:
        load_inventory(path)
    wrong = set(re.findall(r"\.(\w+): is missing", "\n".join(caught.value.problems)))
    assert wrong == {"ansible_host", "ansible_user", "gameday_known_hosts", "gameday_management"}
    for name in wrong:
        assert name in listed
    for node_ in NODES:
        assert node_ in listed.splitlines()[1]


def test_the_inventory(server: ApiServer, inventory: Path) -> None:
    estate = load_inventory(inventory)
    assert estate.sites == {"frankfurt": ("fra-1", "fra-2"), "london": ("lon-1",)}
    assert {one.name: one.racks for one in estate.nodes} == {
        "fra-1": ("frankfurt-hall-a",), "fra-2": ("hall-b",), "lon-1": ("london-hall-a",),
    }  # fmt: skip
    assert estate.addresses("fra-2") == ("10.1.0.2", "fd00:1::2")
    # Kubernetes 1.20 keeps one podCIDR of a node, unless dual stack is switched on there.
    assert estate.networks("fra-2") == ("10.244.2.0/24",)
    assert estate.by_name["fra-1"].roles == ("control-plane", "etcd", "etcd-wide")
    (group,) = estate.raft_groups
    assert (group.name, group.members) == ("etcd-wide", ("fra-1",))
    assert (group.heartbeat_ms, group.election_ms) == (250, 2500)
    own = {"kubeconfig": str(server.kubeconfig), "context": "wide", "in_cluster": False}
    assert estate.clusters == {"frankfurt": own, "london": own}


def test_alike(inventory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, found = drift(inventory, capsys)
    assert found == []


def test_a_new_node_is_shown_and_then_added(
    server: ApiServer, inventory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = inventory.read_text(encoding="utf-8")
    put(server, node("lon-2", 4, "london", "hall-b"))
    try:
        assert drift(inventory, capsys)[1] == [
            "wrong: lon-2: is in the cluster wide and not in the inventory"
        ]
        assert imported(server, inventory) == 1
        assert "+            lon-2:" in capsys.readouterr().out
        assert inventory.read_text(encoding="utf-8") == old, "nothing is written without --update"
        assert imported(server, inventory, "--update") == 0
        new = inventory.read_text(encoding="utf-8")
        assert [one for one in old.splitlines() if one not in new.splitlines()] == []
        assert drift_after_door(inventory, capsys) == []
        assert imported(server, inventory, "--update") == 0
        assert inventory.read_text(encoding="utf-8") != old
    finally:
        server.done("DELETE", "/api/v1/nodes/lon-2")
    assert drift(inventory, capsys)[1] == ["wrong: lon-2: is not in the cluster wide"]


def drift_after_door(path: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """With the new node's management address, which was listed."""
    assert "ansible_host, the management address, of lon-2" in capsys.readouterr().err
    text, door = path.read_text(encoding="utf-8"), "              ansible_host: 192.168.0.4\n"
    path.write_text(text.replace("lon-2:\n", f"lon-2:\n{door}", 1), encoding="utf-8")
    return drift(path, capsys)[1]


@pytest.mark.parametrize(
    ("change", "back", "expected"),
    [
        ({"spec": {"unschedulable": True}}, {"spec": {"unschedulable": None}},
         "weak: fra-2: is cordoned already"),
        ({"metadata": {"labels": {"topology.kubernetes.io/zone": "hall-a"}}},
         {"metadata": {"labels": {"topology.kubernetes.io/zone": "hall-b"}}},
         "wrong: fra-2: is in the rack hall-b, and its label topology.kubernetes.io/zone says "
         "hall-a"),
        ({"metadata": {"labels": {"topology.kubernetes.io/region": "london"}}},
         {"metadata": {"labels": {"topology.kubernetes.io/region": "frankfurt"}}},
         "wrong: fra-2: is in frankfurt, and its label topology.kubernetes.io/region says london"),
    ],
)  # fmt: skip
def test_a_node_that_changed(  # noqa: PLR0917 - fixtures
    server: ApiServer, inventory: Path, capsys: pytest.CaptureFixture[str], change: Any, back: Any,
    expected: str,
) -> None:  # fmt: skip
    server.done("PATCH", "/api/v1/nodes/fra-2", change)
    try:
        _, found = drift(inventory, capsys)
    finally:
        server.done("PATCH", "/api/v1/nodes/fra-2", back)
    assert found[0] == expected
    assert len([one for one in found if ": fra-2:" in one]) == 1


def test_a_node_with_another_address(
    server: ApiServer, inventory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, status = "/api/v1/nodes/fra-2/status", NODES["fra-2"]["status"]
    moved = {**status, "addresses": [{"type": "InternalIP", "address": "10.7.7.7"}]}
    server.done("PATCH", path, {"status": {"addresses": moved["addresses"]}})
    try:
        assert drift(inventory, capsys)[1] == [
            "wrong: fra-2: has the InternalIP 10.7.7.7, which is not in gameday_addresses",
            "wrong: fra-2: none of its gameday_addresses (10.1.0.2, fd00:1::2) is an InternalIP",
        ]
        code, _ = drift(inventory, capsys)
        assert code == 2
    finally:
        server.done("PATCH", path, {"status": {"addresses": status["addresses"]}})


def test_pods_elsewhere(server: ApiServer, tmp_path: Path) -> None:
    """A pod whose address is not of its node's podCIDR: then that belongs to nobody."""
    made = pod("fra-2", "172.16.3.3")
    made["spec"]["containers"] = [{"name": "c", "image": "c"}]
    path = "/api/v1/namespaces/default/pods"
    server.done("POST", path, {"metadata": {"name": "p"}, "spec": made["spec"]})
    server.done("PATCH", f"{path}/p/status", {"status": made["status"]})
    try:
        seen = seen_by(server)
    finally:
        server.done("DELETE", f"{path}/p?gracePeriodSeconds=0")
    assert {one.name: bool(one.networks) for one in seen.nodes} == {
        "fra-1": True, "fra-2": False, "lon-1": True,
    }  # fmt: skip
    assert "such as 172.16.3.3 on fra-2" in seen.notes[0]


def seen_by(server: ApiServer, kubeconfig: Path | None = None, **how: Any) -> Cluster:
    own = {"kubeconfig": str(kubeconfig or server.kubeconfig), "context": "wide",
           "in_cluster": False}  # fmt: skip
    return kube_ask.ask(own, **how)


def test_page_by_page(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = seen_by(server)
    asked: list[str] = []
    request = Client.request

    def counted(self: Client, method: str, path: str, **how: Any) -> dict[str, Any]:
        asked.append(path)
        return request(self, method, path, **how)

    monkeypatch.setattr(Client, "request", counted)
    monkeypatch.setattr(kube_ask, "PAGE", 1)
    assert seen_by(server) == whole
    assert asked.count("/api/v1/nodes") == len(NODES)


def test_only_nodes_may_be_read(server: ApiServer, tmp_path: Path) -> None:
    server.allow("nodes-only", {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]})
    path = server.write_kubeconfig(tmp_path / "few", server.token("nodes-only"))
    seen = seen_by(server, path)
    assert [one.name for one in seen.nodes] == sorted(NODES)
    assert not seen.checked
    told = " ".join(seen.notes)
    assert "pods of kube-system could not be listed (forbidden)" in told
    assert "pods could not be listed (forbidden)" in told


def test_a_server_that_is_down_or_hangs_is_unknown(
    server: ApiServer, inventory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for end, begin, reason in (
        (server.stop, server.start, "refused"), (server.pause, server.resume, "timeout"),
    ):  # fmt: skip
        end()
        try:
            begun = clock.mono_ns()
            _, found = drift(inventory, capsys, "--timeout", "2")
            took_ns = clock.mono_ns() - begun
        finally:
            begin()
        # One cluster, and so one question, that both sites name.
        assert [one.split(" (")[0] for one in found] == [
            "unknown: frankfurt: its cluster wide did not answer",
            "unknown: london: its cluster wide did not answer",
        ]
        assert reason in found[0]
        assert took_ns < 60 * clock.NS_PER_S, "nothing waits for it without an end"
    _, found = drift(inventory, capsys)
    assert found == []


def test_a_run_writes_down_what_differs(server: ApiServer, inventory: Path, tmp_path: Path) -> None:
    estate = load_inventory(inventory).to_json()
    recorder, notes = Recorder(tmp_path), list[str]()
    server.done("PATCH", "/api/v1/nodes/lon-1", {"spec": {"unschedulable": True}})
    try:
        compare(estate, recorder, notes.append)
    finally:
        server.done("PATCH", "/api/v1/nodes/lon-1", {"spec": {"unschedulable": None}})
    recorder.close()
    (event,) = read_events(tmp_path / "events.jsonl")
    assert event.data["clusters"] == [
        {"name": "wide", "sites": ["frankfurt", "london"], "answered": True}
    ]
    assert [one["what"] for one in event.data["findings"]] == ["is cordoned already"]
    assert notes == ["inventory: weak: lon-1: is cordoned already; a drill would not find it as "
                     "users have it"]  # fmt: skip
