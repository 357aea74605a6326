# SPDX-License-Identifier: Apache-2.0
"""Runs ON A REMOTE WORKER: takes calls to agents from a play, and answers them over SSH.

    relay ask CALLS ANSWERS     what the play runs: hand a batch over, write the answers down
    relay serve DIRECTORY       the process that holds the connections between batches

A batch is a play, and a play takes a second to start, so connections outlive it where the worker
lets them; a worker that removes them (a container for each play) only pays for connecting again.
Leases and probes depend on neither.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gameday.ticks import NS_PER_S, mono_ns, wall_ns

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gameday.transport.agent import Agent

IDLE_S = 120.0
"""Nobody asked for so long: the controller is done, or dead."""

START_NS, LOOK_S = 20 * NS_PER_S, 0.05
PARALLEL = 64
"""Nodes asked at once; each mostly waits for its node."""

ANSWERS_BYTES_MAX = 16 << 20
"""A batch's answers: what comes beyond is asked again, so that nobody holds more in memory."""

LATER = "later"


def main(arguments: list[str]) -> int:
    """Dispatch; returns the exit code."""
    if arguments[:1] == ["ask"] and len(arguments) == 3:
        return ask(Path(arguments[1]), Path(arguments[2]))
    if arguments[:1] == ["serve"] and len(arguments) == 2:
        return serve(Path(arguments[1]))
    sys.stderr.write("usage: relay ask CALLS ANSWERS | relay serve DIRECTORY\n")
    return 2


def ask(calls: Path, answers: Path) -> int:
    """Hand the batch to the process that holds the connections, and write down what it says.

    The last line has the worker's clocks at the end, and the moment at which its kernel wrote
    ``calls``: the controller bounds the worker's clock with both.
    """
    arrived = os.stat(calls).st_ctime_ns
    batch = calls.read_bytes()
    with connect(str(json.loads(batch)["session"])) as link:
        link.sendall(len(batch).to_bytes(8, "big") + batch)
        with open(answers, "wb") as file:
            ended = False
            for line in link.makefile("rb"):
                ended = line == b"\n"
                if not ended:
                    file.write(line)
            if not ended:
                sys.stderr.write("the relay of this worker ended in the middle of a batch\n")
                return 1
            stamps = {"arrived_wall_ns": arrived, "mono_ns": mono_ns(), "wall_ns": wall_ns()}
            file.write(json.dumps({"stamps": stamps}).encode() + b"\n")
    return 0


def connect(session: str) -> socket.socket:
    """A connection to the session's serving process, which is started where there is none.

    Raises:
        OSError: where it cannot be started.
    """
    if not session or set(session) - set("0123456789abcdef"):
        raise ValueError(f"not a session: {session!r}")
    directory = Path(tempfile.gettempdir()) / f"gameday-relay-{os.getuid()}-{session}"
    directory.mkdir(mode=0o700, exist_ok=True)
    if directory.stat().st_uid != os.getuid():
        raise PermissionError(f"{directory} belongs to somebody else")
    with open(directory / "lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Nobody listens there, or not any more: then one is started.
        with contextlib.suppress(OSError):
            return _dial(directory)
        with open(directory / "log", "ab") as log:
            subprocess.Popen(
                [sys.executable, "-m", "gameday.transport.relay", "serve", str(directory)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        return _dial_until(directory, mono_ns() + START_NS)


def _dial(directory: Path) -> socket.socket:
    link = socket.socket(socket.AF_UNIX)
    try:
        link.connect(str(directory / "socket"))
    except OSError:
        link.close()
        raise
    return link


def _dial_until(directory: Path, deadline_ns: int) -> socket.socket:
    pause = threading.Event()
    while True:
        try:
            return _dial(directory)
        except OSError:
            if mono_ns() > deadline_ns:
                raise
        pause.wait(LOOK_S)


def serve(directory: Path) -> int:
    """Answer batches until nobody has asked for ``IDLE_S``."""
    relay = Relay(directory)
    path = directory / "socket"
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(path))
        door.listen()
        door.settimeout(IDLE_S)
        try:
            while True:
                try:
                    link, _ = door.accept()
                except TimeoutError:
                    return 0
                with link:
                    link.settimeout(IDLE_S)
                    _answer(relay, link)
        finally:
            relay.close()
            for left in ("socket", "known_hosts", "lock", "log"):
                (directory / left).unlink(missing_ok=True)
            directory.rmdir()


def _answer(relay: Relay, link: socket.socket) -> None:
    """One batch over one connection; who hangs up in the middle gets no answer."""
    try:
        with link.makefile("rb") as source:
            size = int.from_bytes(source.read(8), "big")
            batch = json.loads(source.read(size))
        for answer in relay.answers(batch):
            link.sendall(json.dumps(answer).encode() + b"\n")
        link.sendall(b"\n")
    except (OSError, ValueError) as error:
        sys.stderr.write(f"a batch broke off: {error}\n")


class Relay:
    """Agents of this worker's nodes, connected while they are asked."""

    def __init__(self, directory: Path) -> None:
        self._known_hosts = directory / "known_hosts"
        self._agents: dict[str, Agent] = {}
        self._pool = ThreadPoolExecutor(max_workers=PARALLEL)

    def close(self) -> None:
        """Close all connections; what runs on the nodes goes on."""
        for agent in self._agents.values():
            agent.close()

    def answers(self, batch: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Answers in the order in which they come, each with its call's number."""
        from gameday.transport.package import agent_package

        ours = agent_package().sha256
        if batch["package"] != ours:
            why = f"this worker has another version of gameday (agent {ours[:12]})"
            yield from (_refusal(one["n"], why) for one in batch["calls"])
            return
        self._known_hosts.write_text(batch["known_hosts"], encoding="utf-8")
        calls: dict[str, list[dict[str, Any]]] = {}
        for one in batch["calls"]:
            calls.setdefault(one["node"], []).append(one)
            self._agent(one["node"], batch["addresses"][one["node"]])
        yield from self._ask(calls)

    def _ask(self, calls: dict[str, list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
        said, lock = 0, threading.Lock()

        def node(name: str) -> list[dict[str, Any]]:
            nonlocal said
            found = []
            for one in calls[name]:
                full = said > ANSWERS_BYTES_MAX
                answer = {"n": one["n"], LATER: True} if full else self._call(one)
                found.append(answer)
                with lock:
                    said += len(str(answer))
            return found

        for future in [self._pool.submit(node, name) for name in calls]:
            yield from future.result()

    def _agent(self, node: str, address: dict[str, Any]) -> None:
        from gameday.transport.agent import Agent
        from gameday.transport.ssh import Address, Jump

        if node not in self._agents:
            jumps = tuple(Jump(**one) for one in address.pop("jumps"))
            self._agents[node] = Agent(
                Address(**address, known_hosts=str(self._known_hosts), jumps=jumps)
            )

    def _call(self, one: dict[str, Any]) -> dict[str, Any]:
        from gameday.errors import GamedayError, Unreachable

        agent, name, told = self._agents[one["node"]], one["call"], one["with"]
        try:
            if name == "open":
                agent.open()
                return {"n": one["n"], "ok": {}}
            if name == "close":
                agent.close()
                return {"n": one["n"], "ok": {}}
            if name == "exchanges":
                found = [agent.exchange() for _ in range(told["count"])]
                return {"n": one["n"], "ok": [[e.sent_ns, e.received_ns, e.node_mono_ns,
                                               e.node_wall_ns] for e in found]}  # fmt: skip
            return {"n": one["n"], "ok": agent.call(name, **told)}
        except GamedayError as error:
            lost = isinstance(error, Unreachable)
            return {**_refusal(one["n"], error.message, error.hint), "lost": lost}


def _refusal(number: int, message: str, hint: str = "") -> dict[str, Any]:
    return {"n": number, "error": message, "hint": hint, "lost": False}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
