# SPDX-License-Identifier: Apache-2.0
"""systemd units of a drill: a timer and the service that it starts, of the user or the system.

``Persistent=false``, on purpose: with it set, a drill whose date passed while the machine was off
would begin at the next boot, when nobody expects it and the estate may just be coming back. A
missed drill is told as overdue instead, and somebody begins it (``gameday schedule run NAME``).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from gameday.drills.calendar import Calendar
from gameday.drills.schedule import Drill
from gameday.errors import EXIT_SKIPPED, CannotRun, InvalidInput

SYSTEM = Path("/etc/systemd/system")
PREFIX = "gameday_drill-"
"""Not ``gameday-``: those are the leases' units on nodes, and one host may be both."""

COMMAND_TIMEOUT_S = 60
COMPARED = 12
"""Dates that are compared with systemd's own when a drill is added: three years of quarters."""

STOP_S = 900
"""Ending all faults, reading all nodes back and signing; after it systemd kills us, and the nodes
end what is left by themselves."""

SERVICE = """\
# Written by gameday schedule add; gameday schedule remove {name} removes it.
[Unit]
Description=gameday drill {name}
After=network-online.target
Wants=network-online.target

[Service]
Type=oneshot
ExecStart={command}
# {skipped}: nothing was to be done at that moment, such as in a freeze.
SuccessExitStatus={skipped}
# Stopping it ends the faults at once and reads every node back.
KillMode=mixed
TimeoutStopSec={stop_s}
"""

TIMER = """\
# Written by gameday schedule add; gameday schedule remove {name} removes it.
[Unit]
Description=Dates of the gameday drill {name}

[Timer]
OnCalendar={on}
AccuracySec=1s
# A drill that was missed while the machine was off must not begin by surprise at boot:
# gameday schedule list tells that it is overdue.
Persistent=false
Unit={service}

[Install]
WantedBy=timers.target
"""


def names(drill: str) -> tuple[str, str]:
    """Names of a drill's timer and service."""
    return f"{PREFIX}{drill}.timer", f"{PREFIX}{drill}.service"


def texts(drill: Drill, directory: Path) -> dict[str, str]:
    """The units of a drill by their names; ``directory`` holds its file."""
    timer, service = names(drill.name)
    argv = command(drill.name, directory, "--if-due")
    return {
        timer: TIMER.format(name=drill.name, on=_line(drill.calendar.on_calendar()),
                            service=service),
        service: SERVICE.format(name=drill.name, command=" ".join(_word(one) for one in argv),
                                skipped=EXIT_SKIPPED, stop_s=STOP_S),
    }  # fmt: skip


def command(name: str, directory: Path, *more: str) -> list[str]:
    """What runs a drill: this gameday, by this Python, wherever it is called from."""
    return [sys.executable, "-P", "-m", "gameday.cli.main", "schedule", "run", name, *more,
            "--directory", str(directory)]  # fmt: skip


def running() -> bool:
    """Whether systemd is this host's process 1, as ``sd_booted(3)`` decides it."""
    return os.path.isdir("/run/systemd/system") and shutil.which("systemctl") is not None


def place(kind: str) -> Path:
    """Where units go: of the system, or of this user."""
    if kind == "system":
        return SYSTEM
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base).absolute() / "systemd" / "user"


def install(drill: Drill, directory: Path) -> list[Path]:
    """Write a drill's units, and start its timer; returns the files.

    Raises:
        InvalidInput: where they cannot be written. CannotRun: where systemd refuses; then
            they are gone again.
    """
    found = place(drill.kind)
    written = []
    try:
        found.mkdir(parents=True, exist_ok=True)
        for name, text in texts(drill, directory).items():
            (found / name).write_text(text, encoding="utf-8")
            written.append(found / name)
    except OSError as error:
        remove(drill)
        todo = "units of the system need root; without it: --user"
        raise InvalidInput(f"{found}: cannot write: {error.strerror}", todo) from error
    timer, _ = names(drill.name)
    try:
        _systemctl(drill.kind, "daemon-reload")
        _systemctl(drill.kind, "enable", "--now", timer)
    except CannotRun:
        remove(drill)
        raise
    return written


def remove(drill: Drill) -> list[Path]:
    """Stop a drill's timer and remove its units; a run that goes on is not touched.

    Raises:
        CannotRun: where systemd refuses. InvalidInput: where a file cannot be removed.
    """
    found = [place(drill.kind) / name for name in names(drill.name)]
    timer, service = names(drill.name)
    there = [path for path in found if path.exists()]
    if running() and there:
        _systemctl(drill.kind, "disable", "--now", timer, check=False)
    try:
        for path in there:
            path.unlink()
    except OSError as error:
        raise InvalidInput(f"{path}: cannot remove: {error.strerror}") from error
    if running() and there:
        _systemctl(drill.kind, "daemon-reload", check=False)
        # A run that failed would stay in `systemctl --failed`, and nobody could look it up.
        _systemctl(drill.kind, "reset-failed", timer, service, check=False)
    return there


def lingers() -> bool:
    """Whether this user's timers go on when nobody is logged in."""
    done = _ask(["loginctl", "show-user", "--property=Linger", "--value", str(os.getuid())])
    return done.stdout.strip() == "yes"


def disagreement(calendar: Calendar, moment: datetime) -> str:
    """What systemd reads differently; empty where it agrees or is not here."""
    if not shutil.which("systemd-analyze"):
        return ""
    done = _ask(
        ["systemd-analyze", "calendar", f"--iterations={COMPARED}",
         f"--base-time={moment:%Y-%m-%d %H:%M:%S} UTC", calendar.on_calendar()], TZ="UTC",
    )  # fmt: skip
    if "unrecognized option" in done.stderr:
        # Before systemd 247 it cannot be asked about another moment than now.
        return ""
    if done.returncode:
        return f"systemd refuses it: {done.stderr.strip()[:300]}"
    theirs = re.findall(r"(?:elapse|#\d+): \w+ (\d{4}-\d\d-\d\d \d\d:\d\d):00 UTC", done.stdout)
    ours = [f"{one:%Y-%m-%d %H:%M}" for one in calendar.after(moment, COMPARED)]
    for mine, other in zip(ours, theirs, strict=False):
        if mine != other:
            return f"systemd reads {other} where gameday reads {mine} (UTC)"
    return "" if theirs else "systemd finds no date"


def _systemctl(kind: str, *argv: str, check: bool = True) -> None:
    user = ["--user"] if kind == "user" else []
    done = _ask(["systemctl", "--no-ask-password", *user, *argv])
    if check and done.returncode:
        raise CannotRun(
            f"systemctl {' '.join([*user, *argv])}: {done.stderr.strip()[:300]}",
            "without a user's systemd: --system as root, --as crontab, or --print",
        )


def _ask(argv: Sequence[str], **environment: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            argv, capture_output=True, text=True, check=False, timeout=COMMAND_TIMEOUT_S,
            env={**os.environ, **environment, "LC_ALL": "C"},
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(argv, 1, "", f"{type(error).__name__}")


def _line(text: str) -> str:
    return text.replace("%", "%%")


def _word(text: str) -> str:
    """One word of ExecStart: no specifier, variable or quote in it means anything."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if re.search(r"[\s'\"\\;]", text) or not text else escaped
