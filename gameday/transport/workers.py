# SPDX-License-Identifier: Apache-2.0
"""Agents that are asked through remote workers, with the manners of ``Agent``.

Calls that come while a worker is busy wait and go together in its next batch, so that five hundred
nodes cost a few plays and not five hundred. A call whose worker was lost may or may not have been
carried out. Those that may be repeated go to the node's next worker; arming is not, and fails.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
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

CALLS_MAX = 1000
"""In one batch; more wait for the next."""

BACK_NS = 20 * clock.NS_PER_S
"""A lost worker is not asked again for so long where a node has another."""

ONCE = frozenset({"arm", "probes_start"})
"""Calls that must not be made twice: what became of them is read back instead."""


class Call:
    """One question to one node, on its way."""

    def __init__(self, address: Address, name: str, arguments: Mapping[str, Any]) -> None:
        self.address, self.name, self.arguments = address, name, arguments
        self.answer: Future[tuple[Batch, dict[str, Any]]] = Future()


class Lane:
    """One worker and the calls that wait for it."""

    def __init__(self, worker: Worker, session: str) -> None:
        self.worker, self._session = worker, session
        self.lost_ns: int | None = None
        self._waiting: queue.Queue[Call | None] = queue.Queue()
        self._thread = threading.Thread(
            target=self._loop, name=f"worker-{worker.name}", daemon=True
        )
        self._thread.start()

    def submit(self, call: Call) -> None:
        """Put a call into the next batch."""
        self._waiting.put(call)

    def is_lost(self) -> bool:
        """Whether it was lost a moment ago."""
        return self.lost_ns is not None and clock.mono_ns() - self.lost_ns < BACK_NS

    def close(self) -> None:
        """End the lane once what waits is answered."""
        self._waiting.put(None)
        self._thread.join()
        self.worker.close()

    def _loop(self) -> None:
        while (first := self._waiting.get()) is not None:
            calls, ended = self._gather(first)
            try:
                self._run(calls)
            except Exception as error:  # noqa: BLE001 - whoever waits must hear of every failure
                for call in calls:
                    if not call.answer.done():
                        call.answer.set_exception(error)
            if ended:
                return

    def _gather(self, first: Call) -> tuple[list[Call], bool]:
        calls = [first]
        deadline = clock.mono_ns() + int(GATHER_S * clock.NS_PER_S)
        while len(calls) < CALLS_MAX:
            left = max(0, deadline - clock.mono_ns()) / clock.NS_PER_S
            try:
                call = self._waiting.get(timeout=left) if left else self._waiting.get_nowait()
            except queue.Empty:
                break
            if call is None:
                return calls, True
            calls.append(call)
        return calls, False

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
        batch, found = self._ask("exchanges", {"count": count})
        return [
            Exchange(*batch.ours((sent, received)), mono, wall)
            for sent, received, mono, wall in found
        ]

    def close(self) -> None:
        """The worker closes what nobody asks any more by itself."""

    def _ask(self, name: str, arguments: Mapping[str, Any]) -> tuple[Batch, Any]:
        order = sorted(self._lanes, key=Lane.is_lost)
        for place, lane in enumerate(order):
            call = Call(self.address, name, arguments)
            lane.submit(call)
            try:
                batch, answer = call.answer.result()
            except WorkerLost as error:
                if name in ONCE or place + 1 == len(order):
                    raise Unreachable(f"{self.node}: {name}: {error.message}") from error
                continue
            return batch, self._judged(name, answer)
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

    def close(self) -> None:
        """End all lanes."""
        for lane in self._lanes.values():
            lane.close()
