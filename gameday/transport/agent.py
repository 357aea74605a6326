# SPDX-License-Identifier: Apache-2.0
"""The agent on one node, seen from the controller: push it, start it, call it."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from typing import Any, Protocol

import paramiko
import structlog

from gameday import clock
from gameday.clock import Exchange
from gameday.errors import NodeError, Unreachable
from gameday.transport.package import agent_package
from gameday.transport.ssh import Address, Connection

log = structlog.get_logger()

CALL_TIMEOUT_S = 25
"""Arming runs a few programs on a loaded node; a call that takes longer is a lost node."""

PATIENCE_S = {"sweep": 120}
"""Calls that may take longer: a sweep looks at all that a node could hold, whatever its ledger
says, and takes half a minute on a starved router."""

ANSWER_BYTES_MAX = 8 << 20

SEALED = "/etc/gameday"
"""Where ``gameday nodes prepare`` puts the agent."""

ISOLATED = ("-I", "-S")
"""Python's flags that a prepared node's sudo rule names: nothing of the user's is imported."""


class Channel(Protocol):
    """What talking with an agent takes."""

    def settimeout(self, seconds: float, /) -> None:
        """How long to wait for the other side from now on."""

    def sendall(self, data: bytes) -> None:
        """Send all of it."""

    def recv(self, size: int) -> bytes:
        """What there is; empty at the end."""

    def recv_stderr_ready(self) -> bool:
        """Whether the agent said something beside its answers."""

    def recv_stderr(self, size: int) -> bytes:
        """What it said."""

    def close(self) -> None:
        """End it."""


class Agent:
    """One node's agent over one SSH connection; calls from several threads take turns.

    Attributes:
        poll_s: how long to leave it in peace between two questions for its samples.
    """

    poll_s = 0.25

    def __init__(self, address: Address) -> None:
        self.node = address.node
        self.address = address
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._channel: Channel | None = None
        self._rest = b""
        self._next = 0

    def open(self) -> None:
        """Connect, push the agent if the node has not got it, start it.

        Raises:
            Unreachable: where there is no way in. NodeError: no sudo, no Python.
        """
        with self._lock:
            self._open()

    def call(self, name: str, **arguments: Any) -> Any:
        """Ask the agent and return its answer.

        Raises:
            Unreachable: where the connection broke; the next ``open`` makes a new one.
            NodeError: where the agent answered with an error.
        """
        with self._lock:
            if self._channel is None:
                self._open()
            return self._call(name, arguments)

    def exchange(self) -> Exchange:
        """Compare clocks once; the interval is the round trip of an idle channel."""
        with self._lock:
            if self._channel is None:
                self._open()
            sent = clock.mono_ns()
            answer = self._call("clock", {})
            received = clock.mono_ns()
        return Exchange(sent, received, answer["mono_ns"], answer["wall_ns"])

    def exchanges(self, count: int) -> list[Exchange]:
        """Compare clocks several times."""
        return [self.exchange() for _ in range(count)]

    def poll(
        self, run: str | None, offset: int, compare: bool
    ) -> tuple[list[Exchange], dict[str, Any] | None]:
        """What is asked again and again during a run.

        Args:
            run: whose samples to fetch from ``offset``; None for none. compare: clocks too.

        Returns:
            The exchanges, and the answer to ``samples`` where it was asked for.
        """
        exchanges = self.exchanges(1) if compare else []
        found = None if run is None else self.call("samples", run=run, offset=offset)
        return exchanges, found

    def close(self) -> None:
        """End the agent's ``serve`` and the connection; leases and probes go on."""
        with self._lock:
            self._drop()

    def _open(self) -> None:
        """Start the agent and set ``_channel``; ``LocalAgent`` has a way of its own."""
        self._drop()
        connection = Connection(self.address)
        try:
            path, is_sealed, is_new = push(connection)
            python = [self.address.python, *(ISOLATED if is_sealed else ())]
            self._check_sudo(connection, [*python, path] if is_sealed else [])
            argv = ["sudo", "-n", *python, path]
            if is_new:
                # Unpacking and compiling belong to the push, not to the first lease's arming.
                connection.run([*argv, "prepare"])
            argv.append("serve")
            channel = connection.channel(argv)
            channel.settimeout(CALL_TIMEOUT_S)
            self._channel = channel
        except Exception:
            connection.close()
            raise
        self._connection = connection
        log.info("agent started", node=self.node, host=self.address.host, path=path)

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection, self._channel, self._rest = None, None, b""

    def _check_sudo(self, connection: Connection, sealed: Sequence[str]) -> None:
        asked = [self.address.python, "-c", "import sys; sys.exit(0)"]
        if sealed:
            # Only this is allowed on a prepared node, so sudo is asked instead of tried.
            asked = ["-l", *sealed, "serve"]
        status, _, err = connection.run(["sudo", "-n", *asked])
        if status == 0:
            return
        said = err.decode(errors="replace").strip().splitlines()
        reason = said[-1] if said else f"exit status {status}"
        if "password" in reason:
            raise NodeError(
                f"{self.node}: sudo asks {self.address.user} for a password",
                f"prepare the node for this version: gameday nodes prepare; or allow "
                f"`{self.address.user} ALL=(root) NOPASSWD: {self.address.python}` there",
            )
        raise NodeError(f"{self.node}: cannot run {self.address.python} with sudo: {reason}",
                        "set ansible_python_interpreter, or install python3 there")  # fmt: skip

    def _call(self, name: str, arguments: dict[str, Any]) -> Any:
        channel = self._channel
        if channel is None:
            raise Unreachable(f"{self.node}: not connected")
        self._next += 1
        request = {"id": self._next, "call": name, "with": arguments}
        try:
            channel.settimeout(PATIENCE_S.get(name, CALL_TIMEOUT_S))
            channel.sendall(json.dumps(request).encode() + b"\n")
            answer = json.loads(self._line(channel))
        except (OSError, EOFError, ValueError, paramiko.SSHException) as error:
            self._drop()
            log.warning("node lost", node=self.node, call=name, error=str(error))
            raise Unreachable(
                f"{self.node}: {name}: {str(error) or type(error).__name__}"
            ) from error
        if answer.get("id") != self._next:
            self._drop()
            raise Unreachable(f"{self.node}: {name}: an answer to another question")
        if "error" in answer:
            raise NodeError(f"{self.node}: {name}: {answer['error']}")
        log.debug("called", node=self.node, call=name)
        return answer["ok"]

    def _line(self, channel: Channel) -> bytes:
        while b"\n" not in self._rest:
            chunk = channel.recv(1 << 16)
            if not chunk:
                said = channel.recv_stderr(4096) if channel.recv_stderr_ready() else b""
                raise EOFError("the agent ended: " + said.decode(errors="replace")[-300:])
            self._rest += chunk
            if len(self._rest) > ANSWER_BYTES_MAX:
                raise EOFError("an answer without end")
        line, self._rest = self._rest.split(b"\n", 1)
        return line


def push(connection: Connection) -> tuple[str, bool, bool]:
    """Make sure the node has this agent.

    Returns:
        Its path there; whether that is the sealed one of a prepared node, which only root can
        change; whether it was sent just now.

    Raises:
        Unreachable, NodeError: as ``Connection``; NodeError also where the digest differs
            after the transfer.
    """
    package = agent_package()
    directory = ".gameday"
    path = f"{directory}/agent-{package.sha256[:16]}.pyz"
    sealed = f"{SEALED}/agent-{package.sha256[:16]}.pyz"
    there = _digests(connection, sealed, path)
    if there.get(sealed) == package.sha256:
        return sealed, True, False
    if there.get(path) == package.sha256:
        return path, False, False
    connection.run(["mkdir", "-p", "-m", "0700", directory])
    connection.put(package.content, path)
    if _digests(connection, path).get(path) != package.sha256:
        raise NodeError(f"{connection.address.node}: {path} differs from what was pushed")
    return path, False, True


def _digests(connection: Connection, *paths: str) -> dict[str, str]:
    """SHA-256 of the files that are there, by their paths."""
    # Its status says only that not all of them are there.
    _, out, _ = connection.run(["sha256sum", "--", *paths])
    lines = (line.partition("  ") for line in out.decode().splitlines())
    return {path: digest for digest, _, path in lines}
