# SPDX-License-Identifier: Apache-2.0
"""Time to arm all nodes, and the cut's skew between them; Ansible on the same nodes in between."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from gameday import clock
from gameday.clock import NS_PER_S
from gameday.errors import CannotRun
from gameday.lab import system
from tests.bench.estate import Estate
from tests.bench.session import session
from tests.bench.skew import Seen, Watch

FORKS = 50
COMMAND = "/usr/sbin/tc qdisc show"
ANSIBLE_TIMEOUT_S = 120
BLURRED_MAX = 4


@dataclass
class Size:
    """What was measured with one number of nodes; seconds, one per repetition.

    Attributes:
        open_s: connecting and starting the agent, which is there. preflight_s: facts, audit.
        arm_s: first request to last "armed", from events.jsonl.
        raw_s, raw_again_s, command_s: Ansible's modules; "again" finds its connections open.
        seen: every node's packets, per cut that they show. fire_ns, expire_ns: its window.
        blurred: cuts around which the sender itself was held up; they are repeated.
    """

    nodes: int
    open_s: list[float] = field(default_factory=list)
    preflight_s: list[float] = field(default_factory=list)
    arm_s: list[float] = field(default_factory=list)
    raw_s: list[float] = field(default_factory=list)
    raw_again_s: list[float] = field(default_factory=list)
    command_s: list[float] = field(default_factory=list)
    seen: list[list[Seen]] = field(default_factory=list)
    fire_ns: list[int] = field(default_factory=list)
    expire_ns: list[int] = field(default_factory=list)
    blurred: int = 0


def push(estate: Estate) -> float:
    """Put the agent on all nodes; returns how long connecting and pushing took, in seconds."""
    with session(estate, len(estate.names)) as one:
        return one.open() / NS_PER_S


def measure(estate: Estate, count: int, repetitions: int, ansible: int) -> Size:
    """Arm and cut ``repetitions`` times; Ansible after each of the first ``ansible`` of them."""
    found = Size(count)
    for number in range(repetitions + BLURRED_MAX):
        if len(found.seen) == repetitions:
            break
        _gameday(estate, found)
        if number < ansible:
            found.raw_s.append(_ansible(estate, count, "raw", fresh=True))
            found.raw_again_s.append(_ansible(estate, count, "raw", fresh=False))
            found.command_s.append(_ansible(estate, count, "command", fresh=True))
    return found


def _gameday(estate: Estate, found: Size) -> None:
    with session(estate, found.nodes) as one:
        found.open_s.append(one.open() / NS_PER_S)
        begin = clock.mono_ns()
        one.preflight()
        found.preflight_s.append((clock.mono_ns() - begin) / NS_PER_S)
        watch = Watch(estate, one.names)
        try:
            armed = one.arm()
            found.arm_s.append(armed.arm_ns / NS_PER_S)
            seen = watch.through(armed)
        finally:
            watch.close()
        if any(x.blurred for x in seen):
            found.blurred += 1
        else:
            found.seen.append(seen)
            found.fire_ns.append(armed.fire_ns)
            found.expire_ns.append(armed.expire_ns)
        one.disarm(armed)


def _ansible(estate: Estate, count: int, module: str, fresh: bool) -> float:
    """Run one ``tc`` on the first ``count`` nodes; returns how long it took, in seconds.

    Raises:
        CannotRun: where it did not succeed on every node.
    """
    program = Path(sys.executable).with_name("ansible")
    argv = [str(program), "-i", str(estate.inventory), f"near[0:{count - 1}]",
            "-f", str(FORKS), "-m", module, "-a", COMMAND]  # fmt: skip
    environment = {
        "PATH": system.PATH, "HOME": str(estate.state), "LC_ALL": "C.UTF-8",
        "ANSIBLE_HOME": str(estate.state / "ansible"),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(estate.control),
    }  # fmt: skip
    if fresh:
        estate.end_connections()
    begin = clock.mono_ns()
    done = subprocess.run(argv, capture_output=True, text=True, env=environment, check=False,
                          stdin=subprocess.DEVNULL, timeout=ANSIBLE_TIMEOUT_S)  # fmt: skip
    took = clock.mono_ns() - begin
    if done.returncode != 0 or done.stdout.count("rc=0") != count:
        raise CannotRun(f"ansible -m {module} failed: {done.stdout[-300:]}{done.stderr[-300:]}")
    return took / NS_PER_S
