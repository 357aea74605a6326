# SPDX-License-Identifier: Apache-2.0
"""SSH to a node with paramiko: pinned host keys only, one connection, many channels."""

from __future__ import annotations

import shlex
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import paramiko
from paramiko.hostkeys import HostKeyEntry, InvalidHostKey

from gameday.errors import NodeError, Unreachable

CONNECT_TIMEOUT_S = 8
COMMAND_TIMEOUT_S = 20
PUT_TIMEOUT_S = 60
"""The agent's package is under a megabyte: a path slower than 25 KB/s cannot carry a drill."""

SILENT_MS = 20_000
"""Sent bytes that nobody acknowledges for so long mean that the path is gone."""

PORT_SSH = 22

HASHED = "|1|"
"""Begins names in known_hosts of which only a digest is written down."""

KEEPALIVE_S = 2
"""A dead path is noticed within a few of these, without waiting for TCP."""


@dataclass(frozen=True)
class Jump:
    """A host to log in to on the way; without a key file, the agent and the default keys."""

    host: str
    port: int
    user: str
    key_file: str | None


@dataclass(frozen=True)
class Address:
    """How to reach one node over SSH; ``jumps`` are on the way, the first from here first."""

    node: str
    host: str
    port: int
    user: str
    key_file: str | None
    known_hosts: str
    python: str
    jumps: tuple[Jump, ...] = ()


class Connection:
    """One SSH connection. Not for several threads at a time."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._clients = _connect(address)
        self._client = self._clients[-1]

    def run(self, argv: Sequence[str], stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        """(exit status, output, errors) of a command on the node.

        Raises:
            Unreachable: where the connection broke or the command did not end in time.
        """
        try:
            channel = self._transport().open_session(timeout=COMMAND_TIMEOUT_S)
            channel.settimeout(COMMAND_TIMEOUT_S)
            channel.exec_command(shlex.join(argv))
            if stdin:
                channel.sendall(stdin)
            channel.shutdown_write()
            out, err = channel.makefile("rb").read(), channel.makefile_stderr("rb").read()
            return channel.recv_exit_status(), out, err
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise Unreachable(
                f"{self.address.node}: {str(error) or type(error).__name__}"
            ) from error

    def put(self, content: bytes, path: str) -> None:
        """Write a file below the user's home over SFTP, replacing it atomically.

        Raises:
            Unreachable: where the connection broke. NodeError: where the node refused.
        """
        # Named after the node: several may share one home directory, and be sent this at once.
        draft = f"{path}.{self.address.node}.new"
        # A write to a connection that makes no progress blocks inside paramiko, whatever
        # time-out its channel has; only closing the transport ends it.
        watchdog = threading.Timer(PUT_TIMEOUT_S, self._client.close)
        watchdog.daemon = True
        watchdog.start()
        try:
            sftp = paramiko.SFTPClient.from_transport(self._transport())
            if sftp is None:
                raise NodeError(f"{self.address.node}: SFTP is switched off in its sshd")
            with sftp:
                channel = sftp.get_channel()
                if channel is not None:
                    channel.settimeout(COMMAND_TIMEOUT_S)
                with sftp.open(draft, "wb") as file:
                    file.set_pipelined(True)
                    file.write(content)
                sftp.posix_rename(draft, path)
        except PermissionError as error:
            raise NodeError(f"{self.address.node}: may not write {path}: {error}") from error
        except (OSError, EOFError, paramiko.SSHException) as error:
            slow = "" if watchdog.is_alive() else f": it took more than {PUT_TIMEOUT_S} s"
            reason = str(error) or type(error).__name__
            raise Unreachable(f"{self.address.node}: SFTP of {path}: {reason}{slow}") from error
        finally:
            watchdog.cancel()

    def channel(self, argv: Sequence[str]) -> paramiko.Channel:
        """Start a command and hand over its channel, for talking with it.

        Raises:
            Unreachable: where the connection broke.
        """
        try:
            channel = self._transport().open_session(timeout=COMMAND_TIMEOUT_S)
            channel.exec_command(shlex.join(argv))
            return channel
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise Unreachable(
                f"{self.address.node}: {str(error) or type(error).__name__}"
            ) from error

    def close(self) -> None:
        """Close the connection and all its channels, and those to jump hosts."""
        for client in reversed(self._clients):
            client.close()

    def _transport(self) -> paramiko.Transport:
        transport = self._client.get_transport()
        if transport is None or not transport.is_active():
            raise Unreachable(f"{self.address.node}: the connection is closed")
        return transport


def _connect(address: Address) -> list[paramiko.SSHClient]:
    """Log in to every jump host and the node; the connections, the node's last.

    Raises:
        Unreachable: where one refuses, or its host key is not the pinned one.
    """
    clients: list[paramiko.SSHClient] = []
    through: paramiko.Channel | None = None
    try:
        steps: list[Jump | Address] = [*address.jumps, address]
        for step in steps:
            if clients:
                through = _tunnel(clients[-1], step, address)
            clients.append(_log_in(step, address, through))
    except BaseException:
        for client in reversed(clients):
            client.close()
        raise
    return clients


def _tunnel(jump: paramiko.SSHClient, step: Jump | Address, address: Address) -> paramiko.Channel:
    transport = jump.get_transport()
    try:
        if transport is None:
            raise EOFError("the connection is closed")
        return transport.open_channel(
            "direct-tcpip", (step.host, step.port), ("127.0.0.1", 0), timeout=CONNECT_TIMEOUT_S
        )
    except (OSError, EOFError, paramiko.SSHException) as error:
        raise Unreachable(
            f"{address.node}: the jump host does not reach {step.host} port {step.port}: "
            f"{str(error) or type(error).__name__}",
            "is it up, and does the jump host's sshd allow TCP forwarding?",
        ) from error


def known_as(step: Jump | Address) -> str:
    """A host's name as known_hosts has it."""
    return step.host if step.port == PORT_SSH else f"[{step.host}]:{step.port}"


def pin(keys: paramiko.HostKeys, name: str, known_hosts: Path) -> None:
    """Add the keys that a file has for one host; the first of each type counts.

    Paramiko's own ``load`` compares every line with every line before it: 0.13 s for five hundred
    hosts, which every one of their connections would pay. Lines that hold no key are skipped.

    Args:
        keys: to add to. name: as ``known_as`` has it.

    Raises:
        OSError: where the file cannot be read.
    """
    for line in known_hosts.read_text(encoding="utf-8", errors="replace").splitlines():
        # Only where it may be that host's is it worth the work of reading the key.
        if line.startswith("#") or (name not in line and HASHED not in line):
            continue
        try:
            entry = HostKeyEntry.from_line(line.strip())
        except (paramiko.SSHException, InvalidHostKey, ValueError):
            continue
        if entry is None or not any(_is_name(name, one) for one in entry.hostnames):
            continue
        there = keys.lookup(name)
        if there is None or entry.key.get_name() not in there:
            keys.add(name, entry.key.get_name(), entry.key)


def _is_name(name: str, written: str) -> bool:
    if written.startswith(HASHED):
        return paramiko.HostKeys.hash_host(name, written) == written
    return written == name


def _log_in(
    step: Jump | Address, address: Address, through: paramiko.Channel | None
) -> paramiko.SSHClient:
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    whose = "" if step is address else "jump host "
    where = f"{address.node} ({whose}{step.user}@{step.host} port {step.port})"
    try:
        pin(client.get_host_keys(), known_as(step), Path(address.known_hosts))
    except OSError as error:
        raise Unreachable(
            f"{where}: cannot read {address.known_hosts}: {error.strerror}",
            "gameday connects only to host keys that are pinned there",
        ) from error
    try:
        client.connect(
            step.host, port=step.port, username=step.user, sock=through,
            key_filename=str(Path(step.key_file).expanduser()) if step.key_file else None,
            timeout=CONNECT_TIMEOUT_S, banner_timeout=CONNECT_TIMEOUT_S,
            auth_timeout=CONNECT_TIMEOUT_S, look_for_keys=step.key_file is None,
        )  # fmt: skip
    except paramiko.BadHostKeyException as error:
        raise Unreachable(
            f"{where}: its host key is not the pinned one",
            f"if the node was reinstalled, replace its line in {address.known_hosts}; "
            "if not, somebody may be in between",
        ) from error
    except paramiko.AuthenticationException as error:
        raise Unreachable(
            f"{where}: refused our key {step.key_file or '(agent)'}: {error}",
            "is the public key in the user's authorized_keys?",
        ) from error
    except paramiko.SSHException as error:
        raise Unreachable(f"{where}: {error}", f"is its key in {address.known_hosts}?") from error
    except (OSError, EOFError) as error:
        reason = "no answer" if isinstance(error, (socket.timeout, TimeoutError)) else error
        raise Unreachable(f"{where}: cannot connect: {reason}",
                          "is the node up and ansible_host right?") from error  # fmt: skip
    transport = client.get_transport()
    if transport is not None:
        transport.set_keepalive(KEEPALIVE_S)
        if isinstance(transport.sock, socket.socket):
            transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENT_MS)
    return client
