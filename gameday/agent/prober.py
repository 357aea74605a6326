# SPDX-License-Identifier: Apache-2.0
"""The probe loop of a vantage node: keeps every sampler's schedule, stamps, and stores.

It runs as a process of its own, so samples go on while the controller cannot be reached,
and it ends by itself at a moment that was fixed when it started. Each look gets a thread
of its sampler's pool, so a slow target never delays the next look.
"""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from gameday import clock
from gameday.agent import carried, samples
from gameday.errors import InvalidInput
from gameday.probes import TABLE
from gameday.probes.base import Failed, Outcome, Schedule, Target, Value
from gameday.probes.params import build
from gameday.record.types import Sample, to_json

SAMPLE_BYTES_MAX = 64 * 1024
RUN_NS_MAX = 6 * 3600 * clock.NS_PER_S
"""No probe loop outlives this, whatever the controller asked."""

STAGGER_NS = 7_300_000
"""Samplers start this far apart, so that a node's looks do not all fall on one instant."""


class Store:
    """Appends samples to a file; one write per sample, so a killed writer loses at most one."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115 - open as long as we live
        self._lock = threading.Lock()

    def write(self, sample: Sample) -> None:
        """Append one sample as a JSON line."""
        line = json.dumps(to_json(sample), sort_keys=True, separators=(",", ":")) + "\n"
        with self._lock:
            self._file.write(line.encode()[:SAMPLE_BYTES_MAX])


class Sampler:
    """One probe at one target, on its schedule."""

    def __init__(self, spec: Mapping[str, Any], one: Mapping[str, Any], store: Store) -> None:
        kind = TABLE[spec["kind"]]
        self.probe, self.node, self.target = spec["name"], one["node"], one["target"]
        self.period_ns, self.timeout_ns = spec["period_ns"], spec["timeout_ns"]
        peers = tuple((name, address) for name, address in one["peers"])
        target = Target(self.target, tuple(one["addresses"]), peers)
        until, run = int(spec.get("until_mono_ns", 0)), str(spec.get("run", ""))
        schedule = Schedule(self.period_ns, self.timeout_ns, until, run, self.probe)
        self._look = kind.sampler(build(kind.Params, spec["params"]), self.node, target, schedule)
        self._store = store
        workers = 2 + self.timeout_ns // self.period_ns
        self._pool = ThreadPoolExecutor(max_workers=int(workers))

    def run(self, start_ns: int, until_ns: int, stop: threading.Event) -> None:
        """Look once per period until ``until_ns`` (monotonic) or ``stop``."""
        seq = 0
        while not stop.is_set():
            due = start_ns + seq * self.period_ns
            if due >= until_ns:
                break
            left = due - clock.mono_ns()
            if left > 0 and stop.wait(left / clock.NS_PER_S):
                break
            self._pool.submit(self._one, seq, self._look)
            seq += 1
        self._pool.shutdown(wait=True)
        last_looks = getattr(self._look, "last_looks", None)
        for number, look in enumerate(last_looks() if last_looks else (), start=seq):
            self._one(number, look)

    def _one(self, seq: int, look: Callable[[], Outcome]) -> None:
        start = clock.mono_ns()
        try:
            outcome: Outcome = look()
        except OSError as error:
            outcome = Failed(f"{type(error).__name__}: {error}"[:200])
        except Exception as error:  # noqa: BLE001 - a bug is a failed look, never silence
            outcome = Failed(f"probe crashed: {type(error).__name__}: {error}"[:200])
        self._store.write(stamp((self.probe, self.node, self.target), seq, start, outcome))


def stamp(who: Tuple[str, str, str], seq: int, start_ns: int, outcome: Outcome) -> Sample:
    """A sample that ends now; ``who`` is (probe, vantage, target)."""
    end = clock.mono_ns()
    probe, node, target = who
    if isinstance(outcome, Failed):
        return Sample(
            probe, node, target, seq, start_ns, end, False, dict(outcome.value), outcome.reason
        )
    return Sample(probe, node, target, seq, start_ns, end, True, dict(outcome.value), "")


class Listening:
    """One listener probe: a sample per message, and a heartbeat that says it listened."""

    def __init__(self, spec: Mapping[str, Any], one: Mapping[str, Any], store: Store) -> None:
        self.kind = TABLE[spec["kind"]]
        self.probe, self.node, self.period_ns = spec["name"], one["node"], spec["period_ns"]
        self._params = build(self.kind.Params, spec["params"])
        self._store = store
        self._next: Dict[str, int] = {}
        self._lock = threading.Lock()

    def run(self, start_ns: int, until_ns: int, stop: threading.Event) -> None:
        """Listen until ``until_ns`` (monotonic) or ``stop``."""
        ears: Any = None
        try:
            while clock.mono_ns() < until_ns:
                if ears is None:
                    ears = self._listen()
                trouble = ears.trouble() if ears is not None else ""
                if ears is not None:
                    self._emit("listener", Failed(trouble) if trouble else Value({}))
                if stop.wait(self.period_ns / clock.NS_PER_S):
                    break
        finally:
            if ears is not None:
                ears.close()

    def _listen(self) -> Any:
        """The listener at work; ``None``, and a sample that says why, where it cannot."""
        try:
            return self.kind.listen(self._params, self._emit)
        except (OSError, InvalidInput) as error:
            self._emit("listener", Failed(f"cannot listen: {error}"[:200]))
            return None

    def _emit(self, target: str, outcome: Outcome, since_ns: Optional[int] = None) -> None:
        now = clock.mono_ns()
        with self._lock:
            seq = self._next.get(target, 0)
            self._next[target] = seq + 1
        begin = now if since_ns is None else min(since_ns, now)
        self._store.write(stamp((self.probe, self.node, target), seq, begin, outcome))


class Watching:
    """One probe that looks on a schedule and is told of changes between."""

    def __init__(self, spec: Mapping[str, Any], one: Mapping[str, Any], store: Store) -> None:
        kind = TABLE[spec["kind"]]
        self._who = (spec["name"], one["node"], one["target"])
        self._period_ns = int(spec["period_ns"])
        schedule = Schedule(self._period_ns, int(spec["timeout_ns"]), probe=spec["name"])
        params = build(kind.Params, spec["params"])
        self._store, self._seq, self._lock = store, 0, threading.Lock()
        self._watch = kind.watch(params, one["target"], schedule, self._emit)

    def run(self, start_ns: int, until_ns: int, stop: threading.Event) -> None:
        """Look once per period until ``until_ns`` (monotonic) or ``stop``."""
        due = start_ns
        try:
            while due < until_ns:
                left = due - clock.mono_ns()
                if stop.wait(max(0, left) / clock.NS_PER_S):
                    break
                self._look()
                due += self._period_ns
        finally:
            self._watch.close()

    def _look(self) -> None:
        began = clock.mono_ns()
        try:
            self._watch.look()
        except Exception as error:  # noqa: BLE001 - a bug is a failed look, never silence
            why = f"probe crashed: {type(error).__name__}: {error}"[:200]
            self._emit(self._who[2], Failed(why), began)

    def _emit(self, target: str, outcome: Outcome, since_ns: Optional[int] = None) -> None:
        with self._lock:
            now = clock.mono_ns()
            begin = now if since_ns is None else min(since_ns, now)
            self._store.write(stamp(self._who, self._seq, begin, outcome))
            self._seq += 1


def _loop(kind: Any) -> Any:
    """What runs a probe of this kind."""
    if getattr(kind, "watches", False):
        return Watching
    return Listening if kind.listens else Sampler


def run(directory: Path) -> int:
    """Run all samplers that ``directory``/probes.json asks for, until its end.

    Raises:
        InvalidInput: where the specification is not usable.
    """
    spec = json.loads((directory / "probes.json").read_bytes())
    if spec.get("carried"):
        carried.use(spec["carried"])
    until = min(int(spec["until_mono_ns"]), clock.mono_ns() + RUN_NS_MAX)
    store, stop = Store(directory / "samples.jsonl"), threading.Event()
    loops: List[Any] = []
    for probe in spec["probes"]:
        if probe["kind"] not in TABLE:
            raise InvalidInput(f"this agent knows no probe kind {probe['kind']!r}")
        kind = _loop(TABLE[probe["kind"]])
        told = {**probe, "until_mono_ns": until, "run": directory.name}
        loops += [kind(told, one, store) for one in probe["samplers"]]
    begin = clock.mono_ns()
    threads = [
        threading.Thread(target=loop.run, args=(begin + i * STAGGER_NS, until, stop), daemon=True)
        for i, loop in enumerate(loops)
    ]
    for thread in threads:
        thread.start()
    (directory / samples.BEGUN).touch()
    watch_stop(directory, until, stop)
    for thread in threads:
        thread.join(timeout=10)
    return 0


def watch_stop(directory: Path, until_ns: int, stop: threading.Event) -> None:
    """Set ``stop`` once the file ``stop`` appears in ``directory`` or the end is reached."""
    while clock.mono_ns() < until_ns and not (directory / "stop").exists():
        if stop.wait(0.2):
            return
    stop.set()
