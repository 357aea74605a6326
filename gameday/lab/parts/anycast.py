# SPDX-License-Identifier: Apache-2.0
"""bird: the ingresses announce one anycast address, routers carry it, a collector sees it."""

from __future__ import annotations

from pathlib import Path

from gameday.lab import topology as t
from gameday.lab.parts import Part, service

CHECKER = Path(__file__).parents[1] / "files" / "vip.py"
SOCKET = "/run/bird.ctl"
PREFERRED = "frankfurt"
"""Both sites are as far from the clients: their router takes this one while it is announced."""

HEAD = """\
log stderr all;
router id {address};
timeformat protocol iso long ms;
timeformat route iso long ms;
protocol device {{ scan time 10; }}
"""

TIMERS = "hold time 9; keepalive time 3; connect delay time 1; error wait time 1, 5;"
"""As a data centre has them; three seconds is the least that BGP allows, a busy machine is late."""

INGRESS = (
    HEAD
    + """\
protocol static vip {{ disabled; ipv4; route {vip}/32 via "lo"; }}
protocol bgp site {{
  local {address} as {own}; neighbor {gateway} as {theirs}; {timers}
  ipv4 {{ import none; export where source = RTS_STATIC; next hop self; }};
}}
"""
)

ROUTER = (
    HEAD
    + """\
protocol kernel {{ ipv4 {{ import none; export where source = RTS_BGP; }}; }}
"""
)

NEIGHBOUR = """\
protocol bgp {name} {{
  local {address} as {own}; neighbor {peer} as {theirs}; {timers}
  ipv4 {{ import {take}; export all; }};
}}
"""

TO_COLLECTOR = """\
protocol bgp collector {{
  local {address} as {own}; neighbor {peer} as {theirs}; multihop; passive; {timers}
  ipv4 {{ import none; export all; next hop keep; }};
}}
"""

FROM_ROUTER = """\
protocol bgp {name} {{
  local {address} as {own}; neighbor {peer} as {theirs}; multihop; {timers}
  ipv4 {{ import all; export none; }};
}}
"""


def router_as(site: t.Site) -> int:
    """Number of the autonomous system of a site's router."""
    return 65000 + site.number


def ingress_as(site: t.Site) -> int:
    """Number of the autonomous system of a site's ingress."""
    return 65100 + site.number


COLLECTOR_AS = 65042


def part(node: t.Node) -> Part:
    """The announcer on role ingress, the collector on role collector, a route on clients."""
    if "ingress" in node.roles:
        return _ingress(node)
    if node.site != "clients":
        return Part()
    ip = (f"route add {t.VIP}/32 via {t.gateway4(t.site(node.site))} dev wan0",)
    if "collector" not in node.roles:
        return Part(ip=ip)
    config = HEAD.format(address=t.v4(node))
    for site in t.SITES:
        config += FROM_ROUTER.format(
            name=t.router(site).replace("-", "_"), address=t.v4(node), own=COLLECTOR_AS,
            peer=t.gateway4(site), theirs=router_as(site), timers=TIMERS,
        )  # fmt: skip
    return Part({"gameday-lab/bird.conf": config}, [_bird()], ("bird2",), ip=ip)


def _ingress(node: t.Node) -> Part:
    site = t.site(node.site)
    config = INGRESS.format(
        address=t.v4(node), own=ingress_as(site), vip=t.VIP, gateway=t.gateway4(site),
        theirs=router_as(site), timers=TIMERS,
    )  # fmt: skip
    files = {
        "gameday-lab/bird.conf": config,
        "gameday-lab/vip.py": CHECKER.read_text(encoding="utf-8"),
    }
    checker = service("vip-check", "/usr/bin/python3", "/etc/gameday-lab/vip.py", SOCKET)
    return Part(files, [_bird(), checker], ("bird2",), ip=(f"addr add {t.VIP}/32 dev lo",))


def _bird() -> dict[str, object]:
    return service("bird", "bird", "-f", "-c", "/etc/gameday-lab/bird.conf", "-s", SOCKET,
                   "-P", "/run/bird.pid")  # fmt: skip


def router(site: t.Site, directory: str) -> Part:
    """bird on a site's router: towards all other routers, its ingress and the collector."""
    config = ROUTER.format(address=t.gateway4(site))
    for other in (one for one in t.SITES if one != site):
        mine, theirs, _, _ = t.link(site, other)
        first = site.name == "clients" and other.name == PREFERRED
        # What that router heard of the other ingress is not nearer through it.
        prefer = f"if bgp_path.last = {ingress_as(other)} then bgp_local_pref = 200;"
        config += NEIGHBOUR.format(
            name=f"to_{other.code}", address=mine, own=router_as(site), peer=theirs,
            theirs=router_as(other), timers=TIMERS,
            take=f"filter {{ {prefer} accept; }}" if first else "all",
        )  # fmt: skip
    for node in (one for one in t.with_role("ingress") if one.site == site.name):
        config += NEIGHBOUR.format(
            name="ingress", address=t.gateway4(site), own=router_as(site), peer=t.v4(node),
            theirs=ingress_as(site), timers=TIMERS, take="all",
        )  # fmt: skip
    for node in t.with_role("collector"):
        config += TO_COLLECTOR.format(
            address=t.gateway4(site), own=router_as(site), peer=t.v4(node), theirs=COLLECTOR_AS,
            timers=TIMERS,
        )  # fmt: skip
    name = t.router(site)
    argv = ("bird", "-f", "-c", f"{directory}/{name}.bird", "-s", f"/run/bird-{name}.ctl",
            "-P", f"/run/bird-{name}.pid")  # fmt: skip
    return Part({f"{name}.bird": config}, [service("bird", *argv)], ("bird2",))
