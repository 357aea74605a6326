# SPDX-License-Identifier: Apache-2.0
"""The lab's plan of addresses, its inventory and its routers' tables: pure parts."""

from __future__ import annotations

import ipaddress
from itertools import combinations
from pathlib import Path

import pytest
import yaml

from gameday.lab import optional, routers
from gameday.lab import topology as t
from gameday.lab.inventory import render

ROOT = Path(__file__).resolve().parents[3]
BENCHMARKING = ipaddress.ip_network("198.18.0.0/15")
LOCAL = ipaddress.ip_network("fd00::/8")


def every_address() -> list[str]:
    found = [address for one in t.NODES for address in (t.v4(one), t.v6(one), one.management)]
    for site in t.SITES:
        found += [t.gateway4(site), t.gateway6(site), t.router_management(site)]
    for a, b in combinations(t.SITES, 2):
        found += t.link(a, b)
    return [*found, t.CONTROLLER]


def test_no_address_is_given_twice_and_none_is_anybodys() -> None:
    addresses = every_address()
    assert len(addresses) == len(set(addresses))
    for address in map(ipaddress.ip_address, addresses):
        assert address in (BENCHMARKING if address.version == 4 else LOCAL)


def test_management_addresses_are_in_the_network_that_no_fault_may_touch() -> None:
    network = ipaddress.ip_network(t.MANAGEMENT)
    for one in t.NODES:
        assert ipaddress.ip_address(one.management) in network
        assert ipaddress.ip_address(t.v4(one)) not in network
    for a, b in combinations(t.SITES, 2):
        assert ipaddress.ip_address(t.link(a, b)[0]) not in network


@pytest.mark.parametrize(("a", "b"), list(combinations(t.SITES, 2)), ids=lambda site: site.code)
def test_both_ends_of_a_link_agree(a: t.Site, b: t.Site) -> None:
    mine4, theirs4, mine6, theirs6 = t.link(a, b)
    assert t.link(b, a) == (theirs4, mine4, theirs6, mine6)
    assert ipaddress.ip_interface(f"{mine4}/30").network == (
        ipaddress.ip_interface(f"{theirs4}/30").network
    )
    assert (a.name, b.name) in t.RTT_MS or (b.name, a.name) in t.RTT_MS


def test_no_site_has_the_majority_so_the_loss_of_any_one_is_survived() -> None:
    members = t.with_role("etcd")
    assert len(members) == 5
    for site in t.SITES:
        assert sum(one.site == site.name for one in members) <= 2


@pytest.mark.parametrize("site", t.SITES, ids=lambda site: site.code)
def test_a_router_delays_half_of_each_round_trip_towards_each_other_site(site: t.Site) -> None:
    lines = routers.delay_batch(site).splitlines()
    assert len(lines) == len(t.SITES) - 1
    for other in (one for one in t.SITES if one != site):
        rtt = t.RTT_MS.get((site.name, other.name)) or t.RTT_MS[(other.name, site.name)]
        line = next(one for one in lines if f"dev to-{other.code} " in one)
        assert f"delay {rtt * 1000 // 2}us" in line


@pytest.mark.parametrize("site", t.SITES, ids=lambda site: site.code)
def test_a_router_has_a_route_to_each_other_site_by_v4_and_v6(site: t.Site) -> None:
    batch = routers.router_batch(site)
    for other in (one for one in t.SITES if one != site):
        _, via4, _, via6 = t.link(site, other)
        assert f"route add 198.18.{other.number}.0/24 via {via4} dev to-{other.code}\n" in batch
        assert f"route add fd18:0:{other.number}::/64 via {via6} dev to-{other.code}\n" in batch


def test_user_mode_linux_keeps_nothing_outside_its_own_mount_namespace() -> None:
    argv = routers.uml_argv("/run/gameday-lab/x/routers", 5)
    assert argv[:2] == ["sh", "-c"]
    assert "mount -t tmpfs" in argv[2]
    assert "uml_dir=/tmp/uml" in argv  # By default it is ~/.uml, and stays after a kill -9.
    assert sum(one.startswith("vec") for one in argv) == 5


def test_a_router_forwards_whatever_the_machine_it_runs_on_does() -> None:
    # A new network namespace takes IPv4 forwarding from the kernel's first one.
    script = routers.script("/run/gameday-lab/x/routers")
    for site in t.SITES:
        (line,) = [one for one in script.splitlines() if f"netns exec {t.router(site)} " in one]
        assert "1 > /proc/sys/net/ipv4/ip_forward" in line
        assert "1 > /proc/sys/net/ipv6/conf/all/forwarding" in line


def test_the_inventory_in_the_repository_is_what_the_default_lab_writes() -> None:
    written = (ROOT / "inventory" / "lab.yaml").read_text(encoding="utf-8")
    assert written == render("/run/gameday-lab/default")


def test_the_inventory_has_every_node_in_one_site_with_its_own_addresses() -> None:
    data = yaml.safe_load(render("/run/gameday-lab/x"))["all"]
    sites = data["children"]["sites"]["children"]
    hosts = {name: host for site in sites.values() for name, host in site["hosts"].items()}
    assert sum(len(site["hosts"]) for site in sites.values()) == len(hosts)
    assert set(hosts) == {one.name for one in t.NODES} | {t.router(site) for site in t.SITES}
    for one in t.NODES:
        assert hosts[one.name]["ansible_host"] == one.management
        assert hosts[one.name]["gameday_addresses"] == [t.v4(one), t.v6(one)]
        assert hosts[one.name].get("gameday_vantage_only", False) == one.vantage_only
    assert data["vars"]["gameday_controller_netns"] == "/run/gameday-lab/x/ctl.netns"
    roles = data["children"]["roles"]["children"]
    absent = optional.missing_roles(optional.chosen())
    for one in t.NODES:
        found = {role for role in roles if one.name in roles[role]["hosts"]}
        assert found == set(one.roles) - absent
