# SPDX-License-Identifier: Apache-2.0
"""``partition``: packets between groups of nodes vanish.

Two mechanisms, chosen by the plan or forced by the experiment:

``netfilter`` (kept by the kernel). Each armed node drops what comes *from* the other side, in
the ``raw`` table's PREROUTING: that is before connection tracking and before a CNI's rules,
sees forwarded (pod) traffic too, and looks like a lost WAN to applications. Dropping in OUTPUT
would make ``send`` fail with EPERM, which no broken WAN does; it is used only towards nodes
that hold no lease themselves (outside vantages), since nobody there would drop what we send.
Where connections are told apart, ``mangle`` is used, behind connection tracking; rejecting is
only allowed in ``filter``.

``blackhole`` (kept by a process). Routes that lead nowhere, in a table asked before all others:
for nodes whose packets bypass netfilter (eBPF host routing). There ``send`` fails with EINVAL.

This module travels to nodes: standard library only, Python 3.9 syntax.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any, Dict, FrozenSet, List, Literal, Mapping, Optional, Tuple

from gameday.errors import InvalidInput, NodeError
from gameday.faults import rules
from gameday.faults.base import Estate, Facts, KernelKept, Pair, Reach, Selector
from gameday.faults.hosts import Host
from gameday.faults.rules import AddressSet, Chain, RuleSet
from gameday.faults.sides import between, majorities_ring, nodes_of, peers
from gameday.record.types import Lease, Observation

PORTS_MAX = 15
"""What one multiport match of iptables takes."""

TABLE_BASE = 40_000
"""Numbers of routing tables for blackholes; each lease takes one above, by its id."""

TABLE_SPAN = 20_000


@dataclass(frozen=True)
class PartitionParams:
    """Parameters of ``partition``.

    Attributes:
        side_a: nodes on one side of the cut; for a ring, all members.
        side_b: nodes on the other side; not given for a ring.
        shape: halves (nothing passes, both ways), one-way (what side_a sends does not reach
            side_b), bridge (as halves, but for the nodes of bridge, which reach everybody) or
            majorities-ring (each member of side_a reaches a majority, no two the same one).
        bridge: nodes that stay on both sides, for the shape bridge.
        networks: CIDRs that belong to side_b beside its nodes' addresses, such as an API outside.
        protocol: any, tcp, udp or icmp; other packets pass.
        ports: only packets from or to these ports, for tcp and udp.
        connections: all, new (established ones live on) or established (new ones get through).
        action: drop, or reject (a reset or an ICMP error tells the sender at once).
        mechanism: auto, netfilter or blackhole.
    """

    side_a: Selector
    side_b: Optional[Selector] = None
    shape: Literal["halves", "one-way", "bridge", "majorities-ring"] = "halves"
    bridge: Optional[Selector] = None
    networks: Tuple[str, ...] = ()
    protocol: Literal["any", "tcp", "udp", "icmp"] = "any"
    ports: Tuple[int, ...] = ()
    connections: Literal["all", "new", "established"] = "all"
    action: Literal["drop", "reject"] = "drop"
    mechanism: Literal["auto", "netfilter", "blackhole"] = "auto"


class Partition(KernelKept):
    """Loss of all or some packets between groups of nodes."""

    kind = "partition"
    Params: type = PartitionParams
    imports: Tuple[str, ...] = ("pyroute2.iproute",)
    summary = "packets between groups of nodes vanish; v4 and v6, all or some of them"

    def kept_by(self, spec: Mapping[str, Any]) -> str:
        """Rules have a window, routes have none."""
        return "process" if spec.get("mechanism") == "blackhole" else "kernel"

    def drives(self, spec: Mapping[str, Any]) -> bool:
        """Routes must be put in place at the window's start."""
        return spec.get("mechanism") == "blackhole"

    def spread(self, params: PartitionParams, estate: Estate) -> Dict[str, Dict[str, Any]]:
        """One spec per armable node of either side.

        Raises:
            InvalidInput: where a side is empty, a node is on both, or none can be armed.
        """
        cut = _cut(params, estate)
        _check(params)
        side_a = set(estate.select(params.side_a))
        sources, targets = peers(cut)
        specs: Dict[str, Dict[str, Any]] = {}
        for node in sorted({*side_a, *sources, *targets}):
            if not estate.can_arm(node):
                continue
            black = _mechanism(params, estate, node) == "blackhole"
            ends = sources.get(node, []), targets.get(node, [])
            outside = params.networks if node in side_a else ()
            spec = _spec(params, (node, *ends), outside, estate, black)
            if spec["from"] or spec["to"]:
                specs[node] = spec
        if not specs:
            raise InvalidInput("no node of either side can be armed")
        return specs

    def reach(self, params: PartitionParams, estate: Estate) -> Reach:
        """The pairs of the shape; a cut of some ports or connections leaves echoes alone."""
        partial = params.ports or params.protocol in ("tcp", "udp") or params.connections != "all"
        return Reach(frozenset() if partial else _cut(params, estate))

    def available(self, facts: Facts) -> Optional[str]:
        """The first missing piece, and what helps."""
        found: Optional[str] = rules.missing(facts.missing)
        return found

    def claims(self, spec: Mapping[str, Any]) -> Tuple[str, ...]:
        """The peers it cuts; a second cut of the same peer overlaps."""
        return tuple(f"cut {address}" for address in sorted({*spec["from"], *spec["to"]}))

    def explain(self, lease: Lease) -> Tuple[List[str], List[str]]:
        """The same batches or routes that the node applies, and their undo."""
        if not _is_black(lease):
            return _rules(lease).explain()
        table = _table(lease)
        routes = [f"ip route add blackhole {x} table {table}" for x in lease.spec["to"]]
        rule = f"rule add priority 90 lookup {table}"
        undo = f"rule del priority 90 lookup {table}"
        return [*routes, f"ip {rule}", f"ip -6 {rule}"], [
            f"ip {undo}", f"ip -6 {undo}", f"ip route flush table {table}",
        ]  # fmt: skip

    def before(self, lease: Lease, host: Host) -> Dict[str, Any]:
        """Everybody else's rules as digests; for routes, that the table is nobody's."""
        found = _rules(lease).before(host)
        if _is_black(lease):
            there = host.traffic.blackholed(_table(lease))
            if there:
                raise NodeError(f"routing table {_table(lease)} holds {', '.join(there)}")
            rules.spare_ours(lease.spec["to"], lease.spec["exempt"], found["controller"])
        return found

    def arm(self, lease: Lease, before: Mapping[str, Any], host: Host) -> None:
        """Rules, inert until the window; routes wait for ``drive``."""
        if not _is_black(lease):
            _rules(lease).arm(before, host)

    def drive(
        self, lease: Lease, before: Mapping[str, Any], host: Host, since_ns: int
    ) -> Optional[int]:
        """Put the routes in place."""
        if _is_black(lease):
            host.traffic.blackhole(_table(lease), lease.spec["to"])
        return None

    def observe(self, lease: Lease, before: Mapping[str, Any], host: Host) -> Observation:
        """All pieces there: armed or active; none: absent; some: foreign."""
        if not _is_black(lease):
            return _rules(lease).observe(before, host)
        table = _table(lease)
        there = host.traffic.blackholed(table)
        left = [f"{x} of routing table {table}: remove with `ip rule del lookup {table}; "
                f"ip -6 rule del lookup {table}; ip route flush table {table}; "
                f"ip -6 route flush table {table}`" for x in there]  # fmt: skip
        wanted = {str(ipaddress.ip_network(x, strict=False)) for x in lease.spec["to"]}
        state = "absent" if not there else "active" if wanted < set(there) else "foreign"
        return Observation(state, tuple(left), {"routes": len(there)}, ())

    def disarm(self, lease: Lease, before: Mapping[str, Any], host: Host) -> List[str]:
        """Remove what is there of the lease."""
        if not _is_black(lease):
            return _rules(lease).disarm(before, host)
        table = _table(lease)
        return [f"routing table {table} removed"] if host.traffic.undo_blackhole(table) else []


def _check(params: PartitionParams) -> None:
    if params.ports and params.protocol not in ("tcp", "udp"):
        raise InvalidInput("ports need protocol tcp or udp")
    if len(params.ports) > PORTS_MAX:
        raise InvalidInput(f"ports: at most {PORTS_MAX}")
    bad = [port for port in params.ports if not 0 < port < 65_536]
    if bad:
        raise InvalidInput(f"ports: {bad[0]} is not a port")
    for network in params.networks:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise InvalidInput(f"networks: {error}", "write it as 192.0.2.0/24") from error
    whole = params.protocol == "any" and params.connections == "all" and params.action == "drop"
    if params.mechanism == "blackhole" and not whole:
        raise InvalidInput("mechanism blackhole drops all packets; it knows no ports, protocols, "
                           "connections or rejecting", "use netfilter")  # fmt: skip


def _cut(params: PartitionParams, estate: Estate) -> FrozenSet[Pair]:
    """Directed pairs of nodes; none where side_b is only networks."""
    side_a = nodes_of("side_a", params.side_a, estate)
    if params.shape == "majorities-ring":
        if params.side_b is not None:
            raise InvalidInput("side_b is not for a ring: side_a selects all its members")
        return majorities_ring(side_a)
    if params.side_b is None:
        if not params.networks:
            raise InvalidInput("side_b is missing", "name the nodes or networks to cut off")
        return frozenset()
    side_b = nodes_of("side_b", params.side_b, estate)
    if (params.shape == "bridge") != (params.bridge is not None):
        raise InvalidInput("bridge names nodes, and goes with shape: bridge")
    if params.bridge is not None:
        spared = set(nodes_of("bridge", params.bridge, estate))
        side_a = tuple(node for node in side_a if node not in spared)
        side_b = tuple(node for node in side_b if node not in spared)
    return between(side_a, side_b, params.shape == "one-way")


def _spec(
    params: PartitionParams, ends: Tuple[str, List[str], List[str]], outside: Tuple[str, ...],
    estate: Estate, black: bool,
) -> Dict[str, Any]:  # fmt: skip
    node, from_, to = ends
    if black:
        deaf = [a for a in from_ if not estate.can_arm(a)]
        if deaf and params.shape == "one-way":
            raise InvalidInput(f"{deaf[0]} can hold no lease, and routes on {node} cannot stop "
                               "what it sends", "use mechanism netfilter")  # fmt: skip
        from_ = []
    else:
        to = [b for b in to if not estate.can_arm(b)]
    inward = () if black or params.shape == "one-way" else outside
    own = set(estate.networks(node))
    shared = sorted(own & {x for peer in (*from_, *to) for x in estate.networks(peer)})
    if shared:
        raise InvalidInput(f"network {shared[0]} is on both sides of the cut",
                           "gameday_networks of a node are those of its own pods")  # fmt: skip
    return {
        "from": sorted({*_reached(from_, estate), *inward}),
        "to": sorted({*_reached(to, estate), *outside}),
        "exempt": sorted(estate.management()),
        "match": _match(params),
        "table": _packet_table(params),
        "action": params.action,
        "mechanism": "blackhole" if black else "netfilter",
    }


def _reached(nodes: List[str], estate: Estate) -> List[str]:
    return [x for node in nodes for x in (*estate.addresses(node), *estate.networks(node))]


def _mechanism(params: PartitionParams, estate: Estate, node: str) -> str:
    if params.mechanism != "auto":
        return params.mechanism
    return "blackhole" if estate.bypasses_netfilter(node) else "netfilter"


def _match(params: PartitionParams) -> str:
    found = "" if params.protocol == "any" else f"-p {params.protocol} "
    if params.ports:
        found += f"-m multiport --ports {','.join(str(port) for port in params.ports)} "
    states = {"new": "NEW", "established": "ESTABLISHED,RELATED"}
    if params.connections != "all":
        found += f"-m conntrack --ctstate {states[params.connections]} "
    return found


def _packet_table(params: PartitionParams) -> str:
    if params.action == "reject":
        return "filter"
    return "raw" if params.connections == "all" else "mangle"


def _rules(lease: Lease) -> RuleSet:
    spec = lease.spec
    match, drops = spec["match"], _targets(spec)
    arriving = [f"-m set --match-set {{set:f}} src {match}{{tag:matched}}"]
    leaving = []
    for more, target in drops:
        arriving += [
            f"-m set --match-set {{set:f}} src {match}{more}{{window}} {{tag:cut}} {target}",
            f"-m set --match-set {{set:t}} dst {match}{more}{{window}} {{tag:cut-forwarded}} "
            f"{target}",
        ]
        leaving.append(
            f"-m set --match-set {{set:t}} dst {match}{more}{{window}} {{tag:cut-out}} {target}"
        )
    bases = (("I", "INPUT"), ("F", "FORWARD")) if spec["table"] == "filter" else (
        ("I", "PREROUTING"),)  # fmt: skip
    chains = [Chain(letter, base, tuple(arriving)) for letter, base in bases]
    chains.append(Chain("O", "OUTPUT", tuple(leaving), "dst"))
    sets = [AddressSet("f", tuple(spec["from"])), AddressSet("t", tuple(spec["to"])),
            AddressSet("m", tuple(spec["exempt"]), timed=False)]  # fmt: skip
    return RuleSet(lease, spec["table"], chains, sets)


def _targets(spec: Mapping[str, Any]) -> List[Tuple[str, str]]:
    """(further match, target) of the rules that stop a packet."""
    if spec["action"] == "drop":
        return [("", "-j DROP")]
    if spec["match"].startswith("-p"):
        reset = " --reject-with tcp-reset" if "-p tcp" in spec["match"] else ""
        return [("", f"-j REJECT{reset}")]
    return [("-p tcp ", "-j REJECT --reject-with tcp-reset"), ("", "-j REJECT")]


def _is_black(lease: Lease) -> bool:
    return bool(lease.spec["mechanism"] == "blackhole")


def _table(lease: Lease) -> int:
    return TABLE_BASE + int(lease.id, 16) % TABLE_SPAN


FAULT = Partition()
