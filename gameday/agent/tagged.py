# SPDX-License-Identifier: Apache-2.0
"""Everything on this node that carries gameday's tag, whatever the ledger says of it."""

from __future__ import annotations

import re
from functools import partial
from typing import List, Sequence, Tuple

from gameday.agent import vigil
from gameday.agent.system import systemd
from gameday.agent.system.piece import Piece
from gameday.errors import NodeError
from gameday.faults import TABLE, rules
from gameday.faults.hosts import Host
from gameday.record.types import Lease, from_json

RULE = re.compile(r"gameday:([0-9a-f]{8})|[: ]GD-([0-9a-f]{8})-")
SET = re.compile(r"^gd-([0-9a-f]{8})-")


def tagged(host: Host, spared: Sequence[Lease]) -> List[Piece]:
    """All pieces but those of the leases ``spared``, in an order in which they can be removed."""
    ids = frozenset(lease.id for lease in spared)
    found = _noted(host, ids)
    if vigil.LOCAL:
        # The controller's host as holder of leases: what else is there is not this agent's.
        return found
    for family in rules.FAMILIES:
        for table, lines in sorted(host.rules(family).items()):
            found += _rules(host, family, table, [x for x in lines if _is_left(x, ids)], lines)
    for name in host.ipset_names():
        own = SET.search(name)
        if own and own.group(1) not in ids:
            undo = f"ipset destroy {name}"
            found.append(Piece(f"ipset {name}", undo, partial(host.ipset_destroy, name)))
    for field in (host.traffic, host.disks):
        ask = getattr(field, "tagged", None)
        if ask is not None:
            found += ask(spared)
    return found + _units(ids)


def _noted(host: Host, ids: frozenset[str]) -> List[Piece]:
    """What a note says of, so that it can be undone although its receipt is lost."""
    found: List[Piece] = []
    for lease_id in host.processes.noted():
        note = host.processes.kept(lease_id, across_boots=True)
        if lease_id in ids or note is None or "lease" not in note:
            continue
        lease, before = from_json(Lease, note["lease"]), note["before"]
        fault = TABLE.get(lease.kind)
        for left in fault.observe(lease, before, host).left if fault else ():
            what, _, hint = left.partition(": ")
            undo = hint.split("`")[1] if "`" in hint else hint
            remove = partial(fault.disarm, lease, before, host) if fault else str
            found.append(Piece(f"{what} (lease {lease_id})", undo, remove))
    return found


def _is_left(line: str, spared: frozenset[str]) -> bool:
    match = RULE.search(line)
    return match is not None and (match.group(1) or match.group(2)) not in spared


def _rules(
    host: Host, family: int, table: str, own: Sequence[str], lines: Sequence[str]
) -> List[Piece]:
    """One piece per chain and jump for people; the first removes all of them at once."""
    if not own:
        return []
    tool = ("iptables" if family == 4 else "ip6tables") + f" -t {table}"
    jumps = [x for x in own if x.startswith("-A") and not x.split()[1].startswith("GD-")]
    chains = [x.split()[0][1:] for x in own if x.startswith(":")]
    # A chain that its own rules keep alive goes only after the jumps to it.
    shown = [(f"jump in {x.split()[1]}", f"{tool} -D{x[2:]}") for x in jumps]
    shown += [(f"chain {x}", f"{tool} -F {x}; {tool} -X {x}") for x in chains]

    def remove() -> None:
        now = [x for x in host.rules(family).get(table, ()) if x in own]
        if now:
            host.restore(family, rules.removal(table, now))
        bases = sorted({x.split()[1] for x in jumps})
        accepting = [base for base in bases if f":{base} ACCEPT" in lines]
        # Without its receipt nobody knows whether the lease made the base chain; an empty one
        # that accepts says the same as none.
        host.drop_empty_chains(family, table, accepting)

    return [Piece(f"IPv{family} {table}: {what}", undo, remove) for what, undo in shown]


def _units(ids: frozenset[str]) -> List[Piece]:
    found: List[Piece] = []
    for unit in systemd.timers():
        if unit.split(".")[0].rpartition("-")[2] not in ids:
            found.append(
                Piece(f"systemd {unit}", f"systemctl stop {unit}", partial(systemd.stop, unit))
            )
    if not ids and systemd.has_boot_unit():
        undo = f"rm {systemd.BOOT_WANTED} {systemd.BOOT_UNIT}"
        found.append(Piece(str(systemd.BOOT_UNIT), undo, systemd.remove_boot_unit))
    return found


def remove(pieces: Sequence[Piece]) -> Tuple[List[str], List[str]]:
    """Remove all of them; returns (what was removed, why something was not)."""
    done, trouble = [], []
    for piece in pieces:
        try:
            piece.remove()
            done.append(piece.what)
        except (NodeError, OSError) as error:
            trouble.append(f"{piece.what}: {error}")
    return done, trouble
