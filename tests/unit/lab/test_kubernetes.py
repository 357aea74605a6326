# SPDX-License-Identifier: Apache-2.0
"""The part kubernetes: what each node gets, what servers are called, what is written where."""

from __future__ import annotations

import json
import re
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from gameday.errors import CannotRun
from gameday.lab import kube, optional
from gameday.lab import topology as t
from gameday.lab.inventory import render
from gameday.lab.parts import etcd, kube_objects, kubernetes

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "scripts" / "kube-apiserver.sh"
SITES = ("frankfurt", "london", "amsterdam")


def services(node: t.Node) -> dict[str, list[str]]:
    return {one["name"]: one["argv"] for one in kubernetes.part(node).services}


def test_the_script_builds_the_program_that_the_lab_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    said = subprocess.run([SCRIPT, "path"], capture_output=True, text=True, check=True).stdout
    assert said.strip() == str(kube.program())


def test_the_script_does_nothing_where_the_program_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kube.program().parent.mkdir()
    kube.program().write_text("#!/bin/sh\nexit 0\n")
    kube.program().chmod(0o755)
    done = subprocess.run([SCRIPT], capture_output=True, text=True, check=False, timeout=20)
    assert (done.returncode, done.stdout.strip()) == (0, str(kube.program()))
    assert list(kube.program().parent.iterdir()) == [kube.program()]


def test_the_script_says_what_it_cannot_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    done = subprocess.run([SCRIPT], capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 3
    assert str(tmp_path / "file") in done.stderr and "->" in done.stderr


def test_every_main_site_has_a_cluster_of_all_its_nodes() -> None:
    assert set(kubernetes.sites()) == set(SITES)
    for node in t.NODES:
        names = set(services(node))
        if node.site == "clients":
            assert names == set()
        elif node in kubernetes.sites().values():
            assert names == {"kube-apiserver", "kube-etcd", "kube-site", "kube-node"}
        else:
            assert names == {"kube-node"}


def test_a_cluster_s_etcd_is_not_the_app_s() -> None:
    node = kubernetes.sites()["frankfurt"]
    (app,) = etcd.part(node).services
    own = services(node)["kube-etcd"]
    assert not {port for one in app["argv"] for port in re.findall(r":(\d+)", one)} & {
        port for one in own for port in re.findall(r":(\d+)", one)
    }
    assert "198.18." not in " ".join(own), "only its API server asks it"
    # A fault names a process by the last part of its path.
    assert own[0].rpartition("/")[2] != app["argv"][0]
    assert kubernetes.part(node).disks != etcd.part(node).disks


@pytest.mark.parametrize("site", SITES)
def test_nodes_ask_over_the_site_s_network_and_the_controller_over_management(site: str) -> None:
    server = kubernetes.sites()[site]
    for node in kubernetes.members(site):
        told = json.loads(kubernetes.part(node).files["gameday-lab/kube/node.json"])
        assert told["server"] == t.v4(server)
    config = yaml.safe_load(kubernetes.kubeconfig(Path("/x")))
    url = next(one["cluster"]["server"] for one in config["clusters"] if one["name"] == site)
    assert url == f"https://{server.management}:{t.KUBERNETES_PORT}"
    assert {t.v4(server), server.management, "127.0.0.1"} <= set(kubernetes.server_names(site))


def test_the_inventory_names_a_context_per_cluster_and_none_without_the_part() -> None:
    data = yaml.safe_load(render("/x", optional.chosen((), ["kubernetes"])))["all"]
    assert data["vars"]["gameday_kubeconfig"] == "/x/kubeconfig"
    sites = data["children"]["sites"]["children"]
    contexts = {name: one.get("vars", {}).get("gameday_context") for name, one in sites.items()}
    assert contexts == {**{site: site for site in SITES}, "clients": None}
    names = [one["name"] for one in yaml.safe_load(kubernetes.kubeconfig(Path("/x")))["contexts"]]
    assert names == list(SITES)
    assert "gameday_context" not in render("/x")
    assert "gameday_kubeconfig" not in render("/x")


def test_a_node_is_labelled_where_the_inventory_has_it() -> None:
    data = yaml.safe_load(render("/x", optional.chosen((), ["kubernetes"])))["all"]["children"]
    for site in SITES:
        for node in kubernetes.members(site):
            labels = kube_objects.labels(node)
            assert node.name in data["sites"]["children"][labels[kube_objects.ZONE_LABEL]]["hosts"]
            assert node.name in data["racks"]["children"][labels[kube_objects.RACK_LABEL]]["hosts"]
            roles = {key.partition("/")[2] for key in labels if "node-role" in key}
            for role in roles:
                assert node.name in data["roles"]["children"][role]["hosts"]


def test_a_site_without_an_ingress_has_nothing_to_scale() -> None:
    def paths(site: str) -> list[str]:
        return [one["path"] for one in kube_objects.objects(site)]

    assert any(path.endswith("/deployments") for path in paths("london"))
    assert not any(path.endswith(("/deployments", "/gslbs")) for path in paths("amsterdam"))
    assert any(path.endswith("/gitrepos") for path in paths("amsterdam"))


def test_an_unknown_kind_has_no_definition() -> None:
    assert len(kube.crds()) == len(list(kube.CRDS.glob("*.yaml")))
    with pytest.raises(CannotRun) as caught:
        kube.crds(["Gslb", "Nonsense"])
    assert "Nonsense" in caught.value.message


def test_definitions_lie_under_their_own_names() -> None:
    for path in kube.CRDS.glob("*.yaml"):
        one: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        spec = one["spec"]
        assert path.stem == one["metadata"]["name"] == f"{spec['names']['plural']}.{spec['group']}"


def test_the_lab_s_authority_signs_what_tls_takes_and_keys_are_nobody_else_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(CannotRun) as caught:
        kubernetes.prepare(tmp_path)
    assert "scripts/kube-apiserver.sh" in " ".join(map(str, caught.value.problems))
    kube.program().parent.mkdir(parents=True)
    kube.program().touch(mode=0o755)
    kubernetes.prepare(tmp_path)
    made = tmp_path / "kube"
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(made / "server-frankfurt.crt", made / "server-frankfurt.key")
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(made / "ca.crt")
    client = ssl.create_default_context(cafile=str(made / "ca.crt"))
    client.load_cert_chain(made / "fra-2.crt", made / "fra-2.key")
    subject = handshake(server, client, t.v4(kubernetes.sites()["frankfurt"]))
    assert ("commonName", "system:node:fra-2") in subject
    assert ("organizationName", "system:nodes") in subject
    for path in [tmp_path / "kubeconfig", *made.glob("*.key")]:
        assert path.stat().st_mode & 0o77 == 0, path


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> list[Any]:
    """The client's subject as the server sees it; raises where either trusts the other not."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = server.wrap_bio(up, down, server_side=True)
    other = client.wrap_bio(down, up, server_hostname=name)
    for _ in range(4):
        for side in (other, one):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    found = one.getpeercert()
    assert found
    return [pair for part in found["subject"] for pair in part]  # type: ignore[misc]
