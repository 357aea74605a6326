# SPDX-License-Identifier: Apache-2.0
"""Who ends a lease on this node: several processes that do not need each other.

- ``keeper`` starts, changes and ends the effect of leases that need a process for it;
- ``reaper`` ends the lease if it is overdue, whatever the keeper does;
- ``timer`` (a transient systemd timer) or, where there is no systemd, ``sleeper`` (a plain
  ``sleep`` and nothing of ours in memory) ends it if both are dead. Either wakes a moment before
  the end: an interpreter takes its time to begin on a busy node.

Keeper and reaper look for each other once a second and start each other again. Leases whose
window the kernel keeps have only the reaper: it removes what is inert by then. After a reboot a
unit of systemd ends whatever lease is open; on the controller's own host see ``boot_local``.
"""

from __future__ import annotations

import os
import signal
from typing import Tuple

from gameday.agent import vigil
from gameday.agent.ledger import Ledger
from gameday.agent.system import boot_local, systemd
from gameday.clock import NS_PER_S, mono_ns
from gameday.faults.base import Fault
from gameday.record.types import Receipt

SLEEP_THEN_END = 'cd /; sleep "$1"; shift; exec "$@"'


def start(receipt: Receipt, fault: Fault, ledger: Ledger) -> None:
    """Start every process that the lease needs; called once its receipt is on disk."""
    spec = receipt.lease["spec"]
    watch = vigil.Watch(
        str(receipt.lease["id"]), receipt.fire_mono_ns, receipt.expire_mono_ns,
        fault.kept_by(spec), fault.drives(spec), str(ledger.entries),
    )  # fmt: skip
    watch.start("reap")
    if watch.driven:
        watch.start("keep")
    if watch.kept == "process":
        _start_last(watch)
    if systemd.running():
        # A reboot ends what the kernel keeps, but only somebody who looks can close its receipt.
        systemd.install_boot_unit([*vigil.program(), "boot"])
    if vigil.LOCAL:
        boot_local.install([*vigil.program(), "boot"])


def alive(lease_id: str, ledger: Ledger) -> Tuple[str, ...]:
    """Which guards of a lease live now."""
    found = [role for role in ("keep", "reap", "sleeper") if lives(lease_id, role, ledger)]
    if systemd.running() and systemd.timer_is_armed(lease_id):
        found.append("timer")
    if vigil.LOCAL and boot_local.there():
        found.append("boot")
    return tuple(found)


def lives(lease_id: str, role: str, ledger: Ledger) -> bool:
    """Whether one guard of a lease is a living process of ours."""
    return vigil.lives(str(ledger.entries), lease_id, role)


def stop_last(lease_id: str, ledger: Ledger) -> None:
    """Remove the last resort of a lease that has ended; the others end by themselves."""
    pid = vigil.process(str(ledger.entries), lease_id, "sleeper")
    if pid is not None and pid != os.getpid() and vigil.is_ours(pid, lease_id):
        os.killpg(pid, signal.SIGTERM)
    if systemd.running():
        systemd.disarm_timer(lease_id)


def _start_last(watch: vigil.Watch) -> None:
    wake_ns = watch.expire_ns + vigil.LAST_GRACE_NS - vigil.PREPARE_NS
    left_s = max(0.0, (wake_ns - mono_ns()) / NS_PER_S)
    last = [*vigil.program(), "last", *watch.words()]
    if systemd.running():
        systemd.arm_timer(watch.lease, left_s, last)
        return
    argv = ["/bin/sh", "-c", SLEEP_THEN_END, "gameday-sleeper", f"{left_s:.1f}", *last]
    vigil.remember(watch.entries, watch.lease, "sleeper", vigil.detach(argv))
