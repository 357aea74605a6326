# SPDX-License-Identifier: Apache-2.0
"""An agent on the controller's own host: for leases that only this host can end.

The same program as on nodes, unpacked below the user's state directory, with a ledger of its
own there and the same guards, which outlive gameday. It runs as the user who runs gameday.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from gameday.agent.unpack import unpack
from gameday.errors import NodeError
from gameday.faults.base import CONTROLLER
from gameday.transport.agent import CALL_TIMEOUT_S, Agent
from gameday.transport.package import agent_package
from gameday.transport.ssh import Address

ADDRESS = Address(CONTROLLER, "", 0, "", None, "", sys.executable)
"""Stands for the way to this host where nodes have one over SSH."""


def home() -> Path:
    """Where the agent of this host keeps its ledger."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base).absolute() / "gameday" / "controller"


def has_leases() -> bool:
    """Whether any lease of this host is open."""
    found = (home() / "ledger").glob("*.json")
    return any(not path.name.endswith(".ended.json") for path in found)


class LocalAgent(Agent):
    """The agent of this host; a child of ours, which ends with us, while its leases stay."""

    def __init__(self) -> None:
        super().__init__(ADDRESS)
        self._process: subprocess.Popen[bytes] | None = None

    def _open(self) -> None:
        self._drop()
        try:
            program = _unpacked()
            ours, theirs = socket.socketpair()
            with theirs:
                # A session of its own: Ctrl-C is for gameday to handle, which asks the agent.
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(program), "serve"],
                    stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )  # fmt: skip
        except OSError as error:
            raise NodeError(
                f"{CONTROLLER}: cannot start the agent of this host: {error}"
            ) from error
        ours.settimeout(CALL_TIMEOUT_S)
        self._channel = _Channel(ours)

    def _drop(self) -> None:
        if self._channel is not None:
            self._channel.close()
        if self._process is not None:
            self._process.wait()
        self._channel, self._process, self._rest = None, None, b""


class _Channel:
    """A socket with as much of an SSH channel's manners as ``Agent`` wants."""

    def __init__(self, to: socket.socket) -> None:
        self._to = to

    def settimeout(self, seconds: float, /) -> None:
        """How long to wait for the agent from now on."""
        self._to.settimeout(seconds)

    def sendall(self, data: bytes) -> None:
        """Send all of it."""
        self._to.sendall(data)

    def recv(self, size: int) -> bytes:
        """What there is; empty at the end."""
        return self._to.recv(size)

    def recv_stderr_ready(self) -> bool:
        """Nothing is kept of what the agent says there."""
        return False

    def recv_stderr(self, size: int) -> bytes:
        """Nothing."""
        return b""

    def close(self) -> None:
        """The agent ends at the end of its input."""
        self._to.close()


def _unpacked() -> Path:
    package = agent_package()
    base = home()
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = base / "agent" / package.sha256
    if not target.is_dir():
        file = base / f"agent-{package.sha256[:16]}.{os.getpid()}.pyz"
        try:
            file.write_bytes(package.content)
            target = unpack(str(file), str(base))
        finally:
            file.unlink(missing_ok=True)
    return target
