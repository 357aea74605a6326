# SPDX-License-Identifier: Apache-2.0
"""A process that speaks SSH as many prepared nodes: ``python -m tests.bench.simulated SPEC``.

SPEC is a JSON file: ``key`` (the public key that may log in), ``home`` (directory for the nodes'
ledgers) and ``nodes``, each with ``name``, ``address`` and ``host_key``. Every node has an address
and a host key of its own and listens on port 22. It answers what gameday asks of a prepared node:
which agent is there, whether sudo may start it, and the agent's protocol.
"""

from __future__ import annotations

import io
import json
import selectors
import shlex
import socket
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import paramiko

from gameday.transport.agent import ISOLATED, SEALED
from gameday.transport.package import agent_package
from tests.bench.simulated_node import Looks, MemoryHost, SimulatedServer, leave_machine_alone

PORT, BACKLOG = 22, 16
QUIET_S = 5.0
CHUNK = 1 << 16


class Node:
    """What one address answers."""

    def __init__(self, spec: Mapping[str, str], home: Path, allowed: str, looks: Looks) -> None:
        self.name, self.address, self.allowed = spec["name"], spec["address"], allowed
        self.host_key = paramiko.Ed25519Key.from_private_key(io.StringIO(spec["host_key"]))
        self._home, self._looks = home / self.name, looks
        self._server: SimulatedServer | None = None
        self._lock = threading.Lock()

    def server(self, controller: str) -> SimulatedServer:
        """The node's agent; it is made for the first who connects."""
        with self._lock:
            if self._server is None:
                host = MemoryHost(controller, PORT)
                self._server = SimulatedServer(self.name, self._home, host, self._looks)
        return self._server

    def answer(self, server: SimulatedServer, line: bytes) -> bytes:
        """One answer at a time, as the agent gives them."""
        with self._lock:
            return server.line(line)


class Transport(paramiko.Transport):
    """Looks after itself seldom: hundreds that do so ten times a second are a core's work."""

    _active_check_timeout = QUIET_S


class Session(paramiko.ServerInterface):
    """One connection to a node."""

    def __init__(self, node: Node, peer: str) -> None:
        self._node, self._peer = node, peer

    def get_allowed_auths(self, username: str) -> str:
        """Keys only."""
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        """The one key."""
        allowed = f"{key.get_name()} {key.get_base64()}" == self._node.allowed
        return paramiko.AUTH_SUCCESSFUL if allowed else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        """Commands, and nothing else."""
        if kind == "session":
            return paramiko.OPEN_SUCCEEDED
        return paramiko.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        """Run it in a thread of its own."""
        threading.Thread(target=self._execute, args=(channel, command), daemon=True).start()
        return True

    def _execute(self, channel: paramiko.Channel, command: bytes) -> None:
        try:
            status = self._run(channel, shlex.split(command.decode()))
            channel.send_exit_status(status)
        except (OSError, EOFError, paramiko.SSHException) as error:
            # Whoever asked has hung up.
            sys.stderr.write(f"{self._node.name}: {command[:80]!r}: {error}\n")
        finally:
            channel.close()

    def _run(self, channel: paramiko.Channel, argv: list[str]) -> int:
        package = agent_package()
        sealed = f"{SEALED}/agent-{package.sha256[:16]}.pyz"
        started = [*ISOLATED, sealed, "serve"]
        if argv[:2] == ["sudo", "-n"] and argv[3:] == started:
            return self._serve(channel)
        while channel.recv(CHUNK):
            # Who asked has nothing to say; its end shows that it knows that we have begun.
            continue
        if argv[:2] == ["sha256sum", "--"]:
            there = [path for path in argv[2:] if path == sealed]
            channel.sendall("".join(f"{package.sha256}  {path}\n" for path in there).encode())
            return 0 if len(there) == len(argv) - 2 else 1
        if argv[:3] == ["sudo", "-n", "-l"] and argv[4:] == started:
            return 0
        channel.sendall_stderr(f"a simulated node has no {shlex.join(argv)}\n".encode())
        return 127

    def _serve(self, channel: paramiko.Channel) -> int:
        server, rest = self._node.server(self._peer), b""
        while chunk := channel.recv(CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                channel.sendall(self._node.answer(server, line))
        return 0


def welcome(node: Node, link: socket.socket) -> None:
    """Begin to speak SSH with whoever connected; the rest goes on in the transport's thread."""
    transport = Transport(link)
    transport.add_server_key(node.host_key)
    try:
        transport.start_server(threading.Event(), Session(node, link.getpeername()[0]))
    except (OSError, EOFError, paramiko.SSHException) as error:
        sys.stderr.write(f"{node.name}: {error}\n")
        transport.close()


def main(arguments: list[str]) -> int:
    """Answer as all nodes until this process is ended."""
    spec: dict[str, Any] = json.loads(Path(arguments[0]).read_bytes())
    leave_machine_alone()
    agent_package()
    looks, home = Looks(), Path(spec["home"])
    with selectors.DefaultSelector() as doors:
        for one in spec["nodes"]:
            node = Node(one, home, spec["key"], looks)
            door = socket.create_server((node.address, PORT), backlog=BACKLOG)
            doors.register(door, selectors.EVENT_READ, node)
        while True:
            for key, _ in doors.select():
                link, _ = key.fileobj.accept()  # type: ignore[union-attr]
                welcome(key.data, link)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
