# SPDX-License-Identifier: Apache-2.0
"""FRR's BGP table as ``vtysh`` prints it in JSON. Nodes: Python 3.9 syntax."""

from __future__ import annotations

import json
from typing import Any, Dict, Mapping

from gameday.probes.bgp_table import Route, Table
from gameday.probes.deadline import Deadline, run


def read(vtysh: str, prefix: str, deadline: Deadline) -> Table:
    """Sessions and routes of one address family, with one call of ``vtysh``.

    Raises:
        OSError: where vtysh cannot be run or is late. ValueError: where it prints no JSON.
    """
    family = "ipv6" if ":" in prefix else "ipv4"
    argv = [vtysh, "-d", "bgpd", "-c", f"show bgp {family} unicast summary json",
            "-c", f"show bgp {family} unicast {prefix} json"]  # fmt: skip
    done = run(argv, deadline)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()
        raise OSError(f"vtysh: {said}"[:200])
    return table_of(done.stdout.decode(errors="replace"))


def table_of(text: str) -> Table:
    """The table in what both commands printed, one JSON object after the other.

    Raises:
        ValueError: where that is not what they print.
    """
    decoder = json.JSONDecoder()
    summary, end = decoder.raw_decode(text.lstrip())
    found, _ = decoder.raw_decode(text.lstrip()[end:].lstrip())
    if not isinstance(summary, dict) or not isinstance(found, dict):
        raise ValueError("vtysh printed no JSON objects")
    sessions = sessions_of(summary)
    return Table(tuple(_route(one) for one in found.get("paths", ())), sessions)


def sessions_of(summary: Mapping[str, Any]) -> Dict[str, str]:
    """State by the neighbour's address; FRR 8 prints peers at the top or below the family."""
    peers = dict(summary.get("peers", {}))
    for family in ("ipv4Unicast", "ipv6Unicast"):
        peers.update(summary.get(family, {}).get("peers", {}))
    return {address: str(peer.get("state", "Idle")) for address, peer in peers.items()}


def _route(one: Mapping[str, Any]) -> Route:
    segments = one["aspath"].get("segments", ())
    path = tuple(int(number) for segment in segments for number in segment["list"])
    hops = tuple(str(hop["ip"]) for hop in one.get("nexthops", ())[:1])
    return Route(str(one["peer"]["peerId"]), hops, path)
