# SPDX-License-Identifier: Apache-2.0
"""Arm, observe and disarm leases on this node. Receipt before mutation, always."""

from __future__ import annotations

import contextlib
import importlib
import json
from dataclasses import replace
from typing import Any, ContextManager, Dict, List, Mapping, Optional, Sequence, Tuple

from gameday import clock
from gameday.agent import guards, vigil
from gameday.agent.ledger import Ledger
from gameday.agent.moments import BEGAN, DONE, GONE, TRY, Moments
from gameday.agent.system import boot_local, systemd
from gameday.errors import GamedayError, NodeError, Untouched
from gameday.faults import TABLE
from gameday.faults.base import Fault
from gameday.faults.hosts import Host
from gameday.record.types import Lease, Observation, Receipt, from_json, to_json

ARM_MARGIN_NS = 300 * clock.NS_PER_MS
"""Arming that ends closer than this to the window's start could begin the fault late."""

LEASE_NS_MAX = 4 * 3600 * clock.NS_PER_S
"""No lease lasts longer, whatever the controller asks: a drill is over in an afternoon."""

AHEAD_NS_MAX = 600 * clock.NS_PER_S
"""No lease is armed further ahead; a forgotten one must not fire tomorrow."""

LEASES_MAX = 16
"""Open leases of one node: a game day has a handful, and each has processes of its own."""

DRIVE_RETRY_NS = 500 * clock.NS_PER_MS
"""Before a kind that failed to start its effect is asked again."""


class Leases:
    """The leases of this node."""

    def __init__(self, ledger: Ledger, host: Host) -> None:
        self.ledger = ledger
        self.host = host
        self._moments = Moments(ledger.entries)

    def arm(self, lease: Mapping[str, Any]) -> Dict[str, Any]:
        """Write the receipt, put the lease in place, read it back, start its reaper.

        Raises:
            NodeError: where it is too late, too long, or the kernel refused; what was put
                in place by then is removed again.
        """
        one = from_json(Lease, lease)
        fault = fault_of(one.kind)
        self._check_window(one)
        # Another system may take its time to answer, and nobody else's lease waits for that.
        early = fault.before(one, self.host) if fault.apart else None
        with self.ledger.locked():
            self._check_count()
            before = fault.before(one, self.host) if early is None else early
            receipt = self._receipt(one, before)
            self.ledger.add(receipt)
            try:
                guards.start(receipt, fault, self.ledger)
                fault.arm(one, before, self.host)
                observation = self._observe(receipt)
                # Lateness first: a window that has begun meanwhile reads back as active.
                if self.host.wall_ns() > one.fire_at_ns - ARM_MARGIN_NS:
                    raise NodeError(f"lease {one.id} was armed too late to fire on time")
                if observation.state != "armed":
                    raise NodeError(f"lease {one.id} reads back as {observation.state}")
            except Exception:
                self._remove(receipt, locked=True)
                raise
        return {"receipt_digest": _digest(receipt), "observation": to_json(observation)}

    def observe(self, lease: str) -> Dict[str, Any]:
        """What is there of a lease now."""
        receipt = self.ledger.get(lease)
        return to_json(self._observe(receipt))

    def disarm(self, lease: str) -> Dict[str, Any]:
        """Remove a lease and read back that nothing of it is left; idempotent."""
        receipt = self.ledger.get(lease)
        with self._turn(self.parts(receipt)[1], lease):
            receipt = self.ledger.get(lease)
            done, observation = self._remove(receipt, locked=not self.is_apart(lease))
        return {"done": done, "observation": to_json(observation)}

    def tidy(self, ended: str = "") -> None:
        """Remove the last resort of a lease that has ended, and after the last the boot unit.

        Disarming does it too; this is for when who disarmed died or failed half way. Idempotent.

        Raises:
            NodeError: where systemd refuses.
        """
        with self.ledger.locked():
            self._tidy(ended)

    def audit(self) -> Dict[str, Any]:
        """Everything on this node that carries a lease's tag, known to the ledger or not."""
        left: List[str] = []
        for receipt in self.ledger.open_leases():
            state = self._observe(receipt).state
            left.append(f"ledger: lease {receipt.lease['id']} is open ({state})")
        # Imported here because keepers and reapers, which stay in memory, have no use for it.
        from gameday.agent.tagged import tagged

        left += [piece.line for piece in tagged(self.host, ())]
        return {"left": left}

    def drive(self, fault: Fault, lease: Lease, receipt: Receipt, since_ns: int) -> Optional[int]:
        """Let the kind start or change its effect; for the keeper, inside the window only.

        A kind that fails is asked again until the window ends: the trouble is kept for people.
        """
        # What only changes a thing that disarming removes cannot bring it back; it needs no lock.
        with contextlib.nullcontext() if fault.only_changes else self._turn(fault, lease.id):
            if not self.ledger.is_open(lease.id):
                return None
            first = self._stamp(receipt, fault, BEGAN, TRY)
            try:
                due = fault.drive(lease, receipt.before, self.host, since_ns)
            except (GamedayError, OSError) as error:
                if first and isinstance(error, Untouched):
                    self._moments.forget(lease.id, BEGAN)
                self.ledger.note(lease.id, f"driving failed: {error}")
                return since_ns + DRIVE_RETRY_NS
            self._stamp(receipt, fault, BEGAN, DONE)
            return due

    def able(self, asked: Sequence[Mapping[str, Any]]) -> Dict[str, Any]:
        """Why other systems would not do what leases ask of them; each with "kind" and "spec"."""
        found = [text for one in asked
                 for text in fault_of(one["kind"]).able(one["spec"], self.host)]  # fmt: skip
        return {"problems": list(dict.fromkeys(found))}

    def is_apart(self, lease_id: str) -> bool:
        """Whether what a lease changed is in another system, so that its end is tried for ever."""
        return self.parts(self.ledger.get(lease_id))[1].apart

    def prepare(self, lease_id: str) -> None:
        """Import what driving and ending a lease needs, where a process keeps its window.

        Raises:
            NodeError: where there is no such lease. ImportError: where a module is missing.
        """
        receipt = self.ledger.get(lease_id)
        lease, fault = self.parts(receipt)
        if fault.kept_by(lease.spec) == "process":
            for name in fault.imports:
                importlib.import_module(name)

    def parts(self, receipt: Receipt) -> Tuple[Lease, Fault]:
        """The lease of a receipt, and its kind."""
        lease = from_json(Lease, receipt.lease)
        return lease, fault_of(lease.kind)

    def _observe(self, receipt: Receipt) -> Observation:
        """What is there, with the guards; a lease that waits for its keeper is armed."""
        lease, fault = self.parts(receipt)
        found = fault.observe(lease, receipt.before, self.host)
        found = self._with_moments(found, receipt)
        if not self.ledger.is_open(lease.id):
            return found
        waits = receipt.boot_id == clock.boot_id() and self.host.mono_ns() < receipt.expire_mono_ns
        state = "armed" if found.state == "absent" and waits else found.state
        return replace(found, state=state, guards=guards.alive(lease.id, self.ledger))

    def _remove(self, receipt: Receipt, locked: bool) -> Tuple[List[str], Observation]:
        """Disarm, read back, and close the receipt; ``locked``: whether the node's lock is held."""
        lease, fault = self.parts(receipt)
        first = self._stamp(receipt, fault, GONE, TRY)
        try:
            done = fault.disarm(lease, receipt.before, self.host)
        except Untouched:
            # The effect lasts at least until the next attempt, and its end is not a moment sooner.
            if first:
                self._moments.forget(lease.id, GONE)
            raise
        observation = fault.observe(lease, receipt.before, self.host)
        if observation.state == "absent":
            self._stamp(receipt, fault, GONE, DONE)
            with contextlib.nullcontext() if locked else self.ledger.locked():
                self.ledger.end(lease.id)
                self._tidy(lease.id)
        return done, self._with_moments(observation, receipt)

    def _turn(self, fault: Fault, lease_id: str) -> ContextManager[None]:
        """The lock that beginning or ending a lease of a kind takes."""
        return self.ledger.locked(lease_id if fault.apart else "")

    def _stamp(self, receipt: Receipt, fault: Fault, what: str, word: str) -> bool:
        """Keep when a process acted; a kernel does it at a known tick, a reboot has no moment."""
        lease = receipt.lease
        if fault.kept_by(lease["spec"]) == "process" and receipt.boot_id == clock.boot_id():
            return self._moments.stamp(str(lease["id"]), what, word, self.host.mono_ns())
        return False

    def _with_moments(self, found: Observation, receipt: Receipt) -> Observation:
        lease = str(receipt.lease["id"])
        if receipt.boot_id != clock.boot_id():
            return found
        return replace(
            found, began=self._moments.read(lease, BEGAN), gone=self._moments.read(lease, GONE)
        )

    def _tidy(self, ended: str) -> None:
        if ended:
            guards.stop_last(ended, self.ledger)
        if not self.ledger.open_leases():
            systemd.remove_boot_unit()
            if vigil.LOCAL:
                boot_local.remove()

    def _check_count(self) -> None:
        if len(self.ledger.open_leases()) >= LEASES_MAX:
            raise NodeError(f"this node holds {LEASES_MAX} leases already; no more are armed")

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
            to_json(lease), before, wall, mono, clock.boot_id(), mono + lease.fire_at_ns - wall,
            mono + lease.expire_at_ns - wall,
        )  # fmt: skip


def _digest(receipt: Receipt) -> str:
    # Imported here because OpenSSL behind it is 4 MB in a keeper, which does not need it.
    import hashlib

    return hashlib.sha256(json.dumps(to_json(receipt), sort_keys=True).encode()).hexdigest()


def fault_of(kind: str) -> Fault:
    """The kind of that name; NodeError where this agent has none."""
    if kind not in TABLE:
        raise NodeError(f"this agent knows no fault kind {kind!r}")
    return TABLE[kind]
