# SPDX-License-Identifier: Apache-2.0
"""One node in memory: the agent's own code over rules that are plain data.

Calls, ledger, receipts, the fault's rules and their reading back, and the file of samples are the
agent's. Simulated are the kernel (rules and sets as lines, whose windows this module reads), the
facts, the guards (there are none: the rules end by their own window, as a kernel's would) and what
a look sees: an answer at once, or none where the rules cut it off.
"""

from __future__ import annotations

import calendar
import heapq
import ipaddress
import itertools
import json
import platform
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from gameday import clock
from gameday.agent import front, leases, samples, serve, tagged
from gameday.agent.ledger import Ledger
from gameday.agent.prober import Store, stamp
from gameday.agent.system.host import RealHost
from gameday.clock import NS_PER_S
from gameday.errors import NodeError
from gameday.faults.base import Facts
from gameday.probes.base import Failed, Outcome, Value
from gameday.probes.deadline import Deadline
from gameday.record.types import to_json
from tests.unit.faults.fake_host import FakeHost

DROP = re.compile(r"--match-set (\S+) .*--datestart (\S+) --datestop (\S+) .*-j DROP$")
WORD = re.compile(r'"gameday:([0-9a-f]{8}):([a-z-]+)"')
OURS = frozenset({"exempt", "exempt-ssh"})
"""Words of rules that count our own packets."""

STAGGER_NS = 7_300_000
"""As the agent's own probe loop has it."""


@dataclass(frozen=True)
class Cut:
    """What one rule drops: packets of these networks from ``since_ns`` to ``until_ns``, wall."""

    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]
    since_ns: int
    until_ns: int


class MemoryHost(FakeHost):
    """Rules in memory that have an effect on looks, and count."""

    def __init__(self, controller: str, ssh_port: int) -> None:
        super().__init__()
        self._controller = controller, ssh_port
        self._cuts: tuple[Cut, ...] = ()
        self.heard = self.lost = 0

    def wall_ns(self) -> int:
        """The machine's: all nodes share it."""
        return clock.wall_ns()

    def mono_ns(self) -> int:
        """The machine's."""
        return clock.mono_ns()

    def controller(self) -> tuple[str, int]:
        """Whoever is connected."""
        return self._controller

    def restore(self, family: int, batch: str) -> None:
        """Apply the lines, and read from them what is cut when."""
        super().restore(family, batch)
        lines = [line for tables in self.tables.values() for rows in tables.values()
                 for line in rows]  # fmt: skip
        found = [match.groups() for line in lines if (match := DROP.search(line))]
        self._cuts = tuple(
            Cut(self._networks(name), _wall_ns(since), _wall_ns(until) + NS_PER_S)
            for name, since, until in found
        )

    def rule_counters(self, family: int, lease_id: str) -> Mapping[str, int]:
        """Requests that were heard count as our packets, looks without an answer as cut ones."""
        lines = [line for rows in self.tables[family].values() for line in rows]
        words = {match.group(2) for line in lines
                 if (match := WORD.search(line)) and match.group(1) == lease_id}  # fmt: skip
        counts = {word: self.heard if word in OURS else self.lost for word in words}
        return counts if family == 4 else dict.fromkeys(words, 0)

    def cuts_off(self, address: str) -> bool:
        """Whether packets to and from an address are dropped now."""
        if not self._cuts:
            return False
        one, now = ipaddress.ip_address(address), self.wall_ns()
        return any(
            cut.since_ns <= now < cut.until_ns and any(one in network for network in cut.networks)
            for cut in self._cuts
        )

    def _networks(self, name: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        return tuple(ipaddress.ip_network(entry, strict=False) for entry in self.sets[name][1])


def _wall_ns(text: str) -> int:
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%S")) * NS_PER_S


class NoGuards:
    """Stands for ``gameday.agent.guards``: nothing is started on this machine."""

    def start(self, *_: object) -> None:
        """No reaper."""

    def stop_last(self, *_: object) -> None:
        """No timer."""

    def alive(self, *_: object) -> tuple[str, ...]:
        """None."""
        return ()


class NoSystemd:
    """Stands for ``gameday.agent.system.systemd``: this machine's is not asked or changed."""

    def timers(self) -> tuple[str, ...]:
        """None."""
        return ()

    def has_boot_unit(self) -> bool:
        """No."""
        return False

    def remove_boot_unit(self) -> None:
        """There is none."""


def leave_machine_alone() -> None:
    """Put the stand-ins in, for the whole process: an agent starts guards, and asks systemd."""
    leases.guards = NoGuards()  # type: ignore[assignment]
    leases.systemd = NoSystemd()  # type: ignore[assignment]
    tagged.systemd = NoSystemd()  # type: ignore[assignment]


@dataclass
class Run:
    """The probe loop of one run on one node; ``pending`` are looks that were not stored yet."""

    store: Store
    until_ns: int
    stopped: bool = False
    pending: int = 0
    seqs: dict[tuple[str, str], int] = field(default_factory=dict)

    def is_running(self) -> bool:
        """Whether samples may still come."""
        return self.pending > 0 or not (self.stopped or clock.mono_ns() >= self.until_ns)


class Looks:
    """All looks of all nodes of this process, each when it is due: one thread, no sockets."""

    def __init__(self) -> None:
        self._due: list[tuple[int, int, Any]] = []
        self._number = itertools.count()
        self._change = threading.Condition()
        threading.Thread(target=self._loop, name="looks", daemon=True).start()

    def at(self, due_ns: int, do: Any) -> None:
        """Call something at a moment of the monotonic clock."""
        with self._change:
            heapq.heappush(self._due, (due_ns, next(self._number), do))
            self._change.notify()

    def _loop(self) -> None:
        while True:
            with self._change:
                while not self._due or self._due[0][0] > clock.mono_ns():
                    left = self._due[0][0] - clock.mono_ns() if self._due else None
                    self._change.wait(None if left is None else max(0, left) / NS_PER_S)
                do = heapq.heappop(self._due)[2]
            do()


class SimulatedServer(serve.Server):
    """The agent's calls, without those that would touch this machine."""

    def __init__(self, name: str, home: Path, host: MemoryHost, looks: Looks) -> None:
        super().__init__(Ledger(home), cast(RealHost, host))
        self.name, self._memory, self._looks = name, host, looks
        self._runs: dict[str, Run] = {}
        for call in ("sweep", "carried", "carry"):
            del self.calls[call]
        self.calls.update(clock=front.clock, samples=self.samples)

    def line(self, request: bytes) -> bytes:
        """The answer to one line of the controller's."""
        self._memory.heard += 1
        return json.dumps(serve.answer(self, request)).encode() + b"\n"

    def facts(self) -> dict[str, Any]:
        """A node that lacks nothing."""
        self.ledger.check_writable()
        return to_json(Facts(platform.python_version(), platform.release(), True, "nft", {},
                             ("data0", "lo", "mgmt0"), clock.boot_id()))  # fmt: skip

    def probes_start(
        self, run: str, probes: Any, lasts_ns: int, carried_sha256: str = ""
    ) -> dict[str, Any]:
        """As the agent's, but looks are made by ``Looks``."""
        directory = self.ledger.run_directory(run)
        if directory.exists():
            raise NodeError(f"the probes of {run} were started before")
        directory.mkdir(mode=0o700, parents=True)
        begin = clock.mono_ns()
        until = begin + lasts_ns
        spec = {"probes": probes, "until_mono_ns": until, "carried": carried_sha256}
        (directory / "probes.json").write_text(json.dumps(spec), encoding="utf-8")
        mine = self._runs[run] = Run(Store(directory / "samples.jsonl"), until)
        samplers = [(probe, one) for probe in probes for one in probe["samplers"]]
        for place, (probe, one) in enumerate(samplers):
            start = begin + place * STAGGER_NS
            self._looks.at(start, lambda p=probe, o=one, s=start: self._look(mine, p, o, s))
        return {"pid": 0, "until_mono_ns": until}

    def probes_stop(self, run: str) -> dict[str, Any]:
        """Look no more; looks under way end by themselves."""
        if run in self._runs:
            self._runs[run].stopped = True
        return {}

    def samples(self, run: str, offset: int) -> dict[str, Any]:
        """The agent's own, with our word for whether the loop runs."""
        mine = self._runs.get(run)
        running = mine is not None and mine.is_running()
        found = samples.read(run, offset, home=str(self.ledger.home))
        return {**found, "running": found["running"] or running}

    def forget(self, run: str) -> dict[str, Any]:
        """As the agent's."""
        self._runs.pop(run, None)
        return super().forget(run)

    def _look(self, mine: Run, probe: Mapping[str, Any], one: Mapping[str, Any], due: int) -> None:
        if mine.stopped or due >= mine.until_ns:
            return
        start, key = clock.mono_ns(), (probe["name"], one["target"])
        seq = mine.seqs.get(key, 0)
        mine.seqs[key] = seq + 1
        who = probe["name"], self.name, one["target"]
        again = due + probe["period_ns"]
        if any(self._memory.cuts_off(address) for address in one["addresses"]):
            self._memory.lost += 1
            mine.pending += 1
            failed = Failed(Deadline(probe["timeout_ns"]).word())
            self._looks.at(start + probe["timeout_ns"],
                           lambda: self._store_late(mine, who, seq, start, failed))  # fmt: skip
        else:
            spent = clock.mono_ns() - start
            mine.store.write(stamp(who, seq, start, Value({"rtt_ns": spent, "wait_ns": spent})))
        self._looks.at(again, lambda: self._look(mine, probe, one, again))

    def _store_late(
        self, mine: Run, who: tuple[str, str, str], seq: int, start: int, outcome: Outcome
    ) -> None:
        mine.store.write(stamp(who, seq, start, outcome))
        mine.pending -= 1
