# SPDX-License-Identifier: Apache-2.0
"""What all probes of SQL servers share: whom to ask, as whom, and a line that is cut in time.

Libraries that speak a server's protocol are carried to vantages; they bound each read by itself,
so a server that says a byte now and then would hold a look for ever. Here the line itself is cut
at the deadline. Nodes: Python 3.9 syntax.
"""

from __future__ import annotations

import contextlib
import importlib
import socket
import threading
from dataclasses import dataclass, field, replace
from typing import Any, Iterator, Mapping, Optional, Tuple

from gameday.probes.base import Target
from gameday.probes.deadline import Deadline
from gameday.probes.secret import check_reference, read_secret
from gameday.probes.stream import Credentials, Secure

TEXT_MAX = 160


@dataclass(frozen=True)
class SqlParams:
    """Parameters of every probe of an SQL server.

    Attributes:
        port: the server's port.
        user: who logs in.
        database: where; "" for none.
        password: where the password is, as env:NAME or file:/path on the vantage; "" for none.
        address: where the vantage node's own server is asked, such as 127.0.0.1, instead of the
            servers on nodes that ``to`` selects.
        tls: whether the line is encrypted, and the server's certificate verified.
        ca_file: of the authority that signed it, on the vantage; else the system's count.
        cert_file, key_file: the client's own certificate and key, on the vantage.
        server_name: where the certificate does not have the address.
    """

    port: int = 0
    user: str = "gameday"
    database: str = ""
    password: str = ""
    address: str = ""
    tls: bool = False
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    server_name: str = field(default="", metadata={"pattern": r"^[A-Za-z0-9.:_-]*$"})

    def __post_init__(self) -> None:
        check_reference("password", self.password)
        if not self.tls and (self.ca_file or self.cert_file or self.key_file or self.server_name):
            raise ValueError("certificates and their names belong to tls: true")
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("cert_file and key_file belong together")


def needs_target(params: Mapping[str, Any]) -> bool:
    """Whether ``to`` says whom to ask, from a probe's parameters as they stand in the YAML."""
    return not params.get("address")


class Server:
    """One server, as one sampler asks it.

    Attributes:
        params: how. address: where.
    """

    def __init__(self, params: SqlParams, address: str) -> None:
        self.params, self.address = params, address
        self._credentials = Credentials(params.ca_file, params.cert_file, params.key_file)

    @staticmethod
    def of(params: SqlParams, target: Target) -> Server:
        """The one that a target of a sampler stands for."""
        return Server(params, params.address or target.addresses[0])

    @property
    def where(self) -> Tuple[str, int]:
        """Its address and port."""
        return self.address, self.params.port

    def at(self, port: int) -> Server:
        """The same server at another port."""
        return Server(replace(self.params, port=port), self.address)

    @property
    def name(self) -> str:
        """What its certificate must have."""
        return self.params.server_name or self.address

    def password(self) -> str:
        """The password, read anew for each look.

        Raises:
            InvalidInput: where it is not there, or others may read it.
        """
        return read_secret(self.params.password) if self.params.password else ""

    def secure(self) -> Optional[Secure]:
        """TLS, where it is wanted.

        Raises:
            InvalidInput: which of the files cannot be used, and why.
        """
        return self._credentials.secure(self.name) if self.params.tls else None

    @contextlib.contextmanager
    def line(self, until: Deadline) -> Iterator[socket.socket]:
        """A connection that is cut at the deadline, whatever is done with it.

        Raises:
            OSError: where there is none.
        """
        with (
            socket.create_connection(self.where, timeout=until.left_s()) as sock,
            sock.dup() as same,
        ):
            # The library may wrap the socket in TLS and take it away; this one stays ours.
            cut = threading.Timer(until.left_s(), _cut, (same,))
            cut.daemon = True
            cut.start()
            try:
                yield sock
            finally:
                cut.cancel()
                cut.join()
                _cut(same)


def ready(library: str) -> None:
    """Import a carried library before the first look, which would be late by as much.

    Where it is not there, each look says so.
    """
    with contextlib.suppress(ImportError):
        importlib.import_module(library)


def _cut(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def late_or(word: str, deadline: Deadline) -> str:
    """``word``, or that it took too long: libraries call a line that was cut many names."""
    try:
        deadline.left_s()
    except TimeoutError as late:
        return str(late)
    return word[:TEXT_MAX]
