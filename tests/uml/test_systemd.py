# SPDX-License-Identifier: Apache-2.0
"""The guards of leases on a node with systemd: timer, boot unit, power cuts, stepped clocks.

The truth comes from the machine's own tools, over a way that gameday does not use.
"""

from __future__ import annotations

import json

from tests.guarantee.machine import Controller, SystemdMachine
from tests.uml.leases import LATE_S, arm, assert_nothing_left, wait_ended, window

PAUSE = {"by": "unit", "what": "victim.service", "action": "pause", "period_ms": 0}
FROZEN = "/sys/fs/cgroup/system.slice/victim.service/cgroup.freeze"
FILL = {"path": "/srv", "used_percent": 40, "keep_free_mb": 64}

DAY_S = 86_400


def test_the_timer_ends_the_lease_when_all_of_gameday_is_dead(node: SystemdMachine) -> None:
    """On the monotonic clock, whatever the wall clock is set to."""
    lease = "0000aaa1"
    node.exec("systemd-run", "--unit=victim", "sleep", "100000")
    with Controller(node) as controller:
        arm(controller, lease, "process", PAUSE, for_s=12)
        _, expire = window(controller, lease)
        guards = controller.call("observe", lease=lease)["guards"]
        assert guards == ["keep", "reap", "timer"]
        seen = json.loads(node.tool("watch", FROZEN, f"{expire - 4}", "1"))
        assert seen[-1][1] == "1", "the fault did not begin"
        node.step_clock(DAY_S)
        # The agent, its keeper and its reaper, and sudo which holds the agent.
        assert int(node.tool("kill")) >= 3
        seen = json.loads(node.tool("watch", FROZEN, f"{expire + LATE_S}", "0"))
    node.step_clock(-DAY_S)
    assert [value for _, value in seen] == ["1", "0"], "the timer did not end it"
    assert expire < seen[1][0]
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
    node.tool("sleep-until", f"{expire}")
    wait_ended(node, "0000ccc1")
    node.step_clock(DAY_S)
    assert_nothing_left(node, "0000ccc1")
