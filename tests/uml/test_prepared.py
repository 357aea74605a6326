# SPDX-License-Identifier: Apache-2.0
"""A node with systemd and kernel modules: prepared, its power cut inside a lease, cleaned."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.guarantee.machine import Controller, SystemdMachine
from tests.uml.leases import arm, wait_ended, window

LEASE = "0000dd01"
FILL = {"path": "/srv", "used_percent": 40, "keep_free_mb": 64}
STEP_S = 500
"""A playbook of twenty tasks in user-mode-linux, on a machine that others use."""

LISTED = """
find /etc/passwd /etc/shadow /etc/group /etc/sudoers.d /etc/modules-load.d /home \
    -type f -exec sha256sum {} + | sort -k 2
find /etc/systemd/system /etc/gameday /var/lib/gameday /home 2>/dev/null | sort
"""
RAN = ["systemctl", "show", "--property=ExecMainExitTimestampMonotonic", "--value",
       "gameday-boot.service"]  # fmt: skip


def nodes(node: SystemdMachine, home: Path, *argv: str) -> str:
    """``gameday nodes``, which must succeed; what it said."""
    words = ("nodes", argv[0], "-i", str(home / "mine.yaml"), "--as", "gameday", *argv[1:])
    done = node.gameday(*words, home=home, timeout_s=STEP_S)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_prepared_node_ends_its_leases_at_the_next_boot(
    own_node: SystemdMachine, tmp_path: Path
) -> None:
    node = own_node
    data = yaml.safe_load(node.inventory.read_text(encoding="utf-8"))
    data["all"]["vars"]["ansible_user"] = "drill"
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    node.exec("sh", "-ec", "rm -rf /var/lib/gameday /home/gameday/.gameday")
    node.exec("sh", "-ec", "echo '@includedir /etc/sudoers.d' >> /etc/sudoers")
    was = node.exec("sh", "-c", LISTED)

    said = nodes(node, tmp_path, "prepare")
    assert "node: Boot unit" in said and "node: Kernel modules at every boot" in said, said
    assert "0 changed" in nodes(node, tmp_path, "prepare")
    with Controller(node, "drill") as controller:
        arm(controller, LEASE, "disk-fill", FILL, for_s=600)
        fire, _ = window(controller, LEASE)
        node.tool("sleep-until", f"{fire + 2}")
    assert f"gameday-{LEASE}.fill" in node.exec("ls", "/srv")
    node.exec("sync")
    node.power_cut()
    assert node.settled() == []
    wait_ended(node, LEASE)
    assert f"gameday-{LEASE}.fill" not in node.exec("ls", "/srv")
    assert int(node.exec(*RAN)) > 0, "something else ended the lease"
    assert "not proven" not in nodes(node, tmp_path, "check", "--deep")

    nodes(node, tmp_path, "clean")
    nodes(node, tmp_path, "check", "--deep", "--expect", "clean")
    assert node.exec("sh", "-c", LISTED) == was
    node.exec("sed", "-i", "/^@includedir/d", "/etc/sudoers")
