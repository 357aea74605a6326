# SPDX-License-Identifier: Apache-2.0
"""``partition``: packets between two groups of nodes vanish, kept in time by the kernel.

Each armed node drops what comes *from* the other side, in the ``raw`` table's PREROUTING:
that is before connection tracking and before a CNI's rules, sees forwarded (pod) traffic
too, and looks like a lost WAN to applications. Dropping in OUTPUT would make ``send``
fail with EPERM, which no broken WAN does; it is used only towards nodes that hold no lease
themselves (outside vantages), since nobody there would drop what we send.

What each lease makes on its node, per address family (4 and 6), ``<id>`` being its id:

- ipsets ``gd-<id>-f<family>`` (peers to drop from) and ``gd-<id>-t<family>`` (peers to
  drop towards): entries carry a timeout on the monotonic clock, so that a stepped wall
  clock cannot prolong the fault; ``gd-<id>-m<family>`` holds what is exempt;
- chains ``GD-<id>-I`` and ``GD-<id>-O`` in ``raw``, whose DROP rules match only inside the
  window (``-m time``); the stop second of that match is inclusive;
- one jump to each, from PREROUTING and OUTPUT, tagged ``gameday:<id>``.

This module travels to nodes: standard library only, Python 3.9 syntax.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from gameday.clock import NS_PER_S
from gameday.errors import InvalidInput
from gameday.faults.base import Estate, Facts, KernelKept, Reach, Selector
from gameday.faults.hosts import Host
from gameday.record.types import Lease, Observation

FAMILIES = (4, 6)
TABLE = "raw"
NEEDS = ("iptables", "iptables-time", "iptables-set", "ip6tables", "ipset")

SET_TIMEOUT_S_MAX = 2_147_483
"""The kernel's own limit on an ipset entry's timeout."""


@dataclass(frozen=True)
class PartitionParams:
    """Parameters of ``partition``.

    Attributes:
        side_a: nodes on one side of the cut.
        side_b: nodes on the other side; no packet passes between the two, both ways.
    """

    side_a: Selector
    side_b: Selector


class Partition(KernelKept):
    """Symmetric loss of all packets between two groups of nodes."""

    kind = "partition"
    Params: type = PartitionParams
    summary = "packets between two groups of nodes vanish, both ways, v4 and v6"

    def spread(self, params: PartitionParams, estate: Estate) -> Dict[str, Dict[str, Any]]:
        """One spec per armable node of either side.

        Raises:
            InvalidInput: where a side is empty, a node is on both, or none can be armed.
        """
        side_a, side_b = _sides(params, estate)
        specs: Dict[str, Dict[str, Any]] = {}
        for mine, other in ((side_a, side_b), (side_b, side_a)):
            for node in mine:
                if estate.can_arm(node):
                    specs[node] = _spec(other, estate)
        if not specs:
            raise InvalidInput("no node of either side can be armed")
        return specs

    def reach(self, params: PartitionParams, estate: Estate) -> Reach:
        """Every pair across the cut, in both directions."""
        side_a, side_b = _sides(params, estate)
        there = {(a, b) for a in side_a for b in side_b}
        return Reach(frozenset(there | {(b, a) for a, b in there}))

    def available(self, facts: Facts) -> Optional[str]:
        """The first missing piece, and what helps."""
        for need in NEEDS:
            if need in facts.missing:
                return facts.missing[need]
        return None

    def claims(self, spec: Mapping[str, Any]) -> Tuple[str, ...]:
        """The pairs of addresses it cuts; a second cut of the same peer overlaps."""
        return tuple(f"cut {address}" for address in spec["from"])

    def explain(self, lease: Lease) -> Tuple[List[str], List[str]]:
        """The same batches that the node applies, and their undo."""
        rules, undo = [], []
        for family in FAMILIES:
            for name, entries, timed in _sets(lease, family):
                timeout = " timeout <until expiry>" if timed else ""
                inet = "inet" if family == 4 else "inet6"
                rules.append(f"ipset create {name} hash:net family {inet} timeout 0")
                rules += [f"ipset add {name} {entry}{timeout}" for entry in entries]
                undo.append(f"ipset destroy {name}")
            rules += [f"{_tool(family)} <<< {line}" for line in _batch(lease, family, 22)]
            undo[:0] = [f"{_tool(family)} <<< {line}" for line in _undo_batch(lease.id, family)]
        return rules, undo

    def before(self, lease: Lease, host: Host) -> Dict[str, Any]:
        """Digest of everybody else's rules, whether ``raw`` was there, and how we are reached."""
        found: Dict[str, Any] = {"sets": list(host.ipset_names())}
        for family in FAMILIES:
            tables = host.rules(family)
            found[f"rules{family}"] = _foreign_digests(tables)
            found[f"raw{family}"] = TABLE in tables
        address, port = host.controller()
        found["controller"], found["ssh_port"] = address, port
        return found

    def arm(self, lease: Lease, before: Mapping[str, Any], host: Host) -> None:
        """Sets first, then one atomic batch per family; inert until the window opens."""
        left_s = -(-(lease.expire_at_ns - host.wall_ns()) // NS_PER_S)
        timeout_s = min(max(left_s, 1), SET_TIMEOUT_S_MAX)
        controller = before["controller"]
        for family in FAMILIES:
            for name, entries, timed in _sets(lease, family):
                extra = [controller] if not timed and _family(controller) == family else []
                host.ipset_create(name, family, [*entries, *extra], timeout_s if timed else 0)
            host.restore(family, "\n".join(_batch(lease, family, before["ssh_port"])) + "\n")

    def observe(self, lease: Lease, before: Mapping[str, Any], host: Host) -> Observation:
        """All pieces there: armed or active by the node's clock; none: absent; some: foreign."""
        expected, present, left = 0, 0, []
        counters: Dict[str, int] = {}
        foreign: List[str] = []
        names = host.ipset_names()
        for family in FAMILIES:
            tables = host.rules(family)
            for name, _, _ in _sets(lease, family):
                expected += 1
                if name in names:
                    present += 1
                    left.append(f"ipset {name}: remove with `ipset destroy {name}`")
            for what, undo in _own_lines(tables.get(TABLE, ()), lease.id, family).items():
                left.append(f"IPv{family} raw {what}: remove with `{undo}`")
            wanted = {line for line in _batch(lease, family, before["ssh_port"]) if line[0] == "-"}
            expected += len(wanted)
            own = [line for line in tables.get(TABLE, ()) if _is_own(line, lease.id)]
            present += min(len(wanted), sum(1 for line in own if line.startswith("-A")))
            for key, count in host.rule_counters(family, lease.id).items():
                counters[key] = counters.get(key, 0) + count
            foreign += _changed(before.get(f"rules{family}", {}), _foreign_digests(tables), family)
        return Observation(
            _state(lease, expected, present, bool(left), host.wall_ns()),
            tuple(left), counters, tuple(foreign),
        )  # fmt: skip

    def disarm(self, lease: Lease, before: Mapping[str, Any], host: Host) -> List[str]:
        """Remove jumps, chains and sets of this lease, whatever part of them is there."""
        done = []
        for family in FAMILIES:
            own = [x for x in host.rules(family).get(TABLE, ()) if _is_own(x, lease.id)]
            if own:
                host.restore(family, _removal(own, lease.id))
                done.append(f"IPv{family}: {len(own)} rules and chains of {lease.id} removed")
            if not before.get(f"raw{family}", True):
                host.drop_empty_chains(family, TABLE, ("PREROUTING", "OUTPUT"))
            for name in (f"gd-{lease.id}-{side}{family}" for side in "ftm"):
                if host.ipset_destroy(name):
                    done.append(f"ipset {name} destroyed")
        return done


def _sides(params: PartitionParams, estate: Estate) -> Tuple[Tuple[str, ...], Tuple[str, ...]]:
    sides = []
    for name, selector in (("side_a", params.side_a), ("side_b", params.side_b)):
        nodes = estate.select(selector)
        if not nodes:
            raise InvalidInput(f"{name} selects no node", "name a site, rack, role or node")
        sides.append(nodes)
    both = sorted(set(sides[0]) & set(sides[1]))
    if both:
        raise InvalidInput(f"on both sides of the cut: {', '.join(both)}")
    return sides[0], sides[1]


def _spec(other: Sequence[str], estate: Estate) -> Dict[str, Any]:
    drop_from = sorted(a for node in other for a in estate.addresses(node))
    unarmed = [node for node in other if not estate.can_arm(node)]
    drop_to = sorted(a for node in unarmed for a in estate.addresses(node))
    return {"from": drop_from, "to": drop_to, "exempt": sorted(estate.management())}


def _family(address: str) -> int:
    return 6 if ":" in address else 4


def _tool(family: int) -> str:
    return "iptables-restore" if family == 4 else "ip6tables-restore"


def _sets(lease: Lease, family: int) -> List[Tuple[str, List[str], bool]]:
    """(name, entries, whether entries expire) of every set of the lease and family."""
    found = []
    for side, key, timed in (("f", "from", True), ("t", "to", True), ("m", "exempt", False)):
        entries = [a for a in lease.spec[key] if _family(a) == family]
        found.append((f"gd-{lease.id}-{side}{family}", entries, timed))
    return found


def _stamp(wall_ns: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(wall_ns // NS_PER_S))


def _batch(lease: Lease, family: int, ssh_port: int) -> List[str]:
    """The whole ``iptables-restore`` batch; the last rules are the only ones that drop."""
    tag, chain_in, chain_out = f"gameday:{lease.id}", f"GD-{lease.id}-I", f"GD-{lease.id}-O"
    window = (
        f"-m time --datestart {_stamp(lease.fire_at_ns)} "
        f"--datestop {_stamp(lease.expire_at_ns - NS_PER_S)}"
    )
    f, t, m = (f"-m set --match-set gd-{lease.id}-{side}{family}" for side in "ftm")

    def comment(word: str) -> str:
        return f'-m comment --comment "{tag}:{word}"'

    return [
        f"*{TABLE}",
        f":{chain_in} - [0:0]",
        f":{chain_out} - [0:0]",
        f"-A {chain_in} {m} src {comment('exempt')} -j RETURN",
        f"-A {chain_in} -p tcp --dport {ssh_port} {comment('exempt-ssh')} -j RETURN",
        f"-A {chain_in} {f} src {comment('matched')}",
        f"-A {chain_in} {f} src {window} {comment('cut')} -j DROP",
        f"-A {chain_in} {t} dst {window} {comment('cut-forwarded')} -j DROP",
        f"-A {chain_out} {m} dst {comment('exempt')} -j RETURN",
        f"-A {chain_out} -p tcp --sport {ssh_port} {comment('exempt-ssh')} -j RETURN",
        f"-A {chain_out} {t} dst {window} {comment('cut-out')} -j DROP",
        f'-I PREROUTING 1 -m comment --comment "{tag}" -j {chain_in}',
        f'-I OUTPUT 1 -m comment --comment "{tag}" -j {chain_out}',
        "COMMIT",
    ]


def _undo_batch(lease_id: str, family: int) -> List[str]:
    chains = {"PREROUTING": f"GD-{lease_id}-I", "OUTPUT": f"GD-{lease_id}-O"}
    jumps = [
        f'-D {base} -m comment --comment "gameday:{lease_id}" -j {own}'
        for base, own in chains.items()
    ]
    drops = [f"{verb} {own}" for verb in ("-F", "-X") for own in chains.values()]
    return [f"*{TABLE}", *jumps, *drops, "COMMIT"]


def _removal(own: Sequence[str], lease_id: str) -> str:
    """A batch that removes exactly the lines of ``own`` (as saved), jumps before chains."""
    chains = [line.split()[0][1:] for line in own if line.startswith(":")]
    jumps = ["-D" + line[2:] for line in own if line.startswith("-A") and _is_jump(line)]
    drops = [f"{verb} {chain}" for verb in ("-F", "-X") for chain in chains]
    return "\n".join([f"*{TABLE}", *jumps, *drops, "COMMIT"]) + "\n"


def _is_jump(line: str) -> bool:
    return not line.split()[1].startswith("GD-")


def _is_own(line: str, lease_id: str) -> bool:
    words = line.split()
    if words[0].startswith(":"):
        return words[0].startswith(f":GD-{lease_id}-")
    return words[1].startswith(f"GD-{lease_id}-") or f"gameday:{lease_id}" in line


def _own_lines(saved: Sequence[str], lease_id: str, family: int) -> Dict[str, str]:
    """Own chains and jumps that are there, each with the command that removes it by hand."""
    found = {}
    raw = ("iptables" if family == 4 else "ip6tables") + " -t raw"
    for line in saved:
        if not _is_own(line, lease_id):
            continue
        words = line.split()
        if words[0].startswith(":"):
            chain = words[0][1:]
            found[chain] = f"{raw} -F {chain}; {raw} -X {chain}"
        elif _is_jump(line):
            found[f"{words[1]} jump"] = f"{raw} -D{line[2:]}"
    return found


def _foreign_digests(tables: Mapping[str, Sequence[str]]) -> Dict[str, str]:
    """Per table, the digest of all lines that no lease made; tables without rules are left out.

    A table whose built-in chains are empty says the same as no table at all.
    """
    # Imported here because OpenSSL behind it is 4 MB in a keeper of another kind.
    import hashlib

    found = {}
    for table, lines in tables.items():
        foreign = [x for x in lines if "gameday:" not in x and not _names_own_chain(x)]
        if any(line.startswith("-A") or line.split()[1] not in ("ACCEPT",) for line in foreign):
            found[table] = hashlib.sha256(json.dumps(foreign).encode()).hexdigest()
    return found


def _names_own_chain(line: str) -> bool:
    words = line.split()
    return words[0].startswith(":GD-") or (len(words) > 1 and words[1].startswith("GD-"))


def _changed(was: Mapping[str, str], now: Mapping[str, str], family: int) -> List[str]:
    odd = sorted(table for table in {*was, *now} if was.get(table) != now.get(table))
    return [f"IPv{family} table {table}: rules that are not ours changed" for table in odd]


def _state(lease: Lease, expected: int, present: int, any_left: bool, wall_ns: int) -> str:
    if not any_left:
        return "absent"
    if present < expected:
        return "foreign"
    return "active" if lease.fire_at_ns <= wall_ns < lease.expire_at_ns else "armed"


FAULT = Partition()
