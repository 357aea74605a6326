# SPDX-License-Identifier: Apache-2.0
"""``tcp-session``: one TCP connection that is kept open and asked again and again over HTTP.

Nodes: Python 3.9 syntax.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Mapping, Optional, Tuple, Union

from gameday import clock
from gameday.probes.base import Failed, Outcome, Schedule, Target, Value
from gameday.probes.deadline import Deadline, failure_word

HEAD_BYTES_MAX = 1 << 16
END = b"\r\n\r\n"


@dataclass(frozen=True)
class TcpSessionParams:
    """Parameters of ``tcp-session``.

    Attributes:
        address: where to; an anycast address, as a rule. port: of a server that speaks HTTP/1.1.
        path, host: what is asked for, with HEAD. Whatever the status is, the session lives.
    """

    address: str
    port: int = field(default=80, metadata={"minimum": 1, "maximum": 65535})
    path: str = "/"
    host: str = ""

    def __post_init__(self) -> None:
        try:
            ipaddress.ip_address(self.address)
        except ValueError as error:
            raise ValueError(f"address: {error}") from error
        if any(c.isspace() or not c.isprintable() for c in self.path + self.host):
            raise ValueError("path and host cannot hold spaces or control characters")


class SessionLostError(Exception):
    """The connection that was held is no more; the text is a stable word and why."""


class TcpSession:
    """A session that users would hold."""

    kind = "tcp-session"
    Params: type = TcpSessionParams
    summary = "one TCP connection held open to an address: when it was reset"
    fan_out = "none"
    listens = False

    def sampler(
        self, params: TcpSessionParams, node: str, target: Target, schedule: Schedule
    ) -> Callable[[], Outcome]:
        """Each look is one request over the connection that the looks before it left open."""
        held = Held(params)

        def look() -> Outcome:
            return held.look(Deadline(schedule.timeout_ns))

        return look


class Held:
    """The connection, and what is still to come over it."""

    def __init__(self, params: TcpSessionParams) -> None:
        self._where = (params.address, params.port)
        host = params.host or params.address
        self._request = f"HEAD {params.path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        self._lock = threading.Lock()
        self._sock: Optional[socket.socket] = None
        self._number = 0
        self._waiting, self._rest = False, b""

    def look(self, deadline: Deadline) -> Outcome:
        """One request. Where the one before it has no answer yet, wait for that one.

        A network that is slow, or silent for a while, does not end a TCP connection: only a
        reset, an end from the other side or a refusal by the own kernel does.
        """
        if not self._lock.acquire(timeout=deadline.timeout_ns / clock.NS_PER_S):
            return Failed(deadline.word())
        try:
            return self._look(deadline)
        finally:
            self._lock.release()

    def _look(self, deadline: Deadline) -> Outcome:
        opened = self._sock is None
        if self._sock is None:
            try:
                self._sock = socket.create_connection(self._where, timeout=deadline.left_s())
            except OSError as error:
                return Failed(f"connect: {failure_word(error, deadline)}"[:200], self._told())
            self._number += 1
            self._waiting, self._rest = False, b""
        try:
            status, headers = self._exchange(self._sock, deadline)
        except SessionLostError as error:
            told = self._told()
            self._drop()
            return Failed(str(error)[:200], {**told, "lost": not opened})
        except TimeoutError:
            return Failed(deadline.word(), self._told())
        except socket.timeout:  # Python 3.9 has two of them.
            return Failed(deadline.word(), self._told())
        except ValueError as error:
            told = self._told()
            self._drop()
            return Failed(f"protocol: {error}"[:200], told)
        told = {**self._told(), "status": status, "site": headers.get("x-gameday-site", "")}
        if headers.get("connection", "").lower() == "close":
            # The server says that it ends it, as it may after so many requests: nothing is lost.
            self._drop()
        return Value(told)

    def _exchange(self, sock: socket.socket, deadline: Deadline) -> Tuple[int, Mapping[str, str]]:
        try:
            if not self._waiting:
                sock.settimeout(deadline.left_s())
                sock.sendall(self._request)
                self._waiting = True
            while END not in self._rest:
                sock.settimeout(deadline.left_s())
                more = sock.recv(HEAD_BYTES_MAX)
                if not more:
                    raise SessionLostError("closed: the other side ended the session")
                self._rest += more
                if len(self._rest) > HEAD_BYTES_MAX:
                    raise ValueError("headers without end")
        except (TimeoutError, socket.timeout):
            raise
        except ConnectionResetError as error:
            raise SessionLostError("reset: by the other side") from error
        except OSError as error:
            raise SessionLostError(f"lost: {error.strerror or error}") from error
        head, self._rest = self._rest.split(END, 1)
        self._waiting = False
        return _parsed(head)

    def _told(self) -> Dict[str, Union[int, str]]:
        return {"session": self._number}

    def _drop(self) -> None:
        if self._sock is not None:
            self._sock.close()
        self._sock = None


def _parsed(head: bytes) -> Tuple[int, Dict[str, str]]:
    """Status and headers, in lower case.

    Raises:
        ValueError: where that is not HTTP/1.
    """
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit():
        raise ValueError(f"not an answer of HTTP/1: {first[:60]!r}")
    pairs: Any = (line.partition(":") for line in lines)
    return int(words[1]), {name.strip().lower(): value.strip() for name, _, value in pairs}


PROBE = TcpSession()
