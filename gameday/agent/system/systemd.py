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
BOOT_DRAFT = BOOT_UNIT.with_name(".gameday-boot.draft")
BOOT_MARK = "# Written by gameday while a lease is open; removed with the last one.\n"

BOOT_TEXT = """\
{mark}[Unit]
Description=End gameday's leases that a reboot interrupted
After=local-fs.target
RequiresMountsFor=/var/lib/gameday

[Service]
Type=oneshot
OOMScoreAdjust={oom}
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
         f"--on-active={in_s:.1f}s", "--timer-property=AccuracySec=50ms",
         f"--property=OOMScoreAdjust={vigil.OOM_SCORE_ADJ}", *argv])  # fmt: skip


def timer_is_armed(lease_id: str) -> bool:
    """Whether the lease's timer waits for its moment."""
    try:
        run(["systemctl", "is-active", "--quiet", f"{_unit(lease_id)}.timer"])
    except NodeError:
        return False
    return True


def disarm_timer(lease_id: str) -> None:
    """Stop the lease's timer, if there is one, and what it has started, unless that is us."""
    timer, service = f"{_unit(lease_id)}.timer", f"{_unit(lease_id)}.service"
    own = Path("/proc/self/cgroup").read_text(encoding="utf-8")
    for unit in (timer,) if service in own else (timer, service):
        _stop_loaded(unit)


def install_boot_unit(argv: Sequence[str]) -> None:
    """Have ``argv`` run at the next boot, unless the node was prepared for that already.

    Returns when that is on disk to stay: the receipt is, and power may be cut at any moment.

    Raises:
        NodeError: where it cannot be written.
    """
    text = BOOT_TEXT.format(mark=BOOT_MARK, oom=vigil.OOM_SCORE_ADJ, command=" ".join(argv))
    try:
        if BOOT_UNIT.exists() and not has_boot_unit():
            return
        with open(BOOT_DRAFT, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(BOOT_DRAFT, BOOT_UNIT)
        BOOT_WANTED.parent.mkdir(exist_ok=True)
        # A death in between could have left the unit without its link.
        if not BOOT_WANTED.is_symlink():
            BOOT_WANTED.symlink_to(BOOT_UNIT)
        for directory in (BOOT_WANTED.parent, BOOT_UNIT.parent):
            _sync(directory)
    except OSError as error:
        raise NodeError(
            f"cannot write {BOOT_UNIT}, which ends the lease after a reboot: {error.strerror}"
        ) from error


def remove_boot_unit() -> None:
    """Remove the unit that ``install_boot_unit`` wrote; one made by somebody else stays."""
    if not has_boot_unit():
        return
    for path in (BOOT_WANTED, BOOT_UNIT, BOOT_DRAFT):
        path.unlink(missing_ok=True)
    # After a boot that ran it, systemd still knows it; otherwise it has never looked.
    if running() and _is_loaded(BOOT_UNIT.name):
        run(["systemctl", "daemon-reload"])


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


def _stop_loaded(unit: str) -> None:
    try:
        if _is_loaded(unit):
            stop(unit)
    except NodeError:
        # A timer whose service has ended goes by itself, also between look and stop.
        if _is_loaded(unit):
            raise


def _is_loaded(unit: str) -> bool:
    return run(["systemctl", "show", "--property=LoadState", "--value", unit]).strip() == "loaded"


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unit(lease_id: str) -> str:
    return f"gameday-{lease_id}"
