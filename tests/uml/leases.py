# SPDX-License-Identifier: Apache-2.0
"""Leases on a node with systemd: armed as a controller does, looked at without gameday."""

from __future__ import annotations

from typing import Any

from gameday.clock import NS_PER_S
from tests.guarantee.machine import Controller, SystemdMachine

AHEAD_S = 8
"""From the last look at the node's clock to the window: arming takes 2 to 5 s here."""

LATE_S = 8.0
"""After the end: 1.2 s until the timer fires; the rest is Python's start, which is dear here."""

LEFT = """
systemctl list-units --all --plain --no-legend "gameday*"
ls -A /run/systemd/transient /etc/systemd/system /etc/systemd/system/multi-user.target.wants \
    | grep gameday
ls /srv
pgrep -af [g]ameday/agent
true
"""


def arm(controller: Controller, lease: str, kind: str, spec: dict[str, Any], for_s: int) -> None:
    """Arm a lease."""
    now = controller.call("clock")["wall_ns"] // NS_PER_S
    begin, end = (now + AHEAD_S) * NS_PER_S, (now + AHEAD_S + for_s) * NS_PER_S
    controller.call("arm", lease={
        "id": lease, "run": "r1", "node": "node", "fault": "f", "kind": kind, "spec": spec,
        "fire_at_ns": begin, "expire_at_ns": end,
    })  # fmt: skip


def window(controller: Controller, lease: str) -> tuple[float, float]:
    """Begin and end of an open lease, in seconds of the node's monotonic clock."""
    receipts = [one["receipt"] for one in controller.call("leases")["leases"]]
    one = next(receipt for receipt in receipts if receipt["lease"]["id"] == lease)
    return one["fire_mono_ns"] / NS_PER_S, one["expire_mono_ns"] / NS_PER_S


def assert_nothing_left(node: SystemdMachine, lease: str) -> None:
    """No unit, file or process; the ledger has the lease as ended."""
    assert node.exec("sh", "-c", LEFT).split() == []
    assert f"{lease}.ended.json" in node.exec("ls", "/var/lib/gameday/ledger").split()
