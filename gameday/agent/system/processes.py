# SPDX-License-Identifier: Apache-2.0
"""The real ``Processes`` of ``gameday.faults.hosts.processes``: /proc, signals, notes."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

from gameday import clock
from gameday.agent import vigil
from gameday.agent.system import processes_cgroup as cgroup
from gameday.agent.system import processes_units as units
from gameday.agent.system.command import Check
from gameday.errors import NodeError
from gameday.faults.hosts.processes import Process, Unit

HOME = Path(vigil.HOME)

KERNEL_THREAD = 0x00200000
"""PF_KTHREAD in the flags of ``/proc/<pid>/stat``."""

ENDED = ("Z", "X", "x")

OWN_MARK = re.compile(rb"/agent/[0-9a-f]{64}(\0|$)|\.gameday/agent-[0-9a-f]{16}\.pyz\0")
"""In the arguments of every process that gameday starts on a node."""

ANCESTORS_MAX = 64

SIGNALS = {"STOP": signal.SIGSTOP, "CONT": signal.SIGCONT, "KILL": signal.SIGKILL}


def _look_at_proc() -> None:
    if _stat(os.getpid()) is None:
        raise NodeError("/proc does not show processes")
    if os.geteuid() != 0:
        raise NodeError("not root: processes of others cannot be signalled")


CHECKS: Tuple[Check, ...] = (
    Check("processes", _look_at_proc, "mount /proc without hidepid and run as root"),
)


class RealProcesses:
    """This node."""

    def __init__(self, home: Path = HOME) -> None:
        self._notes = home / "ledger"

    def find(self, by: str, what: str) -> Tuple[Process, ...]:
        """See ``Processes``."""
        if by == "name":
            return tuple(one for one in _all() if what in (one.name, _called(one.pid)))
        if by == "unit":
            path = units.control_group(what)
            return tuple(one for one in _all() if path and cgroup.is_in(one.pid, path))
        full = cgroup.container_id(what, (one.pid for one in _all()))
        return tuple(one for one in _all() if full and full in cgroup.container_ids(one.pid))

    def protected(self) -> Mapping[Process, str]:
        """See ``Processes``: process 1, our own, and the session that we came through."""
        found = {}
        for one in _all():
            if one.pid == 1:
                found[one] = "it is process 1 of this node"
            elif one.pid == os.getpid() or OWN_MARK.search(_cmdline(one.pid)):
                found[one] = "it is gameday's own"
        above = _stat(os.getppid())
        for _ in range(ANCESTORS_MAX):
            if above is None or above.pid <= 1:
                break
            found.setdefault(above, "gameday's own session runs below it")
            above = _stat(above.parent)
        return found

    def look(self, pid: int, start: int) -> Optional[Process]:
        """See ``Processes``."""
        found = _stat(pid)
        return found if found and found.start == start else None

    def signal(self, pid: int, start: int, name: str) -> bool:
        """See ``Processes``: through a handle on the process where the kernel has those, so
        that nobody else can get the signal even if the number is used again meanwhile.
        """
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return False
        except (OSError, AttributeError) as error:
            if isinstance(error, OSError) and error.errno not in (errno.ENOSYS, errno.EPERM):
                raise
            return self._signal_by_number(pid, start, name)
        try:
            if self.look(pid, start) is None:
                return False
            signal.pidfd_send_signal(handle, SIGNALS[name])
        except ProcessLookupError:
            return False
        finally:
            os.close(handle)
        return True

    def _signal_by_number(self, pid: int, start: int, name: str) -> bool:
        if self.look(pid, start) is None:
            return False
        try:
            os.kill(pid, SIGNALS[name])
        except ProcessLookupError:
            return False
        return True

    def freezer(self, by: str, what: str) -> str:
        """See ``Processes``; a bare name has no cgroup that is its alone."""
        if by == "name":
            return ""
        if by == "unit":
            return cgroup.freezer_of(units.control_group(what))
        for one in self.find(by, what):
            return cgroup.container_freezer(one.pid, what)
        return ""

    def frozen(self, path: str) -> str:
        """See ``Processes``."""
        return cgroup.frozen(path)

    def freeze(self, path: str, on: bool) -> None:
        """See ``Processes``."""
        cgroup.freeze(path, on)

    def pod(self, container: str) -> str:
        """See ``Processes``."""
        for one in self.find("container", container):
            return cgroup.pod_of(one.pid, container)
        return ""

    def containers(self, pod: str) -> int:
        """See ``Processes``."""
        return cgroup.containers_in(pod, (one.pid for one in _all()))

    def unit(self, unit: str) -> Optional[Unit]:
        """See ``Processes``."""
        return units.look(unit)

    def systemctl(self, verb: str, unit: str) -> None:
        """See ``Processes``."""
        units.ask(verb, unit)

    def keep(self, lease_id: str, note: Mapping[str, Any]) -> None:
        """See ``Processes``."""
        self._notes.mkdir(mode=0o700, parents=True, exist_ok=True)
        path, draft = self._path(lease_id), self._path(lease_id).with_suffix(".draft")
        with open(draft, "w", encoding="utf-8") as file:
            json.dump({"boot_id": clock.boot_id(), "note": dict(note)}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)

    def kept(self, lease_id: str, across_boots: bool = False) -> Optional[Dict[str, Any]]:
        """See ``Processes``: process numbers of an earlier boot mean others now."""
        try:
            data = json.loads(self._path(lease_id).read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise NodeError(f"{self._path(lease_id)} is damaged: {error}") from error
        note: Dict[str, Any] = data["note"]
        return note if across_boots or data["boot_id"] == clock.boot_id() else None

    def noted(self) -> Tuple[str, ...]:
        """Leases of which there is a note."""
        return tuple(sorted(path.stem for path in self._notes.glob("*.processes")))

    def _path(self, lease_id: str) -> Path:
        return self._notes / f"{lease_id}.processes"


def _all() -> Iterator[Process]:
    """Every living process but kernel threads, which no signal reaches."""
    for name in sorted(os.listdir("/proc")):
        if name.isdigit():
            found = _stat(int(name))
            if found is not None:
                yield found


def _stat(pid: int) -> Optional[Process]:
    """``None`` where there is no such process, it has ended, or it is the kernel's own."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    head, _, tail = text.rpartition(")")
    words: List[str] = tail.split()
    if words[0] in ENDED or int(words[6]) & KERNEL_THREAD:
        return None
    return Process(pid, int(words[19]), int(words[1]), words[0], head.partition("(")[2])


def _cmdline(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        # It ended while we looked; nobody is called that.
        return b""


def _called(pid: int) -> str:
    """The last part of the path that a process was started by."""
    first = _cmdline(pid).split(b"\0")[0].decode(errors="replace")
    return first.rpartition("/")[2]
