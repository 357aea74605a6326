# SPDX-License-Identifier: Apache-2.0
"""``process``: a service is paused, killed, killed again and again, stopped or masked.

Whom it hits is looked up twice: when the lease is armed, so that a lease that cannot work is
refused early, and when its window opens, since services restart in between. What the lease
then does is put on disk first, as a *note* beside the receipt, process by process with the
moment each began: at the end only those are resumed that the lease itself stopped, and a
number that somebody else got meanwhile is never signalled.

How each action is done and undone is in ``process_actions``.

This module travels to nodes: standard library only, Python 3.9 syntax.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Dict, List, Literal, Mapping, Optional, Tuple

from gameday.errors import InvalidInput, NodeError
from gameday.faults import process_actions
from gameday.faults.base import Estate, Facts, ProcessKept, Selector
from gameday.faults.hosts import Host
from gameday.faults.hosts.processes import Process as Found
from gameday.faults.hosts.processes import Unit
from gameday.record.types import Lease, Observation

OWN_UNITS = ("gameday-", "systemd-", "init.scope", "dbus", "user@")
"""Beginnings of units that the node, or the end of the lease, depends on."""

FINAL_ETC = "/etc/systemd/system/"
"""A unit file here wins over the runtime mask in /run, which then does nothing."""

DEPENDENTS_MAX = 16
"""A unit that takes more services along is no single service; pick one of those instead."""


@dataclass(frozen=True)
class ProcessParams:
    """Parameters of ``process``.

    Attributes:
        nodes: those whose service is hit.
        action: pause (freeze, or SIGSTOP where nothing can be frozen), kill (SIGKILL once),
            restart-loop (SIGKILL every period_ms), stop or mask (systemd units only).
        unit: a systemd service, "kubelet" or "kubelet.service".
        container: first digits of a container's id.
        name: name of a program, exactly: its comm, or the last part of the path it was
            started by.
        period_ms: between two kills of a restart-loop, in milliseconds.
    """

    nodes: Selector
    action: Literal["pause", "kill", "restart-loop", "stop", "mask"]
    unit: str = field(default="", metadata={"pattern": r"^([A-Za-z0-9:_.@\\-]{1,200})?$"})
    container: str = field(default="", metadata={"pattern": r"^([0-9a-f]{8,64})?$"})
    name: str = field(default="", metadata={"pattern": r"^([^/\s]{1,200})?$"})
    period_ms: int = field(default=2000, metadata={"ge": 200, "le": 60_000})


class Process(ProcessKept):
    """A service that hangs, crashes, crashes again and again, or is switched off."""

    kind = "process"
    Params: type = ProcessParams
    summary = "a service is paused, killed, killed again and again, stopped or masked"

    def spread(self, params: ProcessParams, estate: Estate) -> Dict[str, Dict[str, Any]]:
        """One spec per selected node that can be armed.

        Raises:
            InvalidInput: where not exactly one target is named, or it does not suit the action.
        """
        named = {by: getattr(params, by) for by in ("unit", "container", "name")}
        given = [by for by, what in named.items() if what]
        if len(given) != 1:
            raise InvalidInput(
                f"{given[1] if given else 'unit'} is one of {len(given)} targets; exactly one is "
                "needed",
                "give one of unit, container and name",
            )
        by, what = given[0], named[given[0]]
        if params.action in ("stop", "mask") and by != "unit":
            raise InvalidInput(
                f"action {params.action} is for systemd units only", "name a unit, or use kill"
            )
        if by == "unit":
            what = _unit_name(what)
        nodes = [node for node in estate.select(params.nodes) if estate.can_arm(node)]
        if by == "container" and len(nodes) > 1:
            raise InvalidInput(
                f"nodes selects {len(nodes)} nodes, and a container runs on one of them only",
                "select that node alone",
            )
        loops = params.action == "restart-loop"
        return {
            node: {
                "by": by, "what": what, "action": params.action,
                "period_ms": params.period_ms if loops else 0,
            }
            for node in nodes
        }  # fmt: skip

    def available(self, facts: Facts) -> Optional[str]:
        """Processes must be seen and signalled; whether there is systemd is asked per lease."""
        return facts.missing.get("processes")

    def claims(self, spec: Mapping[str, Any]) -> Tuple[str, ...]:
        """The target under the name it was given."""
        return (f"process {spec['by']} {spec['what']}",)

    def explain(self, lease: Lease) -> Tuple[List[str], List[str]]:
        """What the node's keeper does, and what undoes it."""
        return process_actions.explain(lease)

    def before(self, lease: Lease, host: Host) -> Dict[str, Any]:
        """Who is there, who is out of bounds, and the unit's state.

        Raises:
            NodeError: where nothing matches, something that is out of bounds does, or the
                target is in the lease's state already.
        """
        by, what, action = (lease.spec[key] for key in ("by", "what", "action"))
        seen = host.processes
        protected = sorted([one.pid, one.start] for one in seen.protected())
        found: Dict[str, Any] = {"protected": protected}
        if by == "unit":
            unit = seen.unit(what)
            _check_unit(what, action, unit)
            found["unit"] = {**asdict(unit), "dependents": list(unit.dependents)} if unit else {}
        matched = seen.find(by, what)
        if not matched:
            raise NodeError(f"no living process of {by} {what}; is it running on this node?")
        process_actions.check(matched, protected, seen, f"{by} {what}")
        if action == "pause":
            _check_not_paused(by, what, matched, host)
        found["mains"] = process_actions.mains(matched)
        found["pod"] = seen.pod(what) if by == "container" else ""
        found["containers"] = seen.containers(found["pod"]) if found["pod"] else 0
        return found

    def drive(
        self, lease: Lease, before: Mapping[str, Any], host: Host, since_ns: int
    ) -> Optional[int]:
        """Do it; a restart-loop asks to be called again."""
        return process_actions.of(lease).drive(lease, before, host.processes, since_ns)

    def observe(self, lease: Lease, before: Mapping[str, Any], host: Host) -> Observation:
        """What is stopped, frozen, down or masked, and still the lease's."""
        note = host.processes.kept(lease.id)
        if note is None:
            return Observation("absent", (), {}, ())
        if note.get("ended"):
            return Observation("absent", (), {}, tuple(note["changed"]))
        open_window = host.wall_ns() < lease.expire_at_ns
        return process_actions.of(lease).observe(lease, before, host.processes, note, open_window)

    def disarm(self, lease: Lease, before: Mapping[str, Any], host: Host) -> List[str]:
        """Undo what the note says was done, where it still holds."""
        note = host.processes.kept(lease.id)
        if note is None or note.get("ended"):
            return []
        action = process_actions.of(lease)
        changed = action.observe(lease, before, host.processes, note, False).foreign_changed
        done, back = action.undo(lease, before, host.processes, note)
        if back:
            host.processes.keep(lease.id, {**note, "ended": True, "changed": list(changed)})
        return done


def _unit_name(unit: str) -> str:
    """With its ending; only services can be hit.

    Raises:
        InvalidInput: for other kinds of units, and for those the lease's own end depends on.
    """
    name = unit if "." in unit.rpartition("@")[2] else f"{unit}.service"
    if name.startswith(OWN_UNITS):
        raise InvalidInput(f"unit {name} is out of bounds", "the node's own life depends on it")
    if not name.endswith(".service"):
        raise InvalidInput(f"unit {name} is no service", "name a unit that ends in .service")
    return name


def _check_unit(name: str, action: str, unit: Optional[Unit]) -> None:
    if unit is None:
        raise NodeError(f"systemd knows no unit {name} on this node")
    if unit.file_state.startswith("masked"):
        raise NodeError(f"{name} is masked already; unmask it first, or leave it out")
    if unit.active != "active":
        raise NodeError(f"{name} is {unit.active}, not active; there is nothing to {action}")
    if action == "mask" and unit.fragment.startswith(FINAL_ETC):
        raise NodeError(
            f"{name} cannot be masked until reboot only: its file {unit.fragment} wins over "
            "/run; use the action stop"
        )
    targets = [one for one in unit.dependents if one.endswith(".target")]
    if targets or len(unit.dependents) > DEPENDENTS_MAX:
        along = targets[0] if targets else f"{len(unit.dependents)} other units"
        raise NodeError(f"{name} takes {along} along when it ends; that is no single service")


def _check_not_paused(by: str, what: str, matched: Tuple[Found, ...], host: Host) -> None:
    freezer = host.processes.freezer(by, what)
    if freezer and host.processes.frozen(freezer) != "thawed":
        raise NodeError(f"{by} {what} is frozen already ({freezer}); somebody else holds it")
    if all(one.stopped for one in matched):
        raise NodeError(f"every process of {by} {what} is stopped already; somebody else did it")


FAULT = Process()
