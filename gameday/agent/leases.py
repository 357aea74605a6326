# SPDX-License-Identifier: Apache-2.0
"""Arm, observe and disarm leases on this node. Receipt before mutation, always."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from typing import Any, Dict, List, Mapping, Tuple

from gameday import clock
from gameday.agent.ledger import Ledger
from gameday.errors import NodeError
from gameday.faults import TABLE
from gameday.faults.base import Fault, Host
from gameday.record.types import Lease, Observation, Receipt, from_json, to_json

ARM_MARGIN_NS = 300 * clock.NS_PER_MS
"""Arming that ends closer than this to the window's start could begin the fault late."""

LEASE_NS_MAX = 4 * 3600 * clock.NS_PER_S
"""No lease lasts longer, whatever the controller asks: a drill is over in an afternoon."""

AHEAD_NS_MAX = 600 * clock.NS_PER_S
"""No lease is armed further ahead; a forgotten one must not fire tomorrow."""

OWN_NAME = re.compile(r"gameday:([0-9a-f]{8})|GD-([0-9a-f]{8})-|^gd-([0-9a-f]{8})-")


class Leases:
    """The leases of this node."""

    def __init__(self, ledger: Ledger, host: Host) -> None:
        self.ledger = ledger
        self.host = host

    def arm(self, lease: Mapping[str, Any]) -> Dict[str, Any]:
        """Write the receipt, put the lease in place, read it back, start its reaper.

        Raises:
            NodeError: where it is too late, too long, or the kernel refused; what was put
                in place by then is removed again.
        """
        one = from_json(Lease, lease)
        fault = _fault(one.kind)
        self._check_window(one)
        with self.ledger.locked():
            before = fault.before(one, self.host)
            receipt = self._receipt(one, before)
            self.ledger.add(receipt)
            start_reaper(one.id)
            try:
                fault.arm(one, before, self.host)
                observation = fault.observe(one, before, self.host)
                if observation.state not in ("armed", "absent"):
                    raise NodeError(f"lease {one.id} reads back as {observation.state}")
                if self.host.wall_ns() > one.fire_at_ns - ARM_MARGIN_NS:
                    raise NodeError(f"lease {one.id} was armed too late to fire on time")
            except Exception:
                self._remove(receipt)
                raise
        digest = hashlib.sha256(json.dumps(to_json(receipt), sort_keys=True).encode()).hexdigest()
        return {"receipt_digest": digest, "observation": to_json(observation)}

    def observe(self, lease: str) -> Dict[str, Any]:
        """What is there of a lease now."""
        receipt = self.ledger.get(lease)
        return to_json(self._observe(receipt))

    def disarm(self, lease: str) -> Dict[str, Any]:
        """Remove a lease and read back that nothing of it is left; idempotent."""
        with self.ledger.locked():
            receipt = self.ledger.get(lease)
            done, observation = self._remove(receipt)
        return {"done": done, "observation": to_json(observation)}

    def audit(self) -> Dict[str, Any]:
        """Everything on this node that carries a lease's tag, known to the ledger or not."""
        left: List[str] = []
        for receipt in self.ledger.open_leases():
            state = self._observe(receipt).state
            left.append(f"ledger: lease {receipt.lease['id']} is open ({state})")
        for family in (4, 6):
            for table, lines in self.host.rules(family).items():
                left += [f"IPv{family} {table}: {line}" for line in lines if OWN_NAME.search(line)]
        left += [f"ipset {name}" for name in self.host.ipset_names() if OWN_NAME.search(name)]
        return {"left": left}

    def _observe(self, receipt: Receipt) -> Observation:
        lease = from_json(Lease, receipt.lease)
        return _fault(lease.kind).observe(lease, receipt.before, self.host)

    def _remove(self, receipt: Receipt) -> Tuple[List[str], Observation]:
        lease = from_json(Lease, receipt.lease)
        done = _fault(lease.kind).disarm(lease, receipt.before, self.host)
        observation = self._observe(receipt)
        if observation.state == "absent":
            self.ledger.end(lease.id)
        return done, observation

    def _check_window(self, lease: Lease) -> None:
        now = self.host.wall_ns()
        if lease.fire_at_ns - ARM_MARGIN_NS < now:
            raise NodeError(f"too late to arm: the window opens in {lease.fire_at_ns - now} ns")
        if lease.fire_at_ns - now > AHEAD_NS_MAX:
            raise NodeError(f"too far ahead: {(lease.fire_at_ns - now) // clock.NS_PER_S} s")
        if not 0 < lease.expire_at_ns - lease.fire_at_ns <= LEASE_NS_MAX:
            raise NodeError("the lease's window is empty or longer than a node allows")
        if lease.fire_at_ns % clock.NS_PER_S or lease.expire_at_ns % clock.NS_PER_S:
            raise NodeError("the lease's window is not in whole seconds")

    def _receipt(self, lease: Lease, before: Dict[str, Any]) -> Receipt:
        wall, mono = self.host.wall_ns(), self.host.mono_ns()
        return Receipt(
            to_json(lease), before, wall, mono, clock.boot_id(), mono + lease.expire_at_ns - wall
        )


def start_reaper(lease_id: str) -> None:
    """Start the process that ends a lease when everybody else is dead."""
    start_detached("reap", lease_id)


def start_detached(*arguments: str) -> int:
    """Start this program again as a session of its own; returns its process id."""
    process = subprocess.Popen(
        [sys.executable, sys.argv[0], *arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True, cwd="/",
    )  # fmt: skip
    return process.pid


def _fault(kind: str) -> Fault:
    if kind not in TABLE:
        raise NodeError(f"this agent knows no fault kind {kind!r}")
    return TABLE[kind]
