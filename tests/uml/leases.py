# SPDX-License-Identifier: Apache-2.0
"""Leases on a node with systemd: armed as a controller does, looked at without gameday."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gameday.clock import NS_PER_S, mono_ns, sleep_until_mono
from gameday.errors import NodeError
from tests.guarantee.machine import Controller, SystemdMachine

AHEAD_S = 8
"""From the last look at the node's clock to the window: arming takes 2 to 5 s here."""

TRIES = 3
"""Of arming, each with twice the time: a node that is busy rightly says that it is too late."""

LATE_S = 60.0
"""After the end. These tests show who ends a lease; how late is the matrix's (tests/guarantee),
because systemctl is dear in user-mode-linux and takes seconds on a busy machine."""

LEFT = """
systemctl list-units --all --plain --no-legend "gameday*"
ls -A /run/systemd/transient /etc/systemd/system /etc/systemd/system/multi-user.target.wants \
    | grep gameday
ls /srv
pgrep -af [g]ameday/agent
true
"""


def arm(controller: Controller, lease: str, kind: str, spec: dict[str, Any], for_s: int) -> None:
    """Arm a lease, with more time ahead where the node says that it was too late."""
    for number in range(TRIES):
        now = controller.call("clock")["wall_ns"] // NS_PER_S
        begin = now + (AHEAD_S << number)
        try:
            controller.call("arm", lease={
                "id": lease, "run": "r1", "node": "node", "fault": "f", "kind": kind,
                "spec": spec, "fire_at_ns": begin * NS_PER_S,
                "expire_at_ns": (begin + for_s) * NS_PER_S,
            })  # fmt: skip
        except NodeError as error:
            if "too late" not in str(error) or number == TRIES - 1:
                raise
            continue
        return


def window(controller: Controller, lease: str) -> tuple[float, float]:
    """Begin and end of an open lease, in seconds of the node's monotonic clock."""
    receipts = [one["receipt"] for one in controller.call("leases")["leases"]]
    one = next(receipt for receipt in receipts if receipt["lease"]["id"] == lease)
    return one["fire_mono_ns"] / NS_PER_S, one["expire_mono_ns"] / NS_PER_S


def wait_ended(node: SystemdMachine, lease: str) -> None:
    """Wait until the node's ledger has a lease as ended, and what ended it has ended too."""
    until(lambda: "" if f"{lease}.ended.json" in ledger(node) else f"open: {ledger(node)}")
    until(lambda: node.exec("pgrep", "-af", lease, check=False))


def assert_nothing_left(node: SystemdMachine, lease: str) -> None:
    """Once the lease has ended: no unit, file or process, as soon as systemd has tidied up."""
    wait_ended(node, lease)
    until(lambda: node.exec("sh", "-c", LEFT))


def ledger(node: SystemdMachine) -> list[str]:
    """Names of the files in the node's ledger."""
    return node.exec("ls", "/var/lib/gameday/ledger").split()


def until(left: Callable[[], str]) -> None:
    """Look until nothing is told any more; fails with what is told in the end."""
    deadline = mono_ns() + int(LATE_S * NS_PER_S)
    while told := left().strip():
        assert mono_ns() < deadline, told
        sleep_until_mono(mono_ns() + NS_PER_S // 5)
