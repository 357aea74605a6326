# SPDX-License-Identifier: Apache-2.0
"""Who ends a lease on this node: several processes that do not need each other.

- ``keeper`` starts, changes and ends the effect of leases that need a process for it;
- ``reaper`` ends the lease if it is overdue, whatever the keeper does;
- ``timer`` (a transient systemd timer) or, where there is no systemd, ``sleeper`` (a plain
  ``sleep`` and nothing of ours in memory) ends it if both are dead.

Keeper and reaper look for each other once a second and start each other again. Leases whose
window the kernel keeps have only the reaper: it removes what is inert by then.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import List, Tuple

from gameday.agent.ledger import Ledger
from gameday.agent.system import systemd
from gameday.clock import NS_PER_S
from gameday.faults.base import Fault
from gameday.record.types import Receipt

SLEEPER_GRACE_S = 1.2
"""After the lease's end: keeper and reaper have had their turns by then."""

OOM_SCORE_ADJ = "-900"
"""The kernel kills others first when memory runs out: without these nothing is undone."""

SLEEP_THEN_END = 'sleep "$1"; exec "$2" "$3" end "$4"'


def start(receipt: Receipt, fault: Fault, ledger: Ledger) -> None:
    """Start every process that the lease needs; called once its receipt is on disk."""
    lease_id = str(receipt.lease["id"])
    start_one("reap", lease_id, ledger)
    spec = receipt.lease["spec"]
    if fault.drives(spec):
        start_one("keep", lease_id, ledger)
    if fault.kept_by(spec) == "process":
        _start_last(receipt, lease_id, ledger)


def start_one(role: str, lease_id: str, ledger: Ledger) -> None:
    """Start the keeper ("keep") or the reaper ("reap") of a lease, and remember its process."""
    ledger.remember_process(lease_id, role, start_detached(role, lease_id))


def alive(lease_id: str, ledger: Ledger) -> Tuple[str, ...]:
    """Which guards of a lease live now."""
    found = [role for role in ("keep", "reap", "sleeper") if lives(lease_id, role, ledger)]
    if systemd.running() and systemd.timer_is_armed(lease_id):
        found.append("timer")
    return tuple(found)


def lives(lease_id: str, role: str, ledger: Ledger) -> bool:
    """Whether one guard of a lease is a living process of ours."""
    pid = ledger.process(lease_id, role)
    return pid is not None and _is_ours(pid, lease_id)


def stop_last(lease_id: str, ledger: Ledger) -> None:
    """Remove the last resort of a lease that has ended; the others end by themselves."""
    pid = ledger.process(lease_id, "sleeper")
    if pid is not None and _is_ours(pid, lease_id):
        os.killpg(pid, signal.SIGTERM)
    if systemd.running():
        systemd.disarm_timer(lease_id)


def protect() -> None:
    """Ask the kernel not to choose this process when memory runs out."""
    try:
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE_ADJ, encoding="ascii")
    except OSError:
        # Without CAP_SYS_RESOURCE it stays as killable as everybody else.
        return


def start_detached(*arguments: str) -> int:
    """Start this program again as a session of its own; returns its process id."""
    return _detached([sys.executable, sys.argv[0], *arguments])


def _start_last(receipt: Receipt, lease_id: str, ledger: Ledger) -> None:
    left_s = (receipt.expire_mono_ns - receipt.armed_mono_ns) / NS_PER_S + SLEEPER_GRACE_S
    end = [sys.executable, sys.argv[0], "end", lease_id]
    if systemd.running():
        systemd.arm_timer(lease_id, left_s, end)
        systemd.install_boot_unit([sys.executable, sys.argv[0], "boot"])
        return
    argv = ["/bin/sh", "-c", SLEEP_THEN_END, "gameday-sleeper", f"{left_s:.1f}", *end[:2], lease_id]
    ledger.remember_process(lease_id, "sleeper", _detached(argv))


def _detached(argv: List[str]) -> int:
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True, cwd="/",
    )  # fmt: skip
    return process.pid


def _is_ours(pid: int, lease_id: str) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return state.rsplit(")", 1)[1].split()[0] != "Z" and lease_id.encode() in command
