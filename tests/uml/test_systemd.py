# SPDX-License-Identifier: Apache-2.0
"""The guards of leases on a node with systemd: timer, boot unit, power cuts, stepped clocks.

The truth comes from the machine's own tools, over a way that gameday does not use.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from gameday.clock import NS_PER_S
from tests.guarantee.machine import Controller, SystemdMachine

PAUSE = {"by": "unit", "what": "victim.service", "action": "pause", "period_ms": 0}
FROZEN = "/sys/fs/cgroup/system.slice/victim.service/cgroup.freeze"
FILL = {"path": "/srv", "used_percent": 40, "keep_free_mb": 64}

AHEAD_S = 8
"""From the last look at the node's clock to the window: arming takes 2 to 5 s here."""

LATE_S = 8.0
"""After the end: 1.2 s until the timer fires; the rest is Python's start, which is dear here."""

DAY_S = 86_400

LEFT = """
systemctl list-units --all --plain --no-legend "gameday*"
ls -A /run/systemd/transient /etc/systemd/system /etc/systemd/system/multi-user.target.wants \
    | grep gameday
ls /srv
pgrep -af [g]ameday/agent
true
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SystemdMachine]:
    """A node that is up, with a service to hit."""
    one = SystemdMachine(tmp_path_factory.mktemp("systemd") / "node")
    try:
        one.up()
        yield one
    finally:
        one.down()


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


def test_the_timer_ends_the_lease_when_all_of_gameday_is_dead(node: SystemdMachine) -> None:
    """On the monotonic clock, whatever the wall clock is set to."""
    lease = "0000aaa1"
    node.exec("systemd-run", "--unit=victim", "sleep", "100000")
    with Controller(node) as controller:
        arm(controller, lease, "process", PAUSE, for_s=10)
        fire, expire = window(controller, lease)
        guards = controller.call("observe", lease=lease)["guards"]
        assert guards == ["keep", "reap", "timer"]
        seen = json.loads(node.tool("watch", FROZEN, f"{fire + 2}"))
        assert seen[-1][1] == "1", "the fault did not begin"
        node.step_clock(DAY_S)
        # The agent, its keeper and its reaper, and sudo which holds the agent.
        assert int(node.tool("kill")) >= 3
        seen = json.loads(node.tool("watch", FROZEN, f"{expire + LATE_S}"))
    node.step_clock(-DAY_S)
    assert [value for _, value in seen] == ["1", "0"], "the timer did not end it"
    assert expire < seen[1][0] < expire + LATE_S
    assert_nothing_left(node, lease)


def test_power_cut_inside_the_window(node: SystemdMachine) -> None:
    """What the lease left on the disk goes with the next boot."""
    with Controller(node) as controller:
        arm(controller, "0000bbb1", "disk-fill", FILL, for_s=60)
        fire, _ = window(controller, "0000bbb1")
        node.tool("sleep-until", f"{fire + 2}")
        assert "gameday-0000bbb1.fill" in node.exec("ls", "/srv")
        node.exec("sync", "/srv/gameday-0000bbb1.fill")
    node.power_cut()
    assert node.settled() == []
    assert_nothing_left(node, "0000bbb1")


def test_power_cut_as_soon_as_the_lease_is_armed(node: SystemdMachine) -> None:
    """Receipt and boot unit are on disk when arming returns; neither without the other."""
    with Controller(node) as controller:
        arm(controller, "0000bbb2", "disk-fill", FILL, for_s=60)
        node.power_cut()
    assert node.settled() == []
    assert_nothing_left(node, "0000bbb2")


def test_reboot_inside_the_window(node: SystemdMachine) -> None:
    """An orderly one: systemd stops everything, timer included, and the boot unit ends it."""
    with Controller(node) as controller:
        arm(controller, "0000bbb3", "disk-fill", FILL, for_s=60)
        fire, _ = window(controller, "0000bbb3")
        node.tool("sleep-until", f"{fire + 2}")
    node.reboot()
    assert node.settled() == []
    assert_nothing_left(node, "0000bbb3")
    with Controller(node) as controller:
        assert controller.call("audit")["left"] == []


def test_the_lease_ends_without_the_session_that_armed_it(node: SystemdMachine) -> None:
    """Keeper and reaper are in a session of logind; whoever ends that ends them."""
    with Controller(node) as controller:
        arm(controller, "0000ccc1", "disk-fill", FILL, for_s=12)
        _, expire = window(controller, "0000ccc1")
    node.step_clock(-DAY_S)
    node.exec("loginctl", "terminate-user", "gameday", check=False)
    node.tool("sleep-until", f"{expire + LATE_S}")
    node.step_clock(DAY_S)
    assert_nothing_left(node, "0000ccc1")
