# SPDX-License-Identifier: Apache-2.0
"""What ends leases of the controller's own host after it was rebooted: a unit of systemd.

Root's is a unit of the system. Another user's is one of the user, which systemd starts at boot
only where lingering is enabled for that user (``loginctl enable-linger``). Elsewhere nothing of
this host ends them: ``gameday sweep`` does, on any host that has the inventory.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shlex
from pathlib import Path
from typing import NamedTuple, Optional, Sequence

from gameday.agent import vigil
from gameday.errors import NodeError

RUNNING = Path("/run/systemd/system")
SYSTEM = Path("/etc/systemd/system")
LINGER = Path("/var/lib/systemd/linger")
MARK = "# Written by gameday while a lease is open; removed with the last one.\n"

TEXT = """\
{mark}[Unit]
Description=End gameday's leases that a reboot of this controller's host interrupted
Wants=network-online.target
After=network-online.target

[Service]
Type=exec
Restart=on-failure
RestartSec=5
Environment={environment}
ExecStart={command}

[Install]
WantedBy={target}
"""


class Place(NamedTuple):
    """Where the unit stands, and what wants it at boot."""

    directory: Path
    target: str

    @property
    def unit(self) -> Path:
        """One for each state directory: a host may have several."""
        return self.directory / f"gameday-boot-{_digest()}.service"

    @property
    def link(self) -> Path:
        """What makes systemd start it."""
        return self.directory / f"{self.target}.wants" / self.unit.name


def place() -> Optional[Place]:
    """Where it would stand; ``None`` where nobody would start it after a boot."""
    if not vigil.LOCAL or not RUNNING.is_dir():
        return None
    if os.geteuid() == 0:
        return Place(SYSTEM, "multi-user.target")
    user = pwd.getpwuid(os.geteuid())
    if not (LINGER / user.pw_name).exists():
        return None
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.join(user.pw_dir, ".config")
    return Place(Path(base) / "systemd" / "user", "default.target")


def install(argv: Sequence[str]) -> None:
    """Have ``argv`` run after the next boot; on disk to stay when this returns.

    Raises:
        NodeError: where it cannot be written.
    """
    where = place()
    if where is None:
        return
    kept = {name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ}
    text = TEXT.format(
        mark=MARK, command=" ".join(shlex.quote(one) for one in argv), target=where.target,
        environment=" ".join(shlex.quote(f"{name}={value}") for name, value in kept.items()),
    )  # fmt: skip
    draft = where.unit.with_suffix(".draft")
    try:
        where.link.parent.mkdir(parents=True, exist_ok=True)
        with open(draft, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, where.unit)
        if not where.link.is_symlink():
            where.link.symlink_to(where.unit)
        for directory in (where.link.parent, where.unit.parent):
            _sync(directory)
    except OSError as error:
        raise NodeError(
            f"cannot write {where.unit}, which ends the lease after a reboot: {error.strerror}"
        ) from error


def remove() -> None:
    """Remove what ``install`` wrote."""
    where = place()
    if where is not None:
        for path in (where.link, where.unit, where.unit.with_suffix(".draft")):
            path.unlink(missing_ok=True)


def there() -> bool:
    """Whether it would run after a boot."""
    where = place()
    return where is not None and where.unit.exists() and where.link.is_symlink()


def _digest() -> str:
    return hashlib.sha256(vigil.HOME.encode()).hexdigest()[:8]


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
