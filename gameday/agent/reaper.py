# SPDX-License-Identifier: Apache-2.0
"""One process per lease that disarms it after its end, if nobody did so before.

The kernel ends the fault by itself; the reaper only tidies up what is inert by then. It
watches the monotonic clock, so a stepped wall clock changes nothing.
"""

from __future__ import annotations

import time

from gameday import clock
from gameday.agent.leases import Leases
from gameday.agent.ledger import Ledger
from gameday.errors import GamedayError

GRACE_NS = 2 * clock.NS_PER_S
"""The controller is given this long to disarm in the open; then the reaper does."""

LOOK_S = 1.0
RETRY_MAX = 60
"""A lease that cannot be removed within this many tries needs a person; it stays in the ledger."""


def reap(lease_id: str, leases: Leases, ledger: Ledger) -> int:
    """Wait until a lease is ended by somebody or overdue, then disarm it.

    Returns:
        0 where the lease is gone, 1 where it could not be removed.
    """
    receipt = ledger.get(lease_id)
    due = receipt.expire_mono_ns + GRACE_NS
    while clock.mono_ns() < due:
        if not ledger.is_open(lease_id):
            return 0
        time.sleep(min(LOOK_S, max(0.01, (due - clock.mono_ns()) / clock.NS_PER_S)))
    for _ in range(RETRY_MAX):
        try:
            if leases.disarm(lease_id)["observation"]["state"] == "absent":
                return 0
        except GamedayError as error:
            # Somebody may hold the rules' lock or have removed half of it; the next look tells.
            ledger.note(lease_id, str(error))
        time.sleep(LOOK_S)
    return 1
