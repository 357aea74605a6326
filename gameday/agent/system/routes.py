# SPDX-License-Identifier: Apache-2.0
"""Routes over netlink: which way an address goes, and tables that lead nowhere."""

from __future__ import annotations

import errno
import ipaddress
import socket
from typing import Any, Dict, List, Sequence, Tuple

from gameday.errors import NodeError

RULE_PRIORITY = 90
"""Before the main table (32766) and before what CNIs and VPNs usually ask first (100 and up)."""

FR_ACT_TO_TBL = 1
RTN_BLACKHOLE = 6


def _open() -> Any:
    from pyroute2 import IPRoute

    return IPRoute()


def devices_to(addresses: Sequence[str]) -> Dict[str, List[str]]:
    """Interface to those addresses or networks that the kernel would send over it.

    Raises:
        NodeError: where there is no route to one, or it is this node's own.
    """
    from pyroute2.netlink.exceptions import NetlinkError

    found: Dict[str, List[str]] = {}
    with _open() as netlink:
        names = {link["index"]: link.get_attr("IFLA_IFNAME") for link in netlink.get_links()}
        for address in addresses:
            network = ipaddress.ip_network(address, strict=False)
            # Of a network, one in its middle tells the way: its first may be this node's own.
            asked = network.network_address + network.num_addresses // 2
            family = socket.AF_INET if network.version == 4 else socket.AF_INET6
            try:
                routes = tuple(netlink.route("get", dst=str(asked), family=family))
            except NetlinkError as error:
                raise NodeError(f"no route to {address}: {error}") from error
            name = names.get(routes[0].get_attr("RTA_OIF"), "") if routes else ""
            if not name or name == "lo":
                raise NodeError(f"{address} is this node's own, or leads nowhere")
            found.setdefault(name, []).append(address)
    return found


def blackhole(table: int, networks: Sequence[str]) -> None:
    """Blackhole routes in a table of their own, and the rules that ask it first.

    Raises:
        NodeError: where the kernel refuses.
    """
    from pyroute2.netlink.exceptions import NetlinkError

    with _open() as netlink:
        try:
            for network in networks:
                netlink.route("replace", dst=_cidr(network), type="blackhole", table=table,
                              family=_family(network))  # fmt: skip
            for family in sorted({_family(network) for network in networks}):
                if not _rules(netlink, table, family):
                    netlink.rule("add", table=table, priority=RULE_PRIORITY, family=family)
        except NetlinkError as error:
            raise NodeError(f"blackhole routes: {error}") from error


def undo_blackhole(table: int) -> bool:
    """Remove the rules first, then the routes; ``False`` where nothing was there."""
    from pyroute2.netlink.exceptions import NetlinkError

    removed = False
    with _open() as netlink:
        for family in (socket.AF_INET, socket.AF_INET6):
            try:
                for _ in _rules(netlink, table, family):
                    netlink.rule("del", table=table, priority=RULE_PRIORITY, family=family)
                    removed = True
                for network in _routes(netlink, table, family):
                    netlink.route("del", dst=network, type="blackhole", table=table, family=family)
                    removed = True
            except NetlinkError as error:
                if error.code not in (errno.ENOENT, errno.ESRCH):
                    raise NodeError(f"blackhole routes: {error}") from error
    return removed


def blackholed(table: int) -> Tuple[str, ...]:
    """Networks in a table of ours, and "rule" per rule that leads there."""
    found: List[str] = []
    with _open() as netlink:
        for family in (socket.AF_INET, socket.AF_INET6):
            found += _routes(netlink, table, family)
            found += ["rule" for _ in _rules(netlink, table, family)]
    return tuple(found)


def own_tables(first: int, end: int) -> Tuple[int, ...]:
    """Tables from ``first`` to ``end`` that our kind of rule leads to, and all of it nowhere."""
    found = set()
    with _open() as netlink:
        for family in (socket.AF_INET, socket.AF_INET6):
            for rule in netlink.get_rules(family=family):
                table = rule.get_attr("FRA_TABLE") or 0
                if rule.get_attr("FRA_PRIORITY") != RULE_PRIORITY or not first <= table < end:
                    continue
                routes = list(netlink.get_routes(table=table, family=family))
                own = [r for r in routes if r.get_attr("RTA_TABLE") == table]
                if all(route["type"] == RTN_BLACKHOLE for route in own):
                    found.add(int(table))
    return tuple(sorted(found))


def _rules(netlink: Any, table: int, family: int) -> List[Any]:
    return [r for r in netlink.get_rules(family=family) if r.get_attr("FRA_TABLE") == table]


def _routes(netlink: Any, table: int, family: int) -> List[str]:
    return [
        f"{route.get_attr('RTA_DST')}/{route['dst_len']}"
        for route in netlink.get_routes(table=table, family=family)
        if route.get_attr("RTA_TABLE") == table
    ]


def _cidr(network: str) -> str:
    return str(ipaddress.ip_network(network, strict=False))


def _family(network: str) -> int:
    return int(socket.AF_INET6 if ":" in network else socket.AF_INET)
