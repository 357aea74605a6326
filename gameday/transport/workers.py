# SPDX-License-Identifier: Apache-2.0
"""Agents that are asked through remote workers, with the manners of ``Agent``.

Calls that come while a worker is busy wait and go together in its next batch, so that five hundred
nodes cost a few plays and not five hundred. A batch is bounded: in nodes, so that it ends long
before a worker counts as lost, and in bytes. What a run waits for goes before what is only fetched,
and while it is short of time (``urgent``) nothing is fetched: a batch would stand in its way.
A call whose worker was lost may or may not have been carried out. Those that may be repeated go to
the node's next worker; arming is not, and fails.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import structlog

from gameday import clock
from gameday.clock import Exchange
from gameday.errors import NodeError, Unreachable
from gameday.transport.agent import Agent
from gameday.transport.package import agent_package
from gameday.transport.relay import LATER
from gameday.transport.ssh import Address
from gameday.transport.worker_job import Batch, Worker, WorkerLost

log = structlog.get_logger()

GATHER_S = 0.1
"""Calls of many threads come together within this, and are one play instead of many."""

NODES_MAX = 64
"""In one batch, as many as the relay asks at once: more would wait there, and where each needs
seconds (the agent's first push) the batch would outlast ``JOB_TIMEOUT_S``. The others go next."""

CALLS_MAX = 1000
"""In one batch."""

LATER_CALLS = frozenset({"samples", "exchanges"})
"""What is fetched all the time waits for whatever else is asked: arming, observing, disarming."""

BACK_NS = 20 * clock.NS_PER_S
"""A lost worker is not asked again for so long where a node has another."""

ONCE = frozenset({"arm", "probes_start"})
"""Calls that must not be made twice: what became of them is read back instead."""


class Call:
    """One question to one node, on its way."""

    def __init__(self, address: Address, name: str, arguments: Mapping[str, Any]) -> None:
        self.address, self.name, self.arguments = address, name, arguments
        self.answer: Future[tuple[Batch, dict[str, Any]]] = Future()

    @property
    def patient(self) -> bool:
        """Whether it may wait for others: not where the run itself waits for it."""
        return self.name in LATER_CALLS and self.arguments.get("count", 1) == 1


def choose(waiting: Iterable[Call]) -> list[Call]:
    """Which of the calls that wait go into one batch, in the order in which they came. Pure.

    Those that the run waits for come first; what is fetched fills up what room is left. A node
    whose calls are in already takes no more room of nodes.
    """
    ordered = sorted(waiting, key=lambda call: call.patient)
    nodes: set[str] = set()
    chosen: list[Call] = []
    for call in ordered:
        if len(chosen) == CALLS_MAX:
            break
        if call.address.node in nodes or len(nodes) < NODES_MAX:
            nodes.add(call.address.node)
            chosen.append(call)
    return chosen


class Lane:
    """One worker and the calls that wait for it."""

    def __init__(self, worker: Worker, session: str) -> None:
        self.worker, self._session = worker, session
        self.lost_ns: int | None = None
        self._change = threading.Condition()
        self._waiting: deque[Call] = deque()
        self._urgent = False
        self._closing = False
        self._thread = threading.Thread(
            target=self._loop, name=f"worker-{worker.name}", daemon=True
        )
        self._thread.start()

    def submit(self, *calls: Call) -> None:
        """Put calls into the next batch in which there is room for them."""
        with self._change:
            self._waiting.extend(calls)
            self._change.notify()

    def urgent(self, on: bool) -> None:
        """Whether patient calls wait until this is over."""
        with self._change:
            self._urgent = on
            self._change.notify()

    def is_lost(self) -> bool:
        """Whether it was lost a moment ago."""
        return self.lost_ns is not None and clock.mono_ns() - self.lost_ns < BACK_NS

    def close(self) -> None:
        """End the lane once what waits is answered."""
        with self._change:
            self._closing = True
            self._change.notify()
        self._thread.join()
        self.worker.close()

    def _loop(self) -> None:
        while calls := self._gather():
            try:
                self._run(calls)
            except Exception as error:  # noqa: BLE001 - whoever waits must hear of every failure
                for call in calls:
                    if not call.answer.done():
                        call.answer.set_exception(error)

    def _gather(self) -> list[Call]:
        """The next batch's calls; none once the lane is closed and nothing waits any more."""
        with self._change:
            self._change.wait_for(lambda: self._ready() or self._closing)
            if self._waiting and not self._closing:
                # Calls of many threads come one by one.
                self._change.wait_for(lambda: self._closing, GATHER_S)
            chosen = choose(self._ready())
            taken = set(map(id, chosen))
            self._waiting = deque(call for call in self._waiting if id(call) not in taken)
        return chosen

    def _ready(self) -> list[Call]:
        """What may go now; who closes waits for nothing."""
        held = self._urgent and not self._closing
        return [call for call in self._waiting if not (held and call.patient)]

    def _run(self, calls: list[Call]) -> None:
        try:
            batch = self.worker.run(self._batch(calls))
        except WorkerLost as error:
            self.lost_ns = clock.mono_ns()
            log.warning("worker lost", worker=self.worker.name, calls=len(calls))
            for call in calls:
                call.answer.set_exception(error)
            return
        self.lost_ns = None
        try:
            for answer in batch.lines():
                call = calls[answer["n"]]
                if answer.get(LATER):
                    self.submit(call)
                else:
                    call.answer.set_result((batch, answer))
        finally:
            batch.discard()

    def _batch(self, calls: Sequence[Call]) -> dict[str, Any]:
        addresses = {call.address.node: asdict(call.address) for call in calls}
        hosts = {one.pop("known_hosts") for one in addresses.values()}
        return {
            "session": self._session, "package": agent_package().sha256, "addresses": addresses,
            "known_hosts": "".join(_text(path) for path in sorted(hosts)),
            "calls": [{"n": number, "node": call.address.node, "call": call.name,
                       "with": call.arguments} for number, call in enumerate(calls)],
        }  # fmt: skip


def _text(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def _exchanges(batch: Batch, found: Sequence[Sequence[int]]) -> list[Exchange]:
    """Exchanges of the worker with a node, as ours."""
    return [
        Exchange(*batch.ours((sent, received)), mono, wall) for sent, received, mono, wall in found
    ]


class WorkerAgent(Agent):
    """One node's agent through the first of its workers that is there."""

    poll_s = 2.0

    def __init__(self, address: Address, lanes: Sequence[Lane]) -> None:
        super().__init__(address)
        self._lanes = tuple(lanes)

    def open(self) -> None:
        """As ``Agent``."""
        self._ask("open", {})

    def call(self, name: str, **arguments: Any) -> Any:
        """As ``Agent``."""
        return self._ask(name, arguments)[1]

    def exchange(self) -> Exchange:
        """Compare clocks once: as closely as the worker's own clock is known."""
        return self.exchanges(1)[0]

    def exchanges(self, count: int) -> list[Exchange]:
        """As ``Agent``, in one batch."""
        return _exchanges(*self._ask("exchanges", {"count": count}))

    def poll(
        self, run: str | None, offset: int, compare: bool
    ) -> tuple[list[Exchange], dict[str, Any] | None]:
        """As ``Agent``, in one batch and not one after the other."""
        wanted: list[tuple[str, dict[str, Any]]] = []
        if compare:
            wanted.append(("exchanges", {"count": 1}))
        if run is not None:
            wanted.append(("samples", {"run": run, "offset": offset}))
        found = self._ask_all(wanted)
        exchanges = _exchanges(*found[0]) if compare else []
        return exchanges, found[-1][1] if run is not None else None

    def close(self) -> None:
        """The worker closes what nobody asks any more by itself."""

    def _ask(self, name: str, arguments: Mapping[str, Any]) -> tuple[Batch, Any]:
        return self._ask_all([(name, arguments)])[0]

    def _ask_all(self, wanted: Sequence[tuple[str, Mapping[str, Any]]]) -> list[tuple[Batch, Any]]:
        order = sorted(self._lanes, key=Lane.is_lost)
        for place, lane in enumerate(order):
            calls = [Call(self.address, name, arguments) for name, arguments in wanted]
            lane.submit(*calls)
            try:
                found = [call.answer.result() for call in calls]
            except WorkerLost as error:
                once = [name for name, _ in wanted if name in ONCE]
                if once or place + 1 == len(order):
                    what = once[0] if once else wanted[0][0]
                    raise Unreachable(f"{self.node}: {what}: {error.message}") from error
                continue
            return [
                (batch, self._judged(call.name, answer))
                for call, (batch, answer) in zip(calls, found, strict=True)
            ]
        raise Unreachable(f"{self.node}: it has no worker")

    def _judged(self, name: str, answer: Mapping[str, Any]) -> Any:
        if "error" not in answer:
            return answer["ok"]
        kind = Unreachable if answer["lost"] else NodeError
        raise kind(str(answer["error"]), str(answer["hint"]))


class Workers:
    """The lanes of a run, by the names of their workers."""

    def __init__(self, commands: Mapping[str, Sequence[str]], session: str) -> None:
        self._lanes = {
            name: Lane(Worker(name, command), session) for name, command in commands.items()
        }

    def agent(self, address: Address, names: Sequence[str]) -> WorkerAgent:
        """The agent of a node that is reached through these workers, the first preferred."""
        return WorkerAgent(address, [self._lanes[name] for name in names])

    @contextmanager
    def urgent(self) -> Iterator[None]:
        """While the run is short of time: nothing is only fetched, and no batch is in its way."""
        try:
            for lane in self._lanes.values():
                lane.urgent(on=True)
            yield
        finally:
            for lane in self._lanes.values():
                lane.urgent(on=False)

    def close(self) -> None:
        """End all lanes."""
        for lane in self._lanes.values():
            lane.close()
