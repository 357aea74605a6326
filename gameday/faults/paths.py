# SPDX-License-Identifier: Apache-2.0
"""Who shapes which packets: from two selectors and where, to specs of nodes. Pure.

Params here have ``from_``, ``to``, ``at``, ``direction``, ``protocol`` and ``ports``.
"""

from __future__ import annotations

from typing import Any, Dict, FrozenSet, List, Mapping, Optional, Sequence, Tuple

from gameday.errors import InvalidInput
from gameday.faults.base import Estate, Pair
from gameday.faults.shaping import flow
from gameday.faults.sides import nodes_of

PORTS_MAX = 15
"""What one multiport match of iptables takes."""


def check_ports(protocol: str, ports: Sequence[int]) -> None:
    """Raises InvalidInput where ports make no sense."""
    if ports and protocol not in ("tcp", "udp"):
        raise InvalidInput("ports need protocol tcp or udp")
    if len(ports) > PORTS_MAX:
        raise InvalidInput(f"ports: at most {PORTS_MAX}")
    bad = [port for port in ports if not 0 < port < 65_536]
    if bad:
        raise InvalidInput(f"ports: {bad[0]} is not a port")


def ends(params: Any, estate: Estate) -> Tuple[Tuple[str, ...], Tuple[str, ...]]:
    """Nodes of ``from`` and ``to``; raises InvalidInput where one selects nobody."""
    from_, to = nodes_of("from", params.from_, estate), nodes_of("to", params.to, estate)
    both = sorted(set(from_) & set(to))
    if both:
        raise InvalidInput(f"from and to both select {', '.join(both[:8])}", "name two sides")
    return from_, to


def pairs(params: Any, estate: Estate) -> FrozenSet[Pair]:
    """Pairs of nodes whose echoes cross the shaped direction once, there or back."""
    from_, to = ends(params, estate)
    there = {(a, b) for a in from_ for b in to}
    return frozenset(there | {(b, a) for a, b in there})


def can_split(params: Any, estate: Estate) -> bool:
    """Whether a round trip's delay can be put half on each way."""
    from_, to = ends(params, estate)
    return params.at is not None or all(estate.can_arm(node) for node in (*from_, *to))


def spread(
    params: Any, there: Mapping[str, Any], back: Optional[Mapping[str, Any]], estate: Estate
) -> Dict[str, Dict[str, Any]]:
    """Node to spec.

    Args:
        there: leaf of packets from ``from`` to ``to``. back: of their answers, if any.

    Raises:
        InvalidInput: where a node that would have to hold a lease cannot.
    """
    from_, to = ends(params, estate)
    if params.direction == "ingress":
        return _ingress(params, from_, to, there, estate)
    specs: Dict[str, List[Dict[str, Any]]] = {}
    if params.at is not None:
        flows = [flow(_of(from_, estate), _of(to, estate), there, _match(params, "dports"))]
        if back is not None:
            flows.append(flow(_of(to, estate), _of(from_, estate), back, _match(params, "sports")))
        for node in nodes_of("at", params.at, estate):
            specs[node] = flows
    else:
        for node in from_:
            specs[node] = [flow((), _of(to, estate), there, _match(params, "dports"))]
        if back is not None:
            for node in to:
                specs[node] = [flow((), _of(from_, estate), back, _match(params, "sports"))]
    _check_arms(specs, estate)
    return {node: _spec(flows, "egress", estate) for node, flows in specs.items()}


def _ingress(
    params: Any, from_: Sequence[str], to: Sequence[str], leaf: Mapping[str, Any], estate: Estate
) -> Dict[str, Dict[str, Any]]:
    if params.ports or params.protocol != "any" or params.at is not None:
        raise InvalidInput("direction ingress shapes all packets from the peers, on the nodes of "
                           "to; it knows no ports, protocol or at")  # fmt: skip
    specs = {}
    for node in to:
        specs[node] = _spec([flow((), _of(from_, estate), leaf)], "ingress", estate)
    _check_arms(specs, estate)
    return specs


def _check_arms(specs: Mapping[str, Any], estate: Estate) -> None:
    cannot = sorted(node for node in specs if not estate.can_arm(node))
    if cannot:
        raise InvalidInput(
            f"{', '.join(cannot[:8])} can hold no lease (gameday_vantage_only)",
            "shape on a router with at, or at the other end with direction",
        )


def _spec(flows: List[Dict[str, Any]], direction: str, estate: Estate) -> Dict[str, Any]:
    return {"flows": flows, "exempt": sorted(estate.management()), "direction": direction}


def _of(nodes: Sequence[str], estate: Estate) -> List[str]:
    return [x for node in nodes for x in (*estate.addresses(node), *estate.networks(node))]


def _match(params: Any, side: str) -> str:
    found = "" if params.protocol == "any" else f"-p {params.protocol} "
    if params.ports:
        found += f"-m multiport --{side} {','.join(str(port) for port in params.ports)} "
    return found
