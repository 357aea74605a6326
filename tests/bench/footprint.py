# SPDX-License-Identifier: Apache-2.0
"""What the agent costs one node: CPU until it is armed, memory while the fault lasts, bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gameday import clock
from gameday.clock import NS_PER_S
from gameday.transport.package import agent_package
from tests.bench.estate import Estate, forget_agent
from tests.bench.session import Mechanism, Session, session

OURS = b"/var/lib/gameday/agent/"
"""In the arguments of every process of the agent, and of no other."""

REPETITIONS = 5
WINDOW_S = 6
INTO_NS = 1_500_000_000
"""Memory is read this long after the window's start: what armed has given its memory back."""


@dataclass(frozen=True)
class Memory:
    """Resident memory of the agent's processes on one node, in kB.

    Attributes:
        processes: roles, as "serve reap". pss: the kernel's own sum, in which pages of Python's
            files are shared with other processes of this machine. alone: as if there were no
            other Python on the node: anonymous pages, and every file once.
    """

    processes: str
    pss: int
    alone: int


@dataclass(frozen=True)
class Footprint:
    """All figures of one node; CPU in milliseconds, one per repetition."""

    package_bytes: int
    cold_open_s: list[float]
    warm_open_s: list[float]
    start_ms: list[float]
    preflight_ms: list[float]
    arm_ms: list[float]
    memory: dict[str, Memory]


def measure(estate: Estate, repetitions: int = REPETITIONS) -> Footprint:
    """Measure on the first node, with all others idle."""
    name = estate.names[0]
    found = Footprint(len(agent_package().content), [], [], [], [], [], {})
    for number in range(repetitions):
        forget_agent(estate, [name])
        with session(estate, 1) as cold:
            found.cold_open_s.append(cold.open() / NS_PER_S)
        with session(estate, 1) as one:
            found.warm_open_s.append(one.open() / NS_PER_S)
            one.fleet.agents[name].call("clock")
            found.start_ms.append(cpu_ms(estate, name))
            one.preflight()
            found.preflight_ms.append(cpu_ms(estate, name))
            kept: Mechanism = "netfilter" if number else "blackhole"
            _through(one, estate, found, kept)
    return found


def _through(one: Session, estate: Estate, found: Footprint, kept: Mechanism) -> None:
    name = one.names[0]
    armed = one.arm(WINDOW_S, kept)
    if kept == "netfilter":
        found.arm_ms.append(cpu_ms(estate, name))
    left = armed.fire_ns + INTO_NS - clock.wall_ns()
    clock.sleep_until_mono(clock.mono_ns() + left)
    found.memory[kept] = memory(estate, name)
    one.disarm(armed)


def processes(estate: Estate, name: str) -> list[int]:
    """The agent's processes on a node, as this machine numbers them."""
    space = os.readlink(f"/proc/{estate.inside(name)}/ns/pid")
    found = []
    for entry in sorted(int(x) for x in os.listdir("/proc") if x.isdigit()):
        try:
            if os.readlink(f"/proc/{entry}/ns/pid") == space and OURS in _arguments(entry):
                found.append(entry)
        except OSError:
            # It ended while we looked.
            continue
    return [pid for pid in found if not _arguments(pid).startswith(b"sudo")]


def _arguments(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def cpu_ms(estate: Estate, name: str) -> float:
    """CPU that the agent's processes and their children have used, to 10 ms or so."""
    ticks = 0
    for pid in processes(estate, name):
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
        ticks += sum(int(x) for x in stat[11:15])
    return ticks * 1000 / os.sysconf("SC_CLK_TCK")


def memory(estate: Estate, name: str) -> Memory:
    """What the agent's processes hold now."""
    pids = processes(estate, name)
    pss = anonymous = 0
    files: dict[str, int] = {}
    for pid in pids:
        of_file: dict[str, int] = {}
        for file, values in _mappings(pid):
            pss += values["Pss"]
            anonymous += values["Anonymous"]
            of_file[file] = of_file.get(file, 0) + values["Rss"] - values["Anonymous"]
        files |= {file: max(size, files.get(file, 0)) for file, size in of_file.items()}
    roles = " ".join(_role(pid) for pid in pids)
    return Memory(roles, pss, anonymous + sum(files.values()))


def _role(pid: int) -> str:
    words = _arguments(pid).decode().split("\0")
    return "sleeper" if words[0].endswith("sh") else words[words.index("-S") + 2]


def _mappings(pid: int) -> Iterator[tuple[str, dict[str, int]]]:
    """Every mapping: which file it is of, and its figures in kB."""
    file = ""
    values: dict[str, int] = {}
    for line in Path(f"/proc/{pid}/smaps").read_text(encoding="utf-8").splitlines():
        words = line.split()
        if words[0] == "VmFlags:":
            yield file, values
        elif words[-1] == "kB":
            values[words[0][:-1]] = int(words[1])
        elif not words[0].endswith(":"):
            file, values = f"{words[3]} {words[4]}", {}
