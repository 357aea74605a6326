# SPDX-License-Identifier: Apache-2.0
"""A node loses its power inside the window: once, with a lease of every kind on it.

Afterwards the node is as it is after any boot, and its ledger has every lease as ended.
"""

from __future__ import annotations

import json
import re
from typing import Any

from gameday.faults import TABLE
from tests.guarantee.machine import PEER, Controller, SystemdMachine
from tests.guarantee.matrix import CASES, Case
from tests.guarantee.matrix import ELSEWHERE as NOT_ON_NODES
from tests.guarantee.matrix import PEER as MATRIX_PEER
from tests.uml.leases import arm, assert_nothing_left, window

ELSEWHERE = {"process"}
"""tests/uml/test_units.py; power is the controller's host's: tests/lab/test_power.py."""

UNSEEN = {"noop", "disk-delay"}
"""Armed, not in effect: the one does nothing, the other finds a volume that answers with errors."""

VOLUME = """
modprobe -a loop dm_mod
truncate -s 256M /var/lib/image
losetup -f --show /var/lib/image
"""

STATE = {
    "rules": ["iptables-legacy-save"], "rules6": ["ip6tables-legacy-save"],
    "sets": ["ipset", "list"], "qdiscs": ["tc", "qdisc", "show"],
    "links": ["ip", "-br", "-4", "addr"], "ip rules": ["ip", "rule"],
    "routes": ["ip", "route", "show", "table", "all"],
    "volumes": ["sh", "-c", "modprobe dm_mod; dmsetup table"],
    "mounts": ["findmnt", "-rno", "TARGET,SOURCE,FSTYPE,OPTIONS"], "srv": ["ls", "-A", "/srv"],
    "masks": ["sh", "-c", "find /run/systemd/system /etc/systemd/system | sort"],
}  # fmt: skip


def snapshot(node: SystemdMachine) -> dict[str, str]:
    """What a lease could have left on the node, without what differs from boot to boot."""
    found = {name: node.exec(*argv) for name, argv in STATE.items()}
    found["mounts"] = re.sub(r"(size|nr_inodes)=\w+|tmpfs /run/user\S*.*\n", "", found["mounts"])
    for name in ("rules", "rules6"):
        found[name] = re.sub(r"(?m)^#.*\n| \[\d+:\d+\]$", "", found[name])
    # Its addresses of the link are made anew, and are there a moment later.
    found["routes"] = re.sub(r"(?m)^.*fe80::.*\n", "", found["routes"])
    return found


def volume(node: SystemdMachine) -> None:
    """A device-mapper volume with a file system; it goes with the power."""
    loop = node.exec("sh", "-ec", VOLUME).strip()
    node.exec("dmsetup", "create", "data", "--table", f"0 524288 linear {loop} 0")
    node.exec("dmsetup", "mknodes")
    node.exec("mkfs.ext4", "-q", "-F", "/dev/mapper/data", timeout_s=120)
    node.exec("sh", "-ec", "mkdir -p /data; mount /dev/mapper/data /data; sync /var/lib/image")


def spec_of(case: Case) -> dict[str, Any]:
    """The matrix's spec, for this node's addresses and names."""
    text = json.dumps(case.spec).replace(MATRIX_PEER, PEER).replace("198.19.0.0", "198.19.1.0")
    found: dict[str, Any] = json.loads(text)
    if case.kind == "disk-fill":
        # A file system that the next boot does not mount could not be looked at.
        found["path"] = "/srv"
    if case.kind == "disk-throttle":
        found |= {"unit": "victim.service", "name": ""}
    return found


def arm_all(node: SystemdMachine) -> dict[str, str]:
    """All at once, in the order of the matrix; lease to case."""
    # Nothing else finds a route to the peer once it is blackholed, and a volume that is delayed
    # is not linear any more.
    cases = sorted(CASES, key=lambda one: ("blackhole" in one.name, one.kind == "disk-delay"))
    armed = {}
    with Controller(node) as controller:
        for number, case in enumerate(one for one in cases if one.kind not in ELSEWHERE):
            lease = f"0000ee{number:02x}"
            arm(controller, lease, case.kind, spec_of(case), for_s=600)
            armed[lease] = case.name
        fire = max(window(controller, lease)[0] for lease in armed)
        node.tool("sleep-until", f"{fire + 2}")
        for lease, name in armed.items():
            state = controller.call("observe", lease=lease)["state"]
            assert state == "active" or name in UNSEEN, f"{name}: {state}"
    return armed


def test_every_kind_is_gone_after_a_power_cut(node: SystemdMachine) -> None:
    """All in effect at once, then the power is cut."""
    assert {case.kind for case in CASES} == set(TABLE) - set(NOT_ON_NODES)
    node.power_cut()
    before = snapshot(node)
    volume(node)
    node.exec("systemd-run", "--unit=victim", "-p", "IOAccounting=yes", "sleep", "100000")
    armed = arm_all(node)
    node.exec("sync")
    node.power_cut()
    assert node.settled(timeout_s=120) == []
    node.exec("rm", "/var/lib/image")
    for lease in armed:
        assert_nothing_left(node, lease)
    assert snapshot(node) == before
