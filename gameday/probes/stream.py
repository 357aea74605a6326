# SPDX-License-Identifier: Apache-2.0
"""A TCP or TLS connection whose every operation ends by one deadline. Nodes: Python 3.9.

A socket's own timeout bounds each call, so a server that sends a byte now and then would hold a
look for ever. A stream asks for the time that is left before each call.
"""

from __future__ import annotations

import io
import socket
import ssl
import threading
from dataclasses import dataclass
from typing import Any, Callable, Optional, Tuple

from gameday.errors import InvalidInput

Left = Callable[[], float]
"""Seconds left; raises TimeoutError once there are none."""


@dataclass(frozen=True)
class Secure:
    """TLS for one connection: the context, and the name that the certificate must have."""

    context: ssl.SSLContext
    server_name: str


class Credentials:
    """The TLS files of one sampler, by their paths on the vantage; read on first use.

    They are read where the look is made, so that a file that is missing or does not fit is a
    failed look with a reason, and one that appears later is taken.
    """

    def __init__(self, ca_file: str, cert_file: str, key_file: str) -> None:
        self._ca, self._cert, self._key = ca_file, cert_file, key_file
        self._context: Optional[ssl.SSLContext] = None
        self._lock = threading.Lock()

    def secure(self, server_name: str) -> Secure:
        """TLS towards a server of that name or address.

        Raises:
            InvalidInput: which of the files cannot be used, and why.
        """
        with self._lock:
            if self._context is None:
                self._context = self._make()
            return Secure(self._context, server_name)

    def _make(self) -> ssl.SSLContext:
        for word, path in (
            ("ca_file", self._ca), ("cert_file", self._cert), ("key_file", self._key),
        ):  # fmt: skip
            _readable(word, path)
        try:
            # Without a CA file the system's own authorities count.
            context = ssl.create_default_context(cafile=self._ca or None)
        except ssl.SSLError as error:
            what = f"ca_file {self._ca} holds no certificate: {error.reason}"
            raise InvalidInput(what, "give a PEM file") from error
        if self._cert:
            try:
                # The password stops OpenSSL from asking a terminal for that of an encrypted key.
                context.load_cert_chain(self._cert, self._key, password="-")  # noqa: S106
            except (ssl.SSLError, ValueError) as error:
                why = getattr(error, "reason", None) or error
                what = f"cert_file {self._cert} and key_file {self._key} do not fit: {why}"
                raise InvalidInput(what, "give PEM files, the key without a password") from error
        return context


def _readable(word: str, path: str) -> None:
    if not path:
        return
    try:
        with open(path, "rb"):
            return
    except OSError as error:
        raise InvalidInput(f"{word} {path}: {error.strerror}") from error


class Stream:
    """What ``http.client`` uses of a socket, within a deadline."""

    def __init__(self, host: str, sock: socket.socket, left: Left) -> None:
        self.host = host
        self._sock, self._left = sock, left

    @property
    def certificate(self) -> bytes:
        """The server's certificate as DER; empty without TLS."""
        if not isinstance(self._sock, ssl.SSLSocket):
            return b""
        return self._sock.getpeercert(binary_form=True) or b""

    def expires_s(self) -> int:
        """When the server's certificate ends, in seconds since 1970; 0 without TLS."""
        if not isinstance(self._sock, ssl.SSLSocket):
            return 0
        found = self._sock.getpeercert() or {}
        return int(ssl.cert_time_to_seconds(str(found.get("notAfter", ""))))

    def sendall(self, data: bytes) -> None:
        """Send everything; raises TimeoutError past the deadline."""
        view = memoryview(data)
        while view:
            self._sock.settimeout(self._left())
            view = view[self._sock.send(view) :]

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        """The bytes that arrive, as a file."""
        return io.BufferedReader(_Arriving(self._sock, self._left))

    def close(self) -> None:
        """Nothing: ``http.client`` closes what it still reads from; leaving ``with`` closes."""

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()


class _Arriving(io.RawIOBase):
    """Reads from a socket, each time for as long as is left."""

    def __init__(self, sock: socket.socket, left: Left) -> None:
        super().__init__()
        self._sock, self._left = sock, left

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(self._left())
        return self._sock.recv_into(buffer)


def connect(where: Tuple[str, int], left: Left, secure: Optional[Secure] = None) -> Stream:
    """A connection to (address, port), with TLS where ``secure`` is given.

    Raises:
        TimeoutError: past the deadline. OSError: as the socket or TLS says.
    """
    sock = socket.create_connection(where, timeout=left())
    try:
        if secure is not None:
            sock.settimeout(left())
            sock = secure.context.wrap_socket(sock, server_hostname=secure.server_name)
        return Stream(where[0], sock, left)
    except BaseException:
        sock.close()
        raise
