# SPDX-License-Identifier: Apache-2.0
"""What each part writes for each node, and that setup installs what the lab needs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gameday.lab import system
from gameday.lab import topology as t
from gameday.lab.parts import access, etcd, gslb, ingress, monitoring

ROOT = Path(__file__).resolve().parents[3]
NODES = pytest.mark.parametrize("node", t.NODES, ids=lambda node: node.name)


@NODES
def test_a_part_adds_to_a_node_what_its_roles_say(node: t.Node) -> None:
    names = {
        service["name"]
        for module in (access, etcd, gslb, ingress, monitoring)
        for service in module.part(node).services
    }
    expected = {"sshd"} | ({"etcd", "app", "ingress", "gslb"} & set(node.roles))
    if "monitoring" in node.roles:
        expected |= {"prometheus", "alertmanager"}
    assert names == expected


@pytest.mark.parametrize("node", t.with_role("etcd"), ids=lambda node: node.name)
def test_an_etcd_member_knows_all_five_and_keeps_the_timeouts_that_the_inventory_tells(
    node: t.Node,
) -> None:
    (service,) = etcd.part(node).services
    options = dict(one.lstrip("-").split("=", 1) for one in service["argv"][1:])
    members = dict(one.split("=", 1) for one in options["initial-cluster"].split(","))
    assert set(members) == {one.name for one in t.with_role("etcd")}
    assert members[node.name] == options["initial-advertise-peer-urls"]
    assert int(options["heartbeat-interval"]) == t.HEARTBEAT_MS
    assert int(options["election-timeout"]) == t.ELECTION_MS
    assert options["pre-vote"] == "true"
    assert max(t.RTT_MS.values()) * 10 <= t.ELECTION_MS


@pytest.mark.parametrize("node", t.with_role("app"), ids=lambda node: node.name)
def test_an_app_writes_through_members_of_its_own_site_its_own_node_first(node: t.Node) -> None:
    service = next(one for one in ingress.part(node).services if one["name"] == "app")
    members = [one for one in service["argv"] if one.endswith(f":{t.ETCD_CLIENT}")]
    assert members[0] == f"{t.v4(node)}:{t.ETCD_CLIENT}"
    assert all(one.startswith(f"198.18.{t.site(node.site).number}.") for one in members)


@pytest.mark.parametrize("node", t.with_role("gslb"), ids=lambda node: node.name)
def test_every_gslb_checks_the_deep_health_of_every_ingress(node: t.Node) -> None:
    files = gslb.part(node).files
    config = files["gameday-lab/gdnsd/config"]
    assert "url_path => /healthz/deep" in config
    assert f'listen => [ "{t.v4(node)}" ]' in config
    for one in t.with_role("ingress"):
        assert f"{one.site} => {t.v4(one)}" in config
    # gdnsd refuses an interval under two seconds, and its check must end within it.
    assert "interval => 2, timeout => 1" in config


def test_every_alert_carries_the_site_and_node_of_what_it_watches() -> None:
    (node,) = t.with_role("monitoring")
    files = monitoring.part(node).files
    prometheus = json.loads(files["gameday-lab/prometheus.yml"])
    jobs = {one["job_name"]: one["static_configs"] for one in prometheus["scrape_configs"]}
    for role in ("etcd", "ingress"):
        labels = [group["labels"] for group in jobs[role]]
        assert labels == [{"site": one.site, "node": one.name} for one in t.with_role(role)]
    (group,) = json.loads(files["gameday-lab/alerts.yml"])["groups"]
    assert [rule["alert"] for rule in group["rules"]] == [
        "EtcdMemberUnreachable", "EtcdNoLeader", "IngressUnreachable",
    ]  # fmt: skip
    assert {rule["for"] for rule in group["rules"]} == {"0s"}
    alertmanager = json.loads(files["gameday-lab/alertmanager.yml"])
    assert alertmanager["route"]["group_wait"] == "0s"


def test_only_the_user_gameday_may_use_sudo_without_a_password() -> None:
    lines = access.SUDOERS.splitlines()
    assert [line.split()[0] for line in lines if "NOPASSWD" in line] == ["gameday"]
    assert any(line.startswith("ops ") for line in lines)


def test_setup_installs_every_package_that_the_lab_asks_for() -> None:
    listed = (ROOT / "scripts" / "packages.txt").read_text(encoding="ascii").splitlines()
    wanted = set(system.PROGRAMS.values()) | {
        package
        for node in t.NODES
        for module in (access, etcd, gslb, ingress, monitoring)
        for package in module.part(node).packages
    }
    # openssh-client comes with openssh-server, which depends on it.
    assert wanted - set(listed) - {"openssh-client"} == set()
