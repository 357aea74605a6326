# SPDX-License-Identifier: Apache-2.0
"""The processes that live through a lease: the keeper, the reaper, and what runs at boot.

Both watch the monotonic clock, so a stepped wall clock changes nothing.
"""

from __future__ import annotations

import time
from typing import Optional

from gameday import clock
from gameday.agent import guards
from gameday.agent.leases import Leases, fault_of
from gameday.agent.ledger import Ledger
from gameday.errors import GamedayError
from gameday.faults.base import Fault
from gameday.record.types import Lease, Receipt, from_json

REAP_GRACE_NS = 300 * clock.NS_PER_MS
"""After the end of a lease that a process keeps: the keeper has had its turn by then."""

TIDY_GRACE_NS = 2 * clock.NS_PER_S
"""After the end of a lease that the kernel keeps: the controller is given this long to disarm
in the open, then the reaper removes what is inert anyway."""

LOOK_S = 1.0
RETRY_S = 0.2
RETRY_MAX = 300
"""A lease that cannot be removed within a minute needs a person; it stays in the ledger."""


def keep(lease_id: str, leases: Leases, ledger: Ledger) -> int:
    """Wait for the window, drive the effect through it, end the lease.

    Returns:
        0 where the lease is gone, 1 where it could not be removed.
    """
    guards.protect()
    receipt = ledger.get(lease_id)
    lease = from_json(Lease, receipt.lease)
    fault = fault_of(lease.kind)
    if not _wait(lease_id, receipt.fire_mono_ns, "reap", ledger):
        return 0
    due: Optional[int] = 0
    while clock.mono_ns() < receipt.expire_mono_ns:
        if due is not None:
            due = _drive(leases, fault, lease, receipt)
        until = receipt.expire_mono_ns
        if due is not None:
            until = min(until, receipt.fire_mono_ns + due)
        if not _wait(lease_id, until, "reap", ledger):
            return 0
    if fault.kept_by(lease.spec) == "kernel":
        # What is left is inert by now; the reaper removes it if the controller does not.
        return 0
    return end(lease_id, leases, ledger)


def reap(lease_id: str, leases: Leases, ledger: Ledger) -> int:
    """Wait until a lease is ended by somebody or overdue, then disarm it; as ``keep``."""
    guards.protect()
    receipt = ledger.get(lease_id)
    fault, spec = fault_of(str(receipt.lease["kind"])), receipt.lease["spec"]
    grace = TIDY_GRACE_NS if fault.kept_by(spec) == "kernel" else REAP_GRACE_NS
    other = "keep" if fault.drives(spec) else ""
    if not _wait(lease_id, receipt.expire_mono_ns + grace, other, ledger):
        return 0
    return end(lease_id, leases, ledger)


def end(lease_id: str, leases: Leases, ledger: Ledger) -> int:
    """Disarm a lease now, trying again for a while; 0 where it is gone."""
    for _ in range(RETRY_MAX):
        if not ledger.is_open(lease_id):
            return 0
        try:
            if leases.disarm(lease_id)["observation"]["state"] == "absent":
                return 0
        except (GamedayError, OSError) as error:
            # Somebody may hold a lock or have removed half of it; the next look tells.
            ledger.note(lease_id, str(error))
        time.sleep(RETRY_S)
    return 1


def boot(leases: Leases, ledger: Ledger) -> int:
    """After a reboot: end every lease that an earlier boot of this node left open."""
    worst = 0
    for receipt in ledger.open_leases():
        if receipt.boot_id != clock.boot_id():
            worst = max(worst, end(str(receipt.lease["id"]), leases, ledger))
    return worst


def _drive(leases: Leases, fault: Fault, lease: Lease, receipt: Receipt) -> Optional[int]:
    since = max(0, clock.mono_ns() - receipt.fire_mono_ns)
    return leases.drive(fault, lease, receipt, since)


def _wait(lease_id: str, until_ns: int, other: str, ledger: Ledger) -> bool:
    """Sleep until a moment while the lease is open; starts the other guard if it died.

    Returns:
        Whether the lease is still open.
    """
    looked = 0
    while True:
        now = clock.mono_ns()
        if now - looked >= LOOK_S * clock.NS_PER_S:
            looked = now
            if not ledger.is_open(lease_id):
                return False
            if other and not guards.lives(lease_id, other, ledger):
                guards.start_one(other, lease_id, ledger)
        if now >= until_ns:
            return True
        left_s = (until_ns - now) / clock.NS_PER_S
        time.sleep(min(LOOK_S, left_s))
