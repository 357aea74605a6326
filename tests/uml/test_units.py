# SPDX-License-Identifier: Apache-2.0
"""``process`` on services of a real systemd: stopped, masked, killed, killed again and again.

The truth is the service's control group, which the kernel empties with its last process, and
``systemctl``, asked over a way that gameday does not use.
"""

from __future__ import annotations

import itertools
import json

import pytest

from gameday.errors import NodeError
from tests.guarantee.machine import Controller, SystemdMachine
from tests.uml.leases import LATE_S, arm, assert_nothing_left, wait_ended, window

SLEEPS = "[Service]\nExecStart=/usr/bin/sleep 100000\n{}[Install]\nWantedBy=multi-user.target\n"
UNITS = {
    "/usr/lib/systemd/system/plain.service": SLEEPS.format(""),
    "/usr/lib/systemd/system/bound.service":
        "[Unit]\nRequires=plain.service\nAfter=plain.service\n" + SLEEPS.format(""),
    "/usr/lib/systemd/system/stubborn.service":
        "[Unit]\nStartLimitIntervalSec=0\n"
        + SLEEPS.format("Restart=always\nRestartSec=100ms\n"),
    "/etc/systemd/system/local.service": SLEEPS.format(""),
}  # fmt: skip
"""A service; one that goes and comes with it; one that comes back; one whose file wins in /etc."""

WINDOW_S = 20
"""Systemctl is slow on this machine, and the service has to be down well inside the window."""


@pytest.fixture(scope="module")
def services(node: SystemdMachine) -> SystemdMachine:
    """The node with these services, all of them running."""
    node.up()
    for path, text in UNITS.items():
        node.exec("sh", "-c", f"cat >{path}", stdin=text)
    node.exec("systemctl", "daemon-reload")
    node.exec("systemctl", "enable", "--now", "plain", "bound", "stubborn", "local")
    # What is not on the disk goes with a power cut.
    node.exec("sync")
    return node


AFTER_S = 16.0
"""So long after the end of a restart-loop is looked for a further kill."""


def spec(action: str, unit: str) -> dict[str, object]:
    """A lease's spec."""
    return {"by": "unit", "what": f"{unit}.service", "action": action, "period_ms": 1500}


def group(unit: str) -> str:
    """The file that lists a service's processes."""
    return f"/sys/fs/cgroup/system.slice/{unit}.service/cgroup.procs"


def is_active(node: SystemdMachine, *units: str) -> list[str]:
    """What systemctl says of each."""
    return node.exec("systemctl", "is-active", *units, check=False).split()


@pytest.mark.parametrize("action", ["stop", "mask", "kill"])
def test_a_service_is_down_for_the_window(services: SystemdMachine, action: str) -> None:
    """And up after it, with the service that had to go down with it, and with no mask."""
    node, lease = services, {"stop": "0000dd01", "mask": "0000dd02", "kill": "0000dd03"}[action]
    assert is_active(node, "plain", "bound") == ["active", "active"]
    shown = node.exec("systemctl", "show", "-p", "UnitFileState,FragmentPath", "plain", "bound")
    # What is there before the lease is: on a busy machine the watch may begin inside the window.
    soon = float(node.tool("now")) + LATE_S
    seen = json.loads(node.tool("watch", group("plain"), f"{soon}", "*"))
    with Controller(node) as controller:
        arm(controller, lease, "process", spec(action, "plain"), for_s=WINDOW_S)
        fire, expire = window(controller, lease)
        seen += json.loads(node.tool("watch", group("plain"), f"{expire}", "gone"))
        inside = node.exec("systemctl", "is-enabled", "plain", check=False).strip()
        observed = controller.call("observe", lease=lease)
        asked = float(node.tool("now"))
        seen += json.loads(node.tool("watch", group("plain"), f"{expire + LATE_S}", "*"))
    assert asked < expire, "this machine is too busy to look inside the window"
    changes = [one for one, _ in itertools.groupby(text for _, text in seen)]
    assert len(changes) == 3 and changes[1] == "gone" and changes[0] != changes[2], seen
    assert fire - 0.1 < next(at for at, text in seen if text == "gone")
    back = next(at for at, text in seen if text == changes[2])
    assert expire - 0.1 < back
    assert inside == ("masked-runtime" if action == "mask" else "enabled")
    assert observed["state"] == "active"
    wait_ended(node, lease)
    node.settled()
    assert is_active(node, "plain", "bound") == ["active", "active"]
    assert node.exec("systemctl", "show", "-p", "UnitFileState,FragmentPath", "plain",
                     "bound") == shown  # fmt: skip
    assert_nothing_left(node, lease)


def test_a_service_is_killed_again_and_again(services: SystemdMachine) -> None:
    """Each time its supervisor has brought it back; after the window never again."""
    node, lease = services, "0000dd04"
    with Controller(node) as controller:
        arm(controller, lease, "process", spec("restart-loop", "stubborn"), for_s=WINDOW_S)
        fire, expire = window(controller, lease)
        seen = json.loads(node.tool("watch", group("stubborn"), f"{expire + AFTER_S}"))
    lives = [at for at, text in seen if text != "gone"]
    assert len(lives) >= 4, seen
    assert all(fire < at for at in lives[1:])
    # The last kill is inside the window; the supervisor takes its moment after that.
    wait_ended(node, lease)
    assert lives[-1] < expire + AFTER_S / 2, seen
    assert is_active(node, "stubborn") == ["active"]
    assert_nothing_left(node, lease)


def test_power_cut_while_a_service_is_masked(services: SystemdMachine) -> None:
    """Stop and mask go with the power, and the lease is ended by the boot unit."""
    node, lease = services, "0000dd06"
    with Controller(node) as controller:
        arm(controller, lease, "process", spec("mask", "plain"), for_s=60)
        fire, _ = window(controller, lease)
        seen = json.loads(node.tool("watch", group("plain"), f"{fire + LATE_S / 2}", "gone"))
        assert seen[-1][1] == "gone", seen
    node.power_cut()
    assert node.settled() == []
    assert is_active(node, "plain", "bound") == ["active", "active"]
    assert_nothing_left(node, lease)


def test_what_cannot_be_masked_is_refused(services: SystemdMachine) -> None:
    """A unit file in /etc wins over the mask of /run, which would do nothing."""
    with Controller(services) as controller:
        with pytest.raises(NodeError, match="/etc/systemd/system/local"):
            arm(controller, "0000dd05", "process", spec("mask", "local"), for_s=WINDOW_S)
        assert controller.call("audit")["left"] == []
    assert is_active(services, "local") == ["active"]
