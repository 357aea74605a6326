# SPDX-License-Identifier: Apache-2.0
"""Who is where: sites, nodes, addresses, round trips. Pure data; see docs/lab.md."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FILES = Path(__file__).parent / "files"
"""Programs that run in nodes."""

DOMAIN = "gameday.test"
APP_NAME = f"app.{DOMAIN}"
MANAGEMENT = "198.19.0.0/24"
CONTROLLER = "198.19.0.1"

ETCD_CLIENT, ETCD_PEER, APP_PORT = 2379, 2380, 8080
WEBHOOK_PORT = 9099
POWERDNS_PORT = 5300
POSTGRESQL_PORT, GALERA_PORT = 5432, 3306
KUBERNETES_PORT = 6443
VIP = "203.0.113.53"
"""The anycast address of the ingresses, where the lab has BGP."""

HEARTBEAT_MS, ELECTION_MS = 100, 1000
LEADER = "fra-1"
"""Where the etcd leader is put when the lab is up, so that cutting Frankfurt means something."""


@dataclass(frozen=True)
class Site:
    """A city: its number gives its networks 198.18.<number>.0/24 and fd18:0:<number>::/64."""

    name: str
    code: str
    number: int


@dataclass(frozen=True)
class Node:
    """A server of a site."""

    name: str
    site: str
    number: int
    management: str
    roles: tuple[str, ...]
    vantage_only: bool = False


SITES = (
    Site("frankfurt", "fra", 10),
    Site("london", "lon", 20),
    Site("amsterdam", "ams", 30),
    Site("clients", "cli", 40),
)

NODES = (
    Node("fra-1", "frankfurt", 11, "198.19.0.11", ("etcd", "app", "postgresql", "control-plane")),
    Node(
        "fra-2",
        "frankfurt",
        12,
        "198.19.0.12",
        ("etcd", "app", "ingress", "gslb", "powerdns", "galera"),
    ),
    Node(
        "lon-1",
        "london",
        11,
        "198.19.0.21",
        ("etcd", "app", "resolver", "postgresql", "control-plane"),
    ),
    Node(
        "lon-2",
        "london",
        12,
        "198.19.0.22",
        ("etcd", "app", "ingress", "gslb", "powerdns", "galera"),
    ),
    Node(
        "ams-1",
        "amsterdam",
        11,
        "198.19.0.31",
        ("etcd", "gslb", "powerdns", "galera", "control-plane"),
    ),
    Node("cli-1", "clients", 11, "198.19.0.41", ("user", "resolver"), vantage_only=True),
    Node("mon-1", "clients", 12, "198.19.0.42", ("monitoring", "collector"), vantage_only=True),
)

RTT_MS = {
    ("frankfurt", "london"): 12,
    ("frankfurt", "amsterdam"): 8,
    ("london", "amsterdam"): 8,
    ("frankfurt", "clients"): 10,
    ("london", "clients"): 10,
    ("amsterdam", "clients"): 10,
}


def site(name: str) -> Site:
    """The site of that name."""
    return next(one for one in SITES if one.name == name)


def node(name: str) -> Node:
    """The node of that name."""
    return next(one for one in NODES if one.name == name)


def rack(one: Node) -> str:
    """A site's servers stand in racks of one each, lettered, clients' in one."""
    mates = [each.name for each in NODES if each.site == one.site]
    letter = "a" if one.vantage_only else chr(ord("a") + mates.index(one.name))
    return f"{site(one.site).code}-{letter}"


def v4(one: Node) -> str:
    """Its address on the site's network."""
    return f"198.18.{site(one.site).number}.{one.number}"


def v6(one: Node) -> str:
    """Its IPv6 address on the site's network."""
    return f"fd18:0:{site(one.site).number}::{one.number}"


def gateway4(one: Site) -> str:
    """The site's router on the site's network."""
    return f"198.18.{one.number}.1"


def gateway6(one: Site) -> str:
    """The site's router on the site's network, IPv6."""
    return f"fd18:0:{one.number}::1"


def router(one: Site) -> str:
    """Name of the site's router."""
    return f"{one.code}-rtr"


def router_management(one: Site) -> str:
    """The router's management address."""
    return f"198.19.0.{100 + one.number}"


def link(a: Site, b: Site) -> tuple[str, str, str, str]:
    """WAN link of two sites: v4 addresses of a and b, then v6 of both; /30 and /64."""
    low, high = sorted((a.number, b.number))
    third = 100 + low + high // 10
    ends4 = (f"198.18.{third}.1", f"198.18.{third}.2")
    ends6 = (f"fd18:0:{third}::1", f"fd18:0:{third}::2")
    if a.number > b.number:
        ends4, ends6 = ends4[::-1], ends6[::-1]
    return ends4[0], ends4[1], ends6[0], ends6[1]


def with_role(role: str) -> list[Node]:
    """All nodes that have a role."""
    return [one for one in NODES if role in one.roles]
