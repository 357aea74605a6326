# SPDX-License-Identifier: Apache-2.0
"""Tagged packet filter rules and address sets of one lease, kept in time by the kernel.

Every kind that works on packets gives a ``RuleSet`` per lease; what it makes on a node, per
address family, ``<id>`` being the lease's id:

- ipsets ``gd-<id>-<word><family>``: entries that select traffic carry a timeout on the
  monotonic clock, so that a stepped wall clock cannot prolong the fault;
- chains ``GD-<id>-<letter>`` in one table, whose effective rules match only inside the window
  (``-m time``; its stop second is inclusive);
- one jump to each, first in its base chain, tagged ``gameday:<id>``.

This module travels to nodes: standard library only, Python 3.9 syntax.
"""

from __future__ import annotations

import ipaddress
import json
import time
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from gameday.clock import NS_PER_S
from gameday.errors import NodeError
from gameday.faults.hosts import Host
from gameday.record.types import Lease, Observation

FAMILIES = (4, 6)
NEEDS = ("iptables", "iptables-time", "iptables-set", "ip6tables", "ipset")

SET_TIMEOUT_S_MAX = 2_147_483
"""The kernel's own limit on an ipset entry's timeout."""

EXEMPT_WORD = "m"
"""The word of the set that holds what is exempt; the controller is added to it on the node."""


@dataclass(frozen=True)
class AddressSet:
    """One ipset of a lease: ``word`` is part of its name; timed ones empty themselves."""

    word: str
    entries: Tuple[str, ...]
    timed: bool = True


@dataclass(frozen=True)
class Chain:
    """One chain of a lease.

    Attributes:
        letter: part of its name. base: built-in chain that jumps to it.
        rules: without ``-A <chain>``, after the exemptions; "{set:x}" stands for the name of
            the set of word x, "{window}" for the time match, "{tag:x}" for the comment.
        exempt: which end of a packet is compared with the exemptions: "src", "dst" or "both".
    """

    letter: str
    base: str
    rules: Tuple[str, ...]
    exempt: str = "src"


def spare_ours(networks: Sequence[str], exempt: Sequence[str], controller: str) -> None:
    """Where no rule can exempt our own path: refuse what would hit it.

    Raises:
        NodeError: where one of ``networks`` holds the controller's address, or overlaps with a
            management network.
    """
    for text in networks:
        network = ipaddress.ip_network(text, strict=False)
        for own in (*exempt, controller):
            ours = ipaddress.ip_network(own, strict=False)
            if ours.version == network.version and ours.overlaps(network):
                raise NodeError(
                    f"{text} would cut our own path: {own} lies in it; use mechanism netfilter, "
                    "or leave it out"
                )


class RuleSet:
    """The rules of one lease.

    Args:
        table: "raw", "mangle" or "filter". chains, sets: what the lease has there; rules that
            name a set are left out for families in which that set has no entry.
    """

    def __init__(
        self, lease: Lease, table: str, chains: Sequence[Chain], sets: Sequence[AddressSet]
    ) -> None:
        self.lease, self.table, self.chains, self.sets = lease, table, chains, sets

    def explain(self, ssh_port: int = 22) -> Tuple[List[str], List[str]]:
        """The same batches that a node applies, and their undo, as lines for people."""
        rules, undo = [], []
        for family in FAMILIES:
            for one, entries in self._entries(family):
                timeout = " timeout <until expiry>" if one.timed else ""
                inet = "inet" if family == 4 else "inet6"
                name = self._name(one.word, family)
                rules.append(f"ipset create {name} hash:net family {inet} timeout 0")
                rules += [f"ipset add {name} {entry}{timeout}" for entry in entries]
                undo.append(f"ipset destroy {name}")
            rules += [f"{_tool(family)} <<< {line}" for line in self._batch(family, ssh_port)]
            undo[:0] = [f"{_tool(family)} <<< {line}" for line in self._undo()]
        return rules, undo

    def before(self, host: Host) -> Dict[str, Any]:
        """Digest of everybody else's rules, built-in chains in use, how we are reached."""
        found: Dict[str, Any] = {"sets": list(host.ipset_names())}
        for family in FAMILIES:
            tables = host.rules(family)
            found[f"rules{family}"] = _foreign_digests(tables)
            found[f"chains{family}"] = _base_chains(tables.get(self.table, ()))
        found["controller"], found["ssh_port"] = host.controller()
        return found

    def arm(self, before: Mapping[str, Any], host: Host) -> None:
        """Sets first, then one atomic batch per family; inert until the window opens."""
        left_s = -(-(self.lease.expire_at_ns - host.wall_ns()) // NS_PER_S)
        timeout_s = min(max(left_s, 1), SET_TIMEOUT_S_MAX)
        controller = before["controller"]
        for family in FAMILIES:
            for one, entries in self._entries(family):
                own = one.word == EXEMPT_WORD and _family(controller) == family
                extra = [controller] if own and controller not in entries else []
                host.ipset_create(self._name(one.word, family), family, [*entries, *extra],
                                  timeout_s if one.timed else 0)  # fmt: skip
            host.restore(family, "\n".join(self._batch(family, before["ssh_port"])) + "\n")

    def observe(self, before: Mapping[str, Any], host: Host) -> Observation:
        """All pieces there: armed or active by the node's clock; none: absent; some: foreign."""
        expected, present, left = 0, 0, []
        counters: Dict[str, int] = {}
        foreign: List[str] = []
        names = host.ipset_names()
        for family in FAMILIES:
            tables = host.rules(family)
            for one, _ in self._entries(family):
                name = self._name(one.word, family)
                expected += 1
                if name in names:
                    present += 1
                    left.append(f"ipset {name}: remove with `ipset destroy {name}`")
            own = [x for x in tables.get(self.table, ()) if _is_own(x, self.lease.id)]
            for what, undo in self._own_lines(own, family).items():
                left.append(f"IPv{family} {self.table} {what}: remove with `{undo}`")
            wanted = {x for x in self._batch(family, before["ssh_port"]) if x[0] == "-"}
            expected += len(wanted)
            present += min(len(wanted), sum(1 for line in own if line.startswith("-A")))
            for key, count in host.rule_counters(family, self.lease.id).items():
                counters[key] = counters.get(key, 0) + count
            foreign += _changed(before.get(f"rules{family}", {}), _foreign_digests(tables), family)
        state = _state(self.lease, expected, present, bool(left), host.wall_ns())
        return Observation(state, tuple(left), counters, tuple(foreign))

    def disarm(self, before: Mapping[str, Any], host: Host) -> List[str]:
        """Remove jumps, chains and sets of this lease, whatever part of them is there."""
        done = []
        for family in FAMILIES:
            lines = host.rules(family).get(self.table, ())
            own = [x for x in lines if _is_own(x, self.lease.id)]
            if own:
                host.restore(family, removal(self.table, own))
                done.append(f"IPv{family}: {len(own)} rules and chains of {self.lease.id} removed")
            known = before.get(f"chains{family}", [chain.base for chain in self.chains])
            new = [chain.base for chain in self.chains if chain.base not in known]
            if new:
                host.drop_empty_chains(family, self.table, new)
            for one in self.sets:
                name = self._name(one.word, family)
                if host.ipset_destroy(name):
                    done.append(f"ipset {name} destroyed")
        return done

    def _chain(self, chain: Chain) -> str:
        return f"GD-{self.lease.id}-{chain.letter}"

    def _name(self, word: str, family: int) -> str:
        return f"gd-{self.lease.id}-{word}{family}"

    def _entries(self, family: int) -> List[Tuple[AddressSet, List[str]]]:
        return [(one, [a for a in one.entries if _family(a) == family]) for one in self.sets]

    def _batch(self, family: int, ssh_port: int) -> List[str]:
        """The whole ``iptables-restore`` batch."""
        lines = [f"*{self.table}", *(f":{self._chain(one)} - [0:0]" for one in self.chains)]
        for chain in self.chains:
            name = self._chain(chain)
            rules = [*self._exemptions(chain, ssh_port), *chain.rules]
            lines += [f"-A {name} {self._filled(rule, family)}" for rule in rules]
        for chain in self.chains:
            comment = f'-m comment --comment "gameday:{self.lease.id}"'
            lines.append(f"-I {chain.base} 1 {comment} -j {self._chain(chain)}")
        return [*lines, "COMMIT"]

    def _exemptions(self, chain: Chain, ssh_port: int) -> List[str]:
        ends = ("src", "dst") if chain.exempt == "both" else (chain.exempt,)
        found = []
        for end in ends:
            found.append(f"-m set --match-set {{set:m}} {end} {{tag:exempt}} -j RETURN")
            port = "--dport" if end == "src" else "--sport"
            found.append(f"-p tcp {port} {ssh_port} {{tag:exempt-ssh}} -j RETURN")
        return found

    def _filled(self, rule: str, family: int) -> str:
        window = (
            f"-m time --datestart {_stamp(self.lease.fire_at_ns)} "
            f"--datestop {_stamp(self.lease.expire_at_ns - NS_PER_S)}"
        )
        rule = rule.replace("{window}", window)
        if family == 6:
            rule = rule.replace("-p icmp ", "-p ipv6-icmp ")
        for one in self.sets:
            rule = rule.replace(f"{{set:{one.word}}}", self._name(one.word, family))
        while "{tag:" in rule:
            head, rest = rule.split("{tag:", 1)
            word, tail = rest.split("}", 1)
            rule = f'{head}-m comment --comment "gameday:{self.lease.id}:{word}"{tail}'
        return rule

    def _undo(self) -> List[str]:
        names = {chain.base: self._chain(chain) for chain in self.chains}
        jumps = [
            f'-D {base} -m comment --comment "gameday:{self.lease.id}" -j {own}'
            for base, own in names.items()
        ]
        drops = [f"{verb} {own}" for verb in ("-F", "-X") for own in names.values()]
        return [f"*{self.table}", *jumps, *drops, "COMMIT"]

    def _own_lines(self, own: Sequence[str], family: int) -> Dict[str, str]:
        """Own chains and jumps that are there, each with the command that removes it by hand."""
        found = {}
        tool = ("iptables" if family == 4 else "ip6tables") + f" -t {self.table}"
        for line in own:
            words = line.split()
            if words[0].startswith(":"):
                chain = words[0][1:]
                found[chain] = f"{tool} -F {chain}; {tool} -X {chain}"
            elif _is_jump(line):
                found[f"{words[1]} jump"] = f"{tool} -D{line[2:]}"
        return found


def removal(table: str, own: Sequence[str]) -> str:
    """A batch that removes exactly the lines of ``own`` (as saved), jumps before chains."""
    chains = [line.split()[0][1:] for line in own if line.startswith(":")]
    jumps = ["-D" + line[2:] for line in own if line.startswith("-A") and _is_jump(line)]
    drops = [f"{verb} {chain}" for verb in ("-F", "-X") for chain in chains]
    return "\n".join([f"*{table}", *jumps, *drops, "COMMIT"]) + "\n"


def missing(facts_missing: Mapping[str, str], needs: Sequence[str] = NEEDS) -> Any:
    """The reason of the first need that is missing on a node, or ``None``."""
    return next((facts_missing[need] for need in needs if need in facts_missing), None)


def _family(address: str) -> int:
    return 6 if ":" in address else 4


def _tool(family: int) -> str:
    return "iptables-restore" if family == 4 else "ip6tables-restore"


def _stamp(wall_ns: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(wall_ns // NS_PER_S))


def _is_jump(line: str) -> bool:
    return not line.split()[1].startswith("GD-")


def _is_own(line: str, lease_id: str) -> bool:
    words = line.split()
    if words[0].startswith(":"):
        return words[0].startswith(f":GD-{lease_id}-")
    return words[1].startswith(f"GD-{lease_id}-") or f"gameday:{lease_id}" in line


def _foreign_digests(tables: Mapping[str, Sequence[str]]) -> Dict[str, str]:
    """Per table, the digest of all lines that no lease made; tables without rules are left out.

    A built-in chain that is empty and accepts says the same as no chain at all.
    """
    # Imported here because OpenSSL behind it is 4 MB in a keeper, which does not need it.
    import hashlib

    found = {}
    for table, lines in tables.items():
        foreign = [x for x in lines if "gameday:" not in x and not _names_own_chain(x)]
        used = {line.split()[1] for line in foreign if line.startswith("-A")}
        foreign = [
            x for x in foreign
            if not (x.startswith(":") and x.endswith(" ACCEPT") and x[1:].split()[0] not in used)
        ]  # fmt: skip
        if foreign:
            found[table] = hashlib.sha256(json.dumps(foreign).encode()).hexdigest()
    return found


def _base_chains(lines: Sequence[str]) -> List[str]:
    """Built-in chains of a table as saved: those with a policy."""
    return [x[1:].split()[0] for x in lines if x.startswith(":") and x.split()[1] != "-"]


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
