# SPDX-License-Identifier: Apache-2.0
"""One cell of the matrix, inside a machine of its own kernel: arm, let something die, look.

The agent is the real package, started as sshd would start it, over pipes; the node is this
job's namespaces, with rules, sets and a queueing discipline of somebody else's in them.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from gameday import clock
from gameday.clock import NS_PER_S
from tests.guarantee import looks
from tests.guarantee.matrix import CASES, Case
from tests.guarantee.node import Node, snapshot

LEASE, SECOND = "1a2b3c4d", "2b3c4d5e"
LEAD_S, WINDOW_S = 6, 4
"""Arming takes up to 3 s on this machine; within 4 s every death fits with room on both sides."""

SURE_NS = 150 * clock.NS_PER_MS
"""An effect is seen for at least so long without a gap."""

AFTER_S = 2.6
"""How long is looked after the end: longer than any case may be late."""


def main(case: str, death: str, package: str) -> dict[str, Any]:
    """Run a cell; its outcome as ``matrix.problems`` reads it."""
    one = next(c for c in CASES if c.name == case)
    node = Node(one, package)
    try:
        return Cell(one, death, node).run()
    finally:
        node.close()


class Cell:
    """One case, one death."""

    def __init__(self, case: Case, death: str, node: Node) -> None:
        self.case, self.death, self.node = case, death, node
        self.agent = node.session()
        self.second: tuple[int, int] | None = None

    def run(self) -> dict[str, Any]:
        """Everything, in order."""
        self.agent.call("audit")
        before = snapshot()
        watch = self.node.look()
        time.sleep(0.6)
        fire, expire = self._window()
        refused = self._arm(fire, expire)
        self._until(fire)
        armed_for = expire - fire
        if not refused:
            self._in_window(fire, fire + armed_for // 3, expire)
        windows = [(fire, expire), *([self.second] if self.second else [])]
        self._until(max(end for _, end in windows) + int(AFTER_S * NS_PER_S))
        seen = watch.finish()
        left = self._recover()
        after = snapshot()
        changed = [f"{name}: {_difference(before[name], after[name])}"
                   for name in before if before[name] != after[name]]  # fmt: skip
        notes = Path("/var/lib/gameday/ledger").glob("*.trouble.txt")
        trouble = [path.read_text(encoding="utf-8") for path in notes]
        return {**_judge(seen, windows), "left": left, "changed": changed,
                "refused": refused, "trouble": trouble}  # fmt: skip

    def _window(self) -> tuple[int, int]:
        """(fire, expire) on the monotonic clock; the lease has them as whole wall seconds."""
        wall = -(-(clock.wall_ns() + LEAD_S * NS_PER_S) // NS_PER_S) * NS_PER_S
        fire = clock.mono_ns() + wall - clock.wall_ns()
        self._fire_wall = wall
        return fire, fire + WINDOW_S * NS_PER_S

    def _lease(self, lease_id: str, fire_wall: int, for_s: int) -> dict[str, Any]:
        return {"id": lease_id, "run": "guarantee", "node": "node", "fault": "f",
                "kind": self.case.kind, "spec": self.case.spec, "fire_at_ns": fire_wall,
                "expire_at_ns": fire_wall + for_s * NS_PER_S}  # fmt: skip

    def _arm(self, fire: int, expire: int) -> str:
        """Arm as the death wants it; why it was refused, or nothing."""
        lease = self._lease(LEASE, self._fire_wall, WINDOW_S)
        if self.death == "no space for the ledger":
            self.node.fill_ledger()
        helper = None
        if self.death in ("crash after the receipt", "armed too late"):
            helper = threading.Thread(target=self._at_receipt, args=(expire,))
            helper.start()
        refused = ""
        try:
            self.agent.call("arm", lease=lease)
        except (RuntimeError, EOFError, OSError) as error:
            refused = str(error) or type(error).__name__
        if helper is not None:
            helper.join()
        if self.death == "no space for the ledger":
            self.node.free_ledger()
        if self.death == "controller killed while arming":
            self.agent.hang_up()
        if self.death == "path cut":
            self.agent.freeze()
        return refused

    def _at_receipt(self, expire: int) -> None:
        path = Path(f"/var/lib/gameday/ledger/{LEASE}.json")
        deadline = clock.mono_ns() + LEAD_S * NS_PER_S
        while not path.exists() and clock.mono_ns() < deadline:
            time.sleep(0.0005)
        if self.death == "crash after the receipt":
            self.node.kill("serve")
            return
        stopped = self.node.signal("serve", signal.SIGSTOP)
        self._until(expire + NS_PER_S // 2)
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)

    def _in_window(self, fire: int, at: int, expire: int) -> None:
        """What dies in the window."""
        self._until(at)
        roles = {"agent killed": ("serve", "keep", "hold"), "reaper killed": ("reap",),
                 "agent and reaper killed": ("serve", "keep", "hold", "reap")}  # fmt: skip
        if self.death in ("controller killed", "reaper killed"):
            self.agent.hang_up()
        if self.death in roles:
            self.node.kill(*roles[self.death])
        step = {"clock one hour ahead": 3600, "clock one hour back": -3600}.get(self.death)
        if step is not None:
            time.clock_settime_ns(time.CLOCK_REALTIME, clock.wall_ns() + step * NS_PER_S)
        if self.death == "second run":
            self._second_run()

    def _second_run(self) -> None:
        """A careless one, which does not look first, as ``gameday run`` does."""
        if not self.agent.call("audit")["left"]:
            raise AssertionError("the node does not tell a second run of the first")
        wall = -(-(clock.wall_ns() + 4 * NS_PER_S) // NS_PER_S) * NS_PER_S
        begin = clock.mono_ns() + wall - clock.wall_ns()
        # Also where it is refused: a node that is late with it notices when it is in place.
        self.second = begin, begin + 2 * NS_PER_S
        try:
            self.agent.call("arm", lease=self._lease(SECOND, wall, 2))
        except RuntimeError as error:
            sys.stderr.write(f"the second run was refused: {error}\n")

    def _recover(self) -> list[str]:
        """As ``gameday recover``: end what is open, look for anything that is left."""
        self.agent.thaw()
        if not self.agent.answers():
            self.agent = self.node.session()
        for lease in (LEASE, SECOND):
            try:
                self.agent.call("disarm", lease=lease)
            except RuntimeError as error:
                if "no lease" not in str(error):
                    raise
        return list(self.agent.call("audit")["left"])

    def _until(self, mono: int) -> None:
        clock.sleep_until_mono(mono)


def _judge(seen: list[looks.Look], windows: list[tuple[int, int]]) -> dict[str, Any]:
    """From looks to numbers; what lasts less than ``SURE_NS`` may be a busy machine.

    An effect belongs to the last window that began before it; ``windows`` are in that order.
    """
    sure = _sure(seen)
    margin = 3 * NS_PER_S // 10
    early = NS_PER_S // 20
    fire, expire = windows[0]
    inside = [at for at in sure if fire + margin < at < expire - margin]
    since = [(at - max(end for begin, end in windows if begin - early <= at)) / NS_PER_S
             for at in sure if at >= fire - early]  # fmt: skip
    return {
        "hit": len(inside) >= 3,
        "late_s": max((late for late in since if late > 0), default=None),
        "early": len(sure) - len(since),
        "ended_s": since[-1] if since else None,
        "looks": len(seen),
    }


def _sure(seen: list[looks.Look]) -> list[int]:
    """Moments of looks that belong to an effect without a gap, which lasted long enough."""
    found: list[int] = []
    for hit, group in itertools.groupby(seen, key=lambda look: look[1]):
        moments = [at for at, _ in group]
        if hit and moments[-1] - moments[0] >= SURE_NS:
            found += moments
    return found


def _difference(was: str, now: str) -> str:
    a, b = was.splitlines(), now.splitlines()
    gone, new = [x for x in a if x not in b], [x for x in b if x not in a]
    return f"gone {gone[:3]}, new {new[:3]}" if gone or new else "another order"
