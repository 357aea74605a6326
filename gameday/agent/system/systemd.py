# SPDX-License-Identifier: Apache-2.0
"""systemd as a guard of leases: a transient timer per lease, one unit for the next boot."""

from __future__ import annotations

import os
from pathlib import Path
from typing import List, Sequence

from gameday.agent import vigil
from gameday.agent.system.command import run
from gameday.errors import NodeError

BOOT_UNIT = Path("/etc/systemd/system/gameday-boot.service")
BOOT_WANTED = Path("/etc/systemd/system/multi-user.target.wants/gameday-boot.service")
BOOT_MARK = "# Written by gameday while a lease is open; removed with the last one.\n"

BOOT_TEXT = """\
{mark}[Unit]
Description=End gameday's leases that a reboot interrupted
After=local-fs.target

[Service]
Type=oneshot
ExecStart={command}

[Install]
WantedBy=multi-user.target
"""


def running() -> bool:
    """Whether systemd is this node's process 1, as ``sd_booted(3)`` decides it."""
    # The agent of the controller's host runs as a user, and may share the host with a node's.
    return not vigil.LOCAL and os.path.isdir("/run/systemd/system")


def arm_timer(lease_id: str, in_s: float, argv: Sequence[str]) -> None:
    """Run ``argv`` once, ``in_s`` seconds from now by the monotonic clock.

    Raises:
        NodeError: where systemd refuses.
    """
    run(["systemd-run", "--quiet", "--collect", f"--unit={_unit(lease_id)}",
         f"--on-active={in_s:.1f}s", "--timer-property=AccuracySec=50ms", *argv])  # fmt: skip


def timer_is_armed(lease_id: str) -> bool:
    """Whether the lease's timer waits for its moment."""
    try:
        run(["systemctl", "is-active", "--quiet", f"{_unit(lease_id)}.timer"])
    except NodeError:
        return False
    return True


def disarm_timer(lease_id: str) -> None:
    """Stop the lease's timer, if there is one."""
    if timer_is_armed(lease_id):
        stop(f"{_unit(lease_id)}.timer")


def install_boot_unit(argv: Sequence[str]) -> None:
    """Have ``argv`` run at the next boot, unless the node was prepared for that already."""
    if BOOT_UNIT.exists():
        return
    command = " ".join(argv)
    BOOT_UNIT.write_text(BOOT_TEXT.format(mark=BOOT_MARK, command=command), encoding="utf-8")
    BOOT_WANTED.parent.mkdir(exist_ok=True)
    BOOT_WANTED.symlink_to(BOOT_UNIT)


def remove_boot_unit() -> None:
    """Remove the unit that ``install_boot_unit`` wrote; one made by somebody else stays."""
    if has_boot_unit():
        for path in (BOOT_WANTED, BOOT_UNIT):
            path.unlink(missing_ok=True)


def stop(unit: str) -> None:
    """Stop a unit of ours.

    Raises:
        NodeError: where systemd refuses.
    """
    run(["systemctl", "stop", unit])


def timers() -> List[str]:
    """Timers of ours that are there."""
    if not running():
        return []
    names = run(["systemctl", "list-units", "--all", "--plain", "--no-legend", "gameday-*.timer"])
    return [line.split()[0] for line in names.splitlines() if line.strip()]


def has_boot_unit() -> bool:
    """Whether the unit that ``install_boot_unit`` wrote is there."""
    if vigil.LOCAL:
        return False
    return BOOT_UNIT.exists() and BOOT_UNIT.read_text(encoding="utf-8").startswith(BOOT_MARK)


def _unit(lease_id: str) -> str:
    return f"gameday-{lease_id}"
