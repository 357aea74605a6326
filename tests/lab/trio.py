# SPDX-License-Identifier: Apache-2.0
"""Three real etcd members, each in a network namespace of its own, and gameday's probe loop there.

A fourth namespace forwards between them. Nothing is reached from outside, and nothing
is left: ``close`` ends every process by its id and removes the namespaces.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gameday.clock import NS_PER_MS, NS_PER_S, mono_ns, sleep_until_mono, wall_ns
from gameday.probes import TABLE
from gameday.probes.base import Schedule, Target, Value
from gameday.probes.params import build
from gameday.record import kinds
from gameday.record.record import Record, read_samples
from gameday.record.types import Event

ROOT = Path(__file__).resolve().parents[2]
NODES = ("m1", "m2", "m3")
PROBE = "calls"
GROUP = "trio"
FAULT = "fault"
READY_S = 90
LOOP = (
    "import sys, pathlib; from gameday.agent import prober; prober.run(pathlib.Path(sys.argv[1]))"
)


@dataclass
class Trio:
    """The members and how to break them.

    Attributes:
        directory: for data, logs and samples. flags: of every member, besides the usual.
    """

    directory: Path
    flags: tuple[str, ...] = ()
    members: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    loops: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tag = f"gdt{os.getpid()}"
        self.address = {node: f"198.18.77.{4 * at + 2}" for at, node in enumerate(NODES)}

    def open(self) -> None:
        """Namespaces, links and members; returns once all of them take writes."""
        hub = f"{self.tag}hub"
        _ip("netns", "add", hub)
        _ip("netns", "exec", hub, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        for at, node in enumerate(NODES):
            own, gateway = self.namespace(node), f"198.18.77.{4 * at + 1}"
            _ip("netns", "add", own)
            _ip("-n", hub, "link", "add", node, "type", "veth", "peer", "name", "eth", "netns", own)
            _ip("-n", hub, "address", "add", f"{gateway}/30", "dev", node)
            _ip("-n", hub, "link", "set", node, "up")
            _ip("-n", own, "address", "add", f"{self.address[node]}/30", "dev", "eth")
            _ip("-n", own, "link", "set", "eth", "up")
            _ip("-n", own, "link", "set", "lo", "up")
            _ip("-n", own, "route", "add", "default", "via", gateway)
        for node in NODES:
            self.start(node)
        for node in NODES:
            self.until_writable(node)

    def close(self) -> None:
        """End and remove everything."""
        for process in (*self.loops.values(), *self.members.values()):
            if process.poll() is None:
                process.kill()
            process.wait()
        for name in (f"{self.tag}hub", *(self.namespace(node) for node in NODES)):
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)

    def namespace(self, node: str) -> str:
        """Of one member."""
        return f"{self.tag}{node}"

    def start(self, node: str, *flags: str) -> None:
        """Start a member on the data that it has."""
        peers = ",".join(f"{one}=http://{self.address[one]}:2380" for one in NODES)
        own = self.address[node]
        with open(self.directory / f"{node}.log", "ab") as log:
            self.members[node] = subprocess.Popen(
                [
                    "ip", "netns", "exec", self.namespace(node), "etcd", f"--name={node}",
                    f"--data-dir={self.data(node)}", f"--listen-client-urls=http://{own}:2379",
                    f"--advertise-client-urls=http://{own}:2379",
                    f"--listen-peer-urls=http://{own}:2380",
                    f"--initial-advertise-peer-urls=http://{own}:2380",
                    f"--initial-cluster={peers}", *self.flags, *flags,
                ],
                stdout=log, stderr=log,
            )  # fmt: skip

    def data(self, node: str) -> Path:
        """Where a member keeps what it has."""
        return self.directory / "data" / node

    def kill(self, node: str) -> None:
        """As a machine does that loses power, but for its disk."""
        self.members[node].kill()
        self.members[node].wait()

    def pause(self, node: str) -> None:
        """The member hangs: its sockets stay, nobody answers. Returns once it has stopped."""
        process = self.members[node]
        process.send_signal(signal.SIGSTOP)
        # A thread that runs on another processor stops a moment after the signal was sent.
        wait_for(lambda: _states(process.pid) == {"T"}, f"{node} has stopped")

    def resume(self, node: str) -> None:
        """It goes on where it was."""
        self.members[node].send_signal(signal.SIGCONT)

    def cut(self, node: str) -> None:
        """No network between this member and the others."""
        _ip("-n", f"{self.tag}hub", "link", "set", node, "down")

    def join(self, node: str) -> None:
        """The network is back."""
        _ip("-n", f"{self.tag}hub", "link", "set", node, "up")

    def look(self, node: str, kind: str, **params: Any) -> Any:
        """One look of a probe kind at a member, from its namespace; None where it failed."""
        code = (
            "import sys, json; from tests.lab.trio import look_here;"
            "sys.stdout.write(json.dumps(look_here(*sys.argv[1:3], json.loads(sys.argv[3]))))"
        )
        done = self._run(node, code, self.address[node], kind, json.dumps(params))
        return json.loads(done)

    def until_writable(self, node: str) -> None:
        """Wait for a write to be acknowledged."""
        wait_for(lambda: self.look(node, "etcd-write") is not None, f"{node} takes writes")

    def leader(self) -> str:
        """Which member the others follow."""
        status = {node: self.look(node, "etcd-status") for node in NODES}
        found = [n for n, one in status.items() if one and one["leader"] == one["member"]]
        assert found, status
        return found[0]

    def begin(self, run: str, lasts_s: int, period_ms: int = 50, **params: Any) -> None:
        """Start the workload on every member, through the agent's own probe loop."""
        self.plan = _plan(self.address, period_ms, params)
        self.started = mono_ns()
        for node in NODES:
            directory = self.directory / run / node
            directory.mkdir(parents=True)
            spec = {
                "probes": [{**p, "samplers": [s for s in p["samplers"] if s["node"] == node]}
                           for p in self.plan["probes"]],
                "until_mono_ns": mono_ns() + lasts_s * NS_PER_S,
            }  # fmt: skip
            # The run's name is that of the directory, so every vantage has one below its own.
            home = directory / run
            home.mkdir()
            (home / "probes.json").write_text(json.dumps(spec))
            self.loops[node] = self._popen(node, LOOP, str(home))
        self.run = run

    def count(self, node: str, ok_writes: bool = True) -> int:
        """How many samples a vantage has written: acknowledged writes, or all."""
        path = self.directory / self.run / node / self.run / "samples.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return sum(not ok_writes or ('"ok":true' in x and '"op":"write"' in x) for x in lines)

    def more_writes(self, node: str, number: int = 10) -> None:
        """Wait until so many more writes were acknowledged to a vantage."""
        wanted = self.count(node) + number
        wait_for(lambda: self.count(node) >= wanted, f"{number} writes acknowledged to {node}")

    def more_calls(self, node: str, number: int = 10) -> None:
        """Wait until so many more calls of a vantage ended, well or not."""
        wanted = self.count(node, ok_writes=False) + number
        wait_for(lambda: self.count(node, ok_writes=False) >= wanted, f"{number} calls of {node}")

    def fault(self, begin_ns: int, end_ns: int, side: Sequence[str]) -> None:
        """Note a fault between two moments of the wall clock, with ``side`` cut off."""
        self.window, self.side = (begin_ns, end_ns), tuple(side)

    def end(self) -> Record:
        """Stop the workload, wait for its last reads, and make a record of all of it."""
        for node in NODES:
            (self.directory / self.run / node / self.run / "stop").touch()
        for process in self.loops.values():
            process.wait(timeout=60)
        samples = []
        for node in NODES:
            samples += list(read_samples(self.directory / self.run / node / self.run))
        return Record(self._planned(), self._events(), samples)

    def _planned(self) -> dict[str, Any]:
        others = [node for node in NODES if node not in self.side]
        cut = [{"members": others, "quorum": len(others) > 1},
               {"members": list(self.side), "quorum": len(self.side) > 1}]  # fmt: skip
        group = {"name": GROUP, "cuts": [{"fault": FAULT, "sides": cut}]}
        return {**self.plan, "groups": [group]}

    def _events(self) -> list[Event]:
        """What a controller on the same clock would have written."""
        begin, end = self.window
        now, wall = mono_ns(), wall_ns()
        found: list[tuple[int, str, dict[str, Any]]] = [(self.started, kinds.STEP, {"step": "x"})]
        for node in NODES:
            lease = {"id": node, "fault": FAULT, "fire_at_ns": begin, "expire_at_ns": end}
            found.append((self.started, kinds.ARMED, {"node": node, "lease": lease}))
            for at in range(self.started, now, 5 * NS_PER_S):
                stamp = {
                    "node": node, "sent_ns": at - NS_PER_MS // 2, "node_mono_ns": at,
                    "received_ns": at + NS_PER_MS // 2, "node_wall_ns": at + wall - now,
                }  # fmt: skip
                found.append((at, kinds.CLOCK, stamp))
        found.append((now, kinds.RUN_ENDED, {"outcome": "completed", "clean": True}))
        found.sort(key=lambda item: item[0])
        return [Event(seq, at, 0, kind, data) for seq, (at, kind, data) in enumerate(found)]

    def _popen(self, node: str, code: str, *argv: str) -> subprocess.Popen[bytes]:
        with open(self.directory / f"{node}.loop.log", "ab") as log:
            return subprocess.Popen(
                ["ip", "netns", "exec", self.namespace(node), sys.executable, "-c", code, *argv],
                cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=log, stderr=log,
            )  # fmt: skip

    def _run(self, node: str, code: str, *argv: str) -> bytes:
        return subprocess.run(
            ["ip", "netns", "exec", self.namespace(node), sys.executable, "-c", code, *argv],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, capture_output=True,
        ).stdout  # fmt: skip

    def copy_data(self, name: str) -> None:
        """Keep what all members have under a name; they must not run."""
        shutil.copytree(self.directory / "data", self.directory / name)

    def restore_data(self, name: str) -> None:
        """Put back what ``copy_data`` kept."""
        shutil.rmtree(self.directory / "data")
        shutil.copytree(self.directory / name, self.directory / "data")


def look_here(address: str, kind: str, params: dict[str, Any]) -> Any:
    """One look from this process's own namespace."""
    probe = TABLE[kind]
    schedule = Schedule(NS_PER_S, NS_PER_S)
    target = Target("here", (address,))
    found = probe.sampler(build(probe.Params, params), "here", target, schedule)()
    return dict(found.value) if isinstance(found, Value) else None


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Until it holds.

    Raises:
        AssertionError: where it does not for a long time.
    """
    end = mono_ns() + READY_S * NS_PER_S
    while not condition():
        assert mono_ns() < end, f"not within {READY_S} s: {what}"
        sleep_until_mono(mono_ns() + 100 * NS_PER_MS)


def _plan(address: dict[str, str], period_ms: int, params: dict[str, Any]) -> dict[str, Any]:
    samplers = [
        {"node": node, "target": node, "addresses": [address[node]], "peers": []} for node in NODES
    ]
    probe = {
        "name": PROBE, "kind": "etcd-workload", "period_ns": period_ms * NS_PER_MS,
        "timeout_ns": 500 * NS_PER_MS, "params": {"keys": 5, **params}, "samplers": samplers,
    }  # fmt: skip
    return {"probes": [probe], "faults": [{"name": FAULT}], "timeline": {"recover_s": 1}}


def _states(pid: int) -> set[str]:
    """Of every thread, by proc(5)."""
    found = set()
    for path in Path(f"/proc/{pid}/task").glob("*/stat"):
        found.add(path.read_text(encoding="ascii").rpartition(")")[2].split()[0])
    return found


def _ip(*argv: str) -> None:
    subprocess.run(["ip", *argv], check=True, capture_output=True)
