# SPDX-License-Identifier: Apache-2.0
"""The processes that live through a lease: the keeper, the reaper, and what runs at boot.

Both watch the monotonic clock, so a stepped wall clock changes nothing. Both import what acts
on the node only shortly before it has to; until then ``gameday.agent.vigil`` is all they hold.
"""

from __future__ import annotations

import sys
import time

from gameday.agent import vigil
from gameday.agent.vigil import LAST_GRACE_NS, PREPARE_NS, Watch
from gameday.ticks import NS_PER_MS, NS_PER_S, boot_id, mono_ns, sleep_until_mono

if vigil.TYPE_CHECKING:
    from typing import List, Optional, Tuple

    from gameday.agent.leases import Leases
    from gameday.agent.ledger import Ledger
    from gameday.faults.base import Fault
    from gameday.record.types import Lease, Receipt

REAP_GRACE_NS = 300 * NS_PER_MS
"""After the end of a lease that a process keeps: the keeper has had its turn by then."""

TIDY_GRACE_NS = 2 * NS_PER_S
"""After the end of a lease that the kernel keeps: the controller is given this long to disarm
in the open, then the reaper removes what is inert anyway."""

QUIET_NS = 3 * NS_PER_S
"""A keeper whose kind has nothing to do for longer than this gives its memory back."""

ROLES = ("keep", "hold", "reap", "last")

RETRY_S = 0.2
RETRY_MAX = 300
"""A lease that cannot be removed within a minute needs a person; it stays in the ledger."""

PATIENT_S = 5.0
"""Longest pause between two tries where another system has to answer, which may be down for hours:
it is never given up, and a system that comes back is asked within that."""


def guard(arguments: List[str]) -> int:
    """Be one of the processes that end leases; returns the exit code.

    0 where the lease is gone or nothing was to do, 1 where it could not be removed.
    """
    if len(arguments) == 6 and arguments[0] in ROLES:
        vigil.protect()
        watch = Watch.parse(arguments[1:])
        return {"keep": keep, "reap": reap, "hold": hold, "last": last}[arguments[0]](watch)
    if arguments == ["boot"]:
        return boot(*_tools())
    sys.stderr.write("usage: serve | keep WATCH | reap WATCH | last WATCH | boot | probe RUN\n")
    return 2


def keep(watch: Watch) -> int:
    """Wait for the window, drive the effect through it, end the lease."""
    if not watch.wait(watch.fire_ns - PREPARE_NS, "keep"):
        return 0
    leases, ledger = _ready(watch)
    receipt = ledger.get(watch.lease)
    lease, fault = leases.parts(receipt)
    if not watch.wait(watch.fire_ns, "keep"):
        return 0
    due: Optional[int] = 0
    while mono_ns() < watch.expire_ns:
        if due is not None:
            due = _drive(leases, fault, lease, receipt)
        until = watch.expire_ns
        if due is not None:
            until = min(until, watch.fire_ns + due)
        elif until - mono_ns() > QUIET_NS:
            vigil.go_on_as("hold", *watch.words())
        if not watch.wait(until, "keep"):
            return 0
    return _end_kept(watch, leases, ledger)


def hold(watch: Watch) -> int:
    """A keeper whose kind has nothing more to do: wait for the end, end the lease."""
    if not watch.wait(watch.expire_ns - PREPARE_NS, "keep"):
        return 0
    leases, ledger = _ready(watch)
    sleep_until_mono(watch.expire_ns)
    return _end_kept(watch, leases, ledger)


def reap(watch: Watch) -> int:
    """Wait until a lease is ended by somebody or overdue, then disarm it."""
    grace = TIDY_GRACE_NS if watch.kept == "kernel" else REAP_GRACE_NS
    if not watch.wait(watch.expire_ns + grace - PREPARE_NS, "reap"):
        return 0
    leases, ledger = _ready(watch)
    sleep_until_mono(watch.expire_ns + grace)
    return end(watch.lease, leases, ledger)


def last(watch: Watch) -> int:
    """The last resort, woken ``PREPARE_NS`` before its turn: end what nobody else has ended.

    Where keeper or reaper lives its turn will hardly come, so that it imports nothing yet.
    """
    turn = watch.expire_ns + LAST_GRACE_NS
    others = any(vigil.lives(watch.entries, watch.lease, role) for role in ("keep", "reap"))
    is_open = watch.wait(turn if others else 0, "last")
    leases, ledger = _ready(watch)
    if is_open:
        sleep_until_mono(turn)
    # Also where it has ended: who ended it may have died before it had tidied up.
    return end(watch.lease, leases, ledger)


def _end_kept(watch: Watch, leases: Leases, ledger: Ledger) -> int:
    if watch.kept == "kernel":
        # What is left is inert by now; the reaper removes it if the controller does not.
        return 0
    return end(watch.lease, leases, ledger)


def _ready(watch: Watch) -> Tuple[Leases, Ledger]:
    """Import everything that driving and ending a lease takes, before it is due."""
    from gameday.errors import GamedayError

    leases, ledger = _tools()
    try:
        leases.prepare(watch.lease)
    except (GamedayError, OSError, ImportError) as error:
        # What is due is tried all the same, and only later for it.
        ledger.note(watch.lease, f"not prepared: {error}")
    return leases, ledger


def _tools() -> Tuple[Leases, Ledger]:
    """Import what acts on this node."""
    from gameday.agent.leases import Leases
    from gameday.agent.ledger import Ledger
    from gameday.agent.system.host import RealHost

    ledger = Ledger()
    return Leases(ledger, RealHost()), ledger


def end(lease_id: str, leases: Leases, ledger: Ledger) -> int:
    """Disarm a lease now, trying again for a while; 0 where it and its guards are gone.

    What stands in another system is tried for as long as this process lives.
    """
    tries, pause_s = 0, RETRY_S
    while not _end_once(lease_id, leases, ledger):
        tries += 1
        if _is_apart(lease_id, leases):
            pause_s = min(PATIENT_S, pause_s * 1.5)
        elif tries >= RETRY_MAX:
            return 1
        time.sleep(pause_s)
    return 0


def _end_once(lease_id: str, leases: Leases, ledger: Ledger) -> bool:
    """Whether the lease and its guards are gone after one more try."""
    from gameday.errors import GamedayError

    try:
        if not ledger.is_open(lease_id):
            leases.tidy(lease_id)
            return True
        return bool(leases.disarm(lease_id)["observation"]["state"] == "absent")
    except (GamedayError, OSError) as error:
        # Somebody may hold a lock or have removed half of it; the next look tells.
        ledger.note(lease_id, str(error))
        return False


def _is_apart(lease_id: str, leases: Leases) -> bool:
    from gameday.errors import GamedayError

    try:
        return leases.is_apart(lease_id)
    except GamedayError:
        # A receipt that cannot be read: it is given up like any other.
        return False


def boot(leases: Leases, ledger: Ledger) -> int:
    """After a reboot: end every lease that an earlier boot of this node left open."""
    worst = 0
    found = [one for one in ledger.open_leases() if one.boot_id != boot_id()]
    patient = [str(one.lease["id"]) for one in found if _is_apart(str(one.lease["id"]), leases)]
    for receipt in found:
        if str(receipt.lease["id"]) not in patient:
            worst = max(worst, end(str(receipt.lease["id"]), leases, ledger))
    pause_s = RETRY_S
    # By turns: one system that is down for hours must not hold up what another would end now.
    while patient := [one for one in patient if not _end_once(one, leases, ledger)]:
        time.sleep(pause_s)
        pause_s = min(PATIENT_S, pause_s * 1.5)
    # Power may have gone between the end of the last lease and of the unit that runs this.
    leases.tidy()
    return worst


def _drive(leases: Leases, fault: Fault, lease: Lease, receipt: Receipt) -> Optional[int]:
    since = max(0, mono_ns() - receipt.fire_mono_ns)
    return leases.drive(fault, lease, receipt, since)
