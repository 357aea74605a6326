# SPDX-License-Identifier: Apache-2.0
"""How each action of ``process`` is done, seen and undone. Not a kind of its own.

Each action writes its note before it changes anything, so that a keeper that dies half way
leaves a note of at least what it did.

This module travels to nodes: standard library only, Python 3.9 syntax.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Protocol, Sequence, Tuple

from gameday.clock import NS_PER_MS
from gameday.errors import NodeError
from gameday.faults.hosts.processes import Process, Processes
from gameday.record.types import Lease, Observation, to_json

PROCESSES_MAX = 512
"""Signals go out one by one: more are not one service, and would not stop at one moment."""

ROUNDS_MAX = 5
"""A service may fork while its processes are stopped one by one; soon nobody is left to."""

Note = Dict[str, Any]


class Action(Protocol):
    """One way to hit a service."""

    def drive(
        self, lease: Lease, before: Mapping[str, Any], host: Processes, since_ns: int
    ) -> Optional[int]:
        """Start the effect, or go on with it; see ``Fault.drive``."""

    def observe(
        self, lease: Lease, before: Mapping[str, Any], host: Processes, note: Note, window: bool
    ) -> Observation:
        """What is there of it; ``window`` tells whether it still may be."""

    def undo(
        self, lease: Lease, before: Mapping[str, Any], host: Processes, note: Note
    ) -> Tuple[List[str], bool]:
        """Undo it: what was done, and whether everything is as it was."""


def of(lease: Lease) -> Action:
    """The action that a lease asks for."""
    return ACTIONS[lease.spec["action"]]


def check(
    matched: Sequence[Process], protected: Sequence[Sequence[int]], host: Processes, whom: str
) -> None:
    """Refuse what must never be hit: see ``Processes.protected``, at arming and now.

    Raises:
        NodeError: with the process and the reason.
    """
    if len(matched) > PROCESSES_MAX:
        raise NodeError(f"{whom} has {len(matched)} processes; at most {PROCESSES_MAX} are hit")
    now = {one.pid: why for one, why in host.protected().items()}
    earlier = {(pid, start) for pid, start in protected}
    for one in matched:
        if one.pid in now or (one.pid, one.start) in earlier:
            why = now.get(one.pid, "gameday's own session runs below it")
            raise NodeError(f"{whom} has process {one.pid} ({one.name}), out of bounds: {why}")


def mains(matched: Sequence[Process]) -> int:
    """How many of them were not started by another of them: masters, not their workers."""
    own = {one.pid for one in matched}
    return sum(1 for one in matched if one.parent not in own)


def explain(lease: Lease) -> Tuple[List[str], List[str]]:
    """What an action does, and what undoes it, as lines for people."""
    by, what, action = (lease.spec[key] for key in ("by", "what", "action"))
    whom = f"every process of {by} {what}"
    start = f"systemctl start {what}  (and what systemd stopped with it; where not running again)"
    if action == "pause":
        cgroup = "" if by == "name" else f"freeze the cgroup of {by} {what}; where it has none: "
        thaw = "" if by == "name" else "thaw it, or "
        return [f"{cgroup}kill -STOP {whom}"], [f"{thaw}kill -CONT {whom} that was stopped"]
    if action in ("kill", "restart-loop"):
        often = f", every {lease.spec['period_ms']} ms" if action == "restart-loop" else ", once"
        supervisor = f"(its supervisor starts {what} again; where it does not, you are told)"
        return [f"kill -KILL {whom}{often}"], [start if by == "unit" else supervisor]
    rules = [f"systemctl stop {what}"]
    if action == "mask":
        return [f"systemctl mask --runtime {what}", *rules], [
            f"systemctl unmask --runtime {what}", start,
        ]  # fmt: skip
    return rules, [start]


def find(lease: Lease, before: Mapping[str, Any], host: Processes) -> Tuple[Process, ...]:
    """The lease's processes now, all of them allowed to be hit.

    Raises:
        NodeError: as ``check``.
    """
    by, what = lease.spec["by"], lease.spec["what"]
    found = host.find(by, what)
    check(found, before["protected"], host, f"{by} {what}")
    return found


class Pause:
    """Freezer where there is one, else SIGSTOP to each process."""

    def drive(
        self, lease: Lease, before: Mapping[str, Any], host: Processes, since_ns: int
    ) -> Optional[int]:
        """Freeze or stop; says no where somebody else did it first."""
        note = host.kept(lease.id) or {"frozen": "", "stopped": []}
        found = find(lease, before, host)
        if not found:
            raise NodeError("nothing to pause: no such process runs now")
        freezer = host.freezer(lease.spec["by"], lease.spec["what"])
        if freezer:
            if note["frozen"] != freezer:
                if host.frozen(freezer) != "thawed":
                    raise NodeError(f"{freezer} was frozen by somebody else meanwhile")
                note["frozen"] = freezer
                _keep(lease, before, host, note)
            host.freeze(freezer, True)
            return None
        for _ in range(ROUNDS_MAX):
            fresh = [one for one in found if not one.stopped]
            if not fresh:
                break
            own = {(pid, start) for pid, start in note["stopped"]}
            own |= {(one.pid, one.start) for one in fresh}
            note["stopped"] = sorted([pid, start] for pid, start in own)
            _keep(lease, before, host, note)
            for one in fresh:
                host.signal(one.pid, one.start, "STOP")
            found = find(lease, before, host)
        return None

    def observe(
        self, lease: Lease, before: Mapping[str, Any], host: Processes, note: Note, window: bool
    ) -> Observation:
        """Active while all that was paused and lives is paused."""
        left, changed, parts = [], [], []
        if note["frozen"]:
            state = host.frozen(note["frozen"])
            if state in ("frozen", "freezing"):
                parts.append(state)
                left.append(
                    f"frozen cgroup {note['frozen']}: thaw it with `{_thaw(note['frozen'])}`"
                )
            else:
                word = "thawed" if state == "thawed" else "removed"
                changed.append(f"{note['frozen']} was {word} by somebody else")
        held = gone = 0
        for pid, start in note["stopped"]:
            one = host.look(pid, start)
            if one is None:
                gone += 1
            elif one.stopped:
                held += 1
                left.append(f"stopped process {pid} ({one.name}): resume with `kill -CONT {pid}`")
        resumed = len(note["stopped"]) - held - gone
        if gone:
            changed.append(f"{gone} paused process(es) ended; did a watchdog kill them?")
        if resumed:
            changed.append(f"{resumed} paused process(es) were resumed by somebody else")
        whole = "freezing" not in parts and not (resumed and left)
        state = "absent" if not left else "active" if whole else "foreign"
        counters = {"frozen": len(parts), "stopped": held}
        return Observation(state, tuple(left), counters, tuple(changed))

    def undo(
        self, lease: Lease, before: Mapping[str, Any], host: Processes, note: Note
    ) -> Tuple[List[str], bool]:
        """Thaw and resume what the lease froze and stopped."""
        done = []
        if note["frozen"] and host.frozen(note["frozen"]) in ("frozen", "freezing"):
            host.freeze(note["frozen"], False)
            done.append(f"thawed {note['frozen']}")
        for pid, start in note["stopped"]:
            one = host.look(pid, start)
            if one is not None and one.stopped and host.signal(pid, start, "CONT"):
                done.append(f"resumed process {pid} ({one.name})")
        return done, True


class Kill:
    """SIGKILL, once or again and again."""

    def __init__(self, again: bool) -> None:
        self._again = again

    def drive(
        self, lease: Lease, before: Mapping[str, Any], host: Processes, since_ns: int
    ) -> Optional[int]:
        """Kill who is there; once over, a single kill is not repeated by a later keeper."""
        note = host.kept(lease.id) or {"killed": [], "kills": 0, "over": False}
        if self._again:
            found = find(lease, before, host)
            note["kills"] += len(found)
            _keep(lease, before, host, note)
            _kill(found, host)
            period = int(lease.spec["period_ms"]) * NS_PER_MS
            return (since_ns // period + 1) * period
        if note["over"]:
            return None
        if not note["killed"]:
            found = find(lease, before, host)
            if not found:
                raise NodeError("nothing to kill: no such process runs now")
            note.update(killed=[[one.pid, one.start] for one in found], kills=len(found))
            _keep(lease, before, host, note)
        for pid, start in note["killed"]:
            host.signal(pid, start, "KILL")
        _keep(lease, before, host, {**note, "over": True})
        return None

    def observe(
        self, lease: Lease, before: Mapping[str, Any], host: Processes, note: Note, window: bool
    ) -> Observation:
        """Active through the window; after it, what was killed must be back."""
        by, what = lease.spec["by"], lease.spec["what"]
        running = len(host.find(by, what))
        counters = {"killed": note["kills"], "running": running}
        hand = f"`systemctl start {what}`" if by == "unit" else "its supervisor, or by hand"
        if window:
            left = (f"{by} {what} was killed: if it stays down, start it with {hand}",)
            return Observation("active", left, counters, ())
        if _is_back(lease, before, host):
            return Observation("absent", (), counters, ())
        left = (f"{by} {what} was killed, and nobody started it again: start it with {hand}",)
        return Observation("foreign", left, counters, ())

    def undo(
        self, lease: Lease, before: Mapping[str, Any], host: Processes, note: Note
    ) -> Tuple[List[str], bool]:
        """A unit is started; for others there is only its supervisor."""
        done = _start_again(lease, before, host) if lease.spec["by"] == "unit" else []
        return done, _is_back(lease, before, host)


class Switch:
    """systemctl stop, and mask where asked for."""

    def __init__(self, mask: bool) -> None:
        self._mask = mask

    def drive(
        self, lease: Lease, before: Mapping[str, Any], host: Processes, since_ns: int
    ) -> Optional[int]:
        """Mask first: nobody can start it again between the two."""
        unit = lease.spec["what"]
        find(lease, before, host)
        _keep(lease, before, host, {"switched": True})
        if self._mask and not _masked(unit, host):
            host.systemctl("mask", unit)
        host.systemctl("stop", unit)
        return None

    def observe(
        self, lease: Lease, before: Mapping[str, Any], host: Processes, note: Note, window: bool
    ) -> Observation:
        """Active while the unit is down, and masked where that was asked for."""
        name = lease.spec["what"]
        unit = host.unit(name)
        down = unit is None or not unit.runs
        masked = self._mask and _masked(name, host)
        left = []
        if masked:
            left.append(f"{name} is masked: `systemctl unmask --runtime {name}`")
        if down:
            left.append(f"{name} is down: `systemctl start {name}`")
        changed = []
        if not down:
            changed.append(f"{name} was started by somebody else")
        if self._mask and not masked:
            changed.append(f"{name} was unmasked by somebody else")
        whole = down and (masked or not self._mask)
        state = "active" if whole else "foreign" if left else "absent"
        return Observation(state, tuple(left), {"down": int(down)}, tuple(changed))

    def undo(
        self, lease: Lease, before: Mapping[str, Any], host: Processes, note: Note
    ) -> Tuple[List[str], bool]:
        """Unmask if the lease masked it, then start what was active."""
        name, done = lease.spec["what"], []
        if self._mask and _masked(name, host):
            host.systemctl("unmask", name)
            done.append(f"unmasked {name}")
        done += _start_again(lease, before, host)
        return done, _is_back(lease, before, host)


ACTIONS: Mapping[str, Action] = {
    "pause": Pause(), "kill": Kill(again=False), "restart-loop": Kill(again=True),
    "stop": Switch(mask=False), "mask": Switch(mask=True),
}  # fmt: skip


def _keep(lease: Lease, before: Mapping[str, Any], host: Processes, note: Note) -> None:
    # With lease and receipt in it, the note is enough to undo all of it if the ledger is lost.
    host.keep(lease.id, {**note, "lease": to_json(lease), "before": dict(before)})


def _thaw(path: str) -> str:
    # Only v1 has its own tree for the freezer.
    if "/freezer/" in path:
        return f"echo THAWED > {path}/freezer.state"
    return f"echo 0 > {path}/cgroup.freeze"


def _kill(found: Sequence[Process], host: Processes) -> None:
    for one in found:
        host.signal(one.pid, one.start, "KILL")


def _masked(unit: str, host: Processes) -> bool:
    found = host.unit(unit)
    # A mask that stays over a reboot is somebody else's: ours is in /run.
    return found is not None and found.file_state == "masked-runtime"


def _start_again(lease: Lease, before: Mapping[str, Any], host: Processes) -> List[str]:
    done = []
    for name in (lease.spec["what"], *before["unit"]["dependents"]):
        unit = host.unit(name)
        if unit is not None and not unit.runs:
            host.systemctl("start", name)
            done.append(f"started {name}")
    return done


def _is_back(lease: Lease, before: Mapping[str, Any], host: Processes) -> bool:
    by, what = lease.spec["by"], lease.spec["what"]
    if by == "unit":
        unit = host.unit(what)
        return unit is not None and unit.runs
    if by == "container" and before["pod"]:
        # The kubelet starts a killed container as a new one, with another id.
        return host.containers(before["pod"]) >= int(before["containers"])
    return mains(host.find(by, what)) >= int(before["mains"])
