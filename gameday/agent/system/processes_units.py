# SPDX-License-Identifier: Apache-2.0
"""systemd units as targets of faults; as guards of leases they are in ``systemd.py``."""

from __future__ import annotations

import contextlib
from typing import Dict, List, Optional, Tuple

from gameday.agent.system import systemd
from gameday.agent.system.command import run
from gameday.errors import NodeError
from gameday.faults.hosts.processes import Unit

STOPPED_WITH = ("RequiredBy", "BoundBy", "ConsistsOf", "RequisiteOf")
"""Relations by which stopping one unit stops another."""

DEPENDENTS_MAX = 64
"""Looked at, so that a broken graph ends; a service has a handful."""

VERBS = {
    "start": ["--no-block", "start"],
    "stop": ["--no-block", "stop"],
    "mask": ["--runtime", "mask"],
    "unmask": ["--runtime", "unmask"],
}


def look(unit: str) -> Optional[Unit]:
    """What systemd says of a unit; ``None`` where it knows none of that name.

    Raises:
        NodeError: where systemd is not process 1, or does not answer.
    """
    found = _show(unit, "LoadState", "ActiveState", "SubState", "UnitFileState", "FragmentPath")
    if found["LoadState"] == "not-found":
        return None
    # systemd calls a unit "activating" while it only waits to try again.
    again = "auto-restart" in found["SubState"]
    active = "auto-restart" if again else found["ActiveState"]
    return Unit(active, found["UnitFileState"], found["FragmentPath"], _dependents(unit))


def control_group(unit: str) -> str:
    """A unit's path in systemd's cgroup tree; "" where it has none, as while it is down.

    Raises:
        NodeError: as ``look``; also where there is no such unit.
    """
    found = _show(unit, "LoadState", "ControlGroup")
    if found["LoadState"] == "not-found":
        raise NodeError(f"systemd knows no unit {unit}")
    return found["ControlGroup"]


def ask(verb: str, unit: str) -> None:
    """Start, stop, mask or unmask (until reboot), without waiting for the unit.

    Raises:
        NodeError: where systemd refuses.
    """
    _need_systemd()
    if verb == "start":
        # A unit that was killed too often in a row is refused a start until this is said. systemd
        # forgets a unit that is down and that nobody refers to, and then refuses to reset what
        # it does not remember: the start itself tells whether the unit can be started.
        with contextlib.suppress(NodeError):
            run(["systemctl", "reset-failed", unit])
    run(["systemctl", *VERBS[verb], unit])


def _dependents(unit: str) -> Tuple[str, ...]:
    found: List[str] = []
    todo = [unit]
    while todo and len(found) < DEPENDENTS_MAX:
        shown = _show(todo.pop(), *STOPPED_WITH)
        for name in (word for key in STOPPED_WITH for word in shown[key].split()):
            if name == unit or name in found:
                continue
            if _show(name, "ActiveState")["ActiveState"] == "active":
                found.append(name)
                todo.append(name)
    return tuple(sorted(found))


def _show(unit: str, *properties: str) -> Dict[str, str]:
    _need_systemd()
    text = run(["systemctl", "show", f"--property={','.join(properties)}", "--", unit])
    found = dict.fromkeys(properties, "")
    found.update(line.split("=", 1) for line in text.splitlines() if "=" in line)  # type: ignore[misc]
    return found


def _need_systemd() -> None:
    if not systemd.running():
        raise NodeError("systemd is not process 1 of this node; aim by name or container instead")
