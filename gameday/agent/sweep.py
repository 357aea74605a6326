# SPDX-License-Identifier: Apache-2.0
"""End what any run left on this node, with the ledger's help and without it.

A lease whose window is not over may belong to a run that is going on: it is left alone unless
the controller insists.
"""

from __future__ import annotations

from typing import Any, Dict, FrozenSet, List

from gameday import clock
from gameday.agent.leases import Leases
from gameday.agent.ledger import Ledger
from gameday.agent.tagged import remove, tagged
from gameday.errors import GamedayError
from gameday.record.types import Lease, Receipt, from_json

ROUNDS = 2
"""A lease that could not be ended by its own kind may end once its pieces are gone."""


def sweep(leases: Leases, force: bool = False, look: bool = False) -> Dict[str, Any]:
    """End leases, remove what is tagged but in no ledger, read back.

    Args:
        leases: of this node.
        force: also end leases whose window is not over.
        look: change nothing; "left" is then what would be ended and removed.

    Returns:
        "spared": leases that may belong to a living run, each with "lease", "run", "kind" and
        "ends_in_s"; "done": what was ended and removed; "left": what is there still, each with
        the command that removes it by hand; "trouble": what failed on the way.
    """
    ledger = leases.ledger
    done: List[str] = []
    trouble: List[str] = []
    if not look:
        for path in ledger.damaged():
            # What it stood for is removed by its tag instead.
            ledger.set_aside(path)
            done.append(f"receipt {path} is damaged: set aside")
        for _ in range(ROUNDS):
            trouble = _end(leases, force, done)
            with ledger.locked():
                # Whoever armed a lease meanwhile has its receipt on disk by now.
                spared = [from_json(Lease, one.lease) for one in _spared(ledger, force)]
                removed, failed = remove(tagged(leases.host, spared))
            done += removed
            trouble += failed
            if not trouble:
                break
    spared_now = _spared(ledger, force)
    return {
        "spared": [_told(one) for one in spared_now],
        "done": done,
        "left": _left(leases, frozenset(str(one.lease["id"]) for one in spared_now)),
        "trouble": trouble,
    }


def _end(leases: Leases, force: bool, done: List[str]) -> List[str]:
    """End every lease that is not spared; returns what failed."""
    trouble = []
    spared = [one.lease["id"] for one in _spared(leases.ledger, force)]
    for receipt in leases.ledger.open_leases():
        lease_id = str(receipt.lease["id"])
        if lease_id in spared:
            continue
        try:
            leases.disarm(lease_id)
            done.append(f"lease {lease_id} of {receipt.lease['run']}")
        except (GamedayError, OSError) as error:
            trouble.append(f"lease {lease_id}: {error}")
    return trouble


def _left(leases: Leases, spared: FrozenSet[str]) -> List[str]:
    ledger = leases.ledger
    receipts = ledger.open_leases(skip_damaged=True)
    known = [from_json(Lease, one.lease) for one in receipts]
    left = [piece.line for piece in tagged(leases.host, known)]
    for lease in known:
        if lease.id not in spared:
            left.append(f"lease {lease.id} of {lease.run} is open")
            try:
                left += leases.observe(lease.id)["left"]
            except (GamedayError, OSError) as error:
                left.append(f"lease {lease.id} cannot be read back: {error}")
    return left + [f"damaged receipt {path}: remove with `rm {path}`" for path in ledger.damaged()]


def _spared(ledger: Ledger, force: bool) -> List[Receipt]:
    if force:
        return []
    return [one for one in ledger.open_leases(skip_damaged=True) if _may_live(one)]


def _may_live(receipt: Receipt) -> bool:
    return receipt.boot_id == clock.boot_id() and clock.mono_ns() < receipt.expire_mono_ns


def _told(receipt: Receipt) -> Dict[str, Any]:
    lease, left_ns = receipt.lease, receipt.expire_mono_ns - clock.mono_ns()
    return {"lease": lease["id"], "run": lease["run"], "kind": lease["kind"],
            "ends_in_s": -(-left_ns // clock.NS_PER_S)}  # fmt: skip
