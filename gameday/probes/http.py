# SPDX-License-Identifier: Apache-2.0
"""``http``: what a user does: look the name up at the authoritative servers, then ask.

The client honours the TTL it was given, and takes the addresses of one answer in turn, one
for each request, as a population of users does. It does not try a second address.
"""

from __future__ import annotations

import http.client
import threading
from dataclasses import dataclass
from typing import Callable, List, Tuple
from urllib.parse import urlsplit

from gameday import clock
from gameday.probes.base import Failed, Outcome, Schedule, Target, Value
from gameday.probes.deadline import Deadline, failure_word, request
from gameday.probes.dns import ask


@dataclass(frozen=True)
class HttpParams:
    """Parameters of ``http``.

    Attributes:
        url: plain HTTP; its host is looked up at the nodes that ``to`` selects.
        status: the status that counts as success. dns_port: of those nodes.
    """

    url: str
    status: int = 200
    dns_port: int = 53


class Resolver:
    """A cache of one answer that honours its TTL; servers are tried in turn."""

    def __init__(self, host: str, servers: Tuple[Tuple[str, str], ...], port: int) -> None:
        self._host, self._servers, self._port = host, servers, port
        self._lock = threading.Lock()
        self._addresses: List[str] = []
        self._server = ""
        self._until_ns = 0
        self._turn = 0

    def next(self, deadline: Deadline) -> Tuple[str, str]:
        """(address to ask, name of the server that gave it).

        Raises:
            LookupError: where no server gave an address before the deadline.
        """
        with self._lock:
            if clock.mono_ns() >= self._until_ns or not self._addresses:
                self._refresh(deadline)
            self._turn += 1
            return self._addresses[self._turn % len(self._addresses)], self._server

    def _refresh(self, deadline: Deadline) -> None:
        import dns.exception

        share = max(1, deadline.timeout_ns // (len(self._servers) + 1))
        reasons = []
        for name, address in self._servers:
            try:
                step = Deadline(min(share, int(deadline.left_s() * clock.NS_PER_S)))
                found, ttl, rcode = ask(self._host, "A", address, self._port, step)
            except (OSError, dns.exception.DNSException) as error:
                reasons.append(f"{name}: {type(error).__name__}")
                continue
            if found:
                self._addresses, self._server = found, name
                self._until_ns = clock.mono_ns() + ttl * clock.NS_PER_S
                return
            reasons.append(f"{name}: {rcode}, no address")
        raise LookupError("; ".join(reasons))


class Http:
    """A user's request through DNS."""

    kind = "http"
    Params: type = HttpParams
    summary = "a user's request: DNS at the authoritative servers, then HTTP"
    fan_out = "all"
    listens = False

    def sampler(
        self, params: HttpParams, node: str, target: Target, schedule: Schedule
    ) -> Callable[[], Outcome]:
        """Each look is one request, with a DNS query where the TTL has run out."""
        url = urlsplit(params.url)
        host, port = url.hostname or "", url.port or 80
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        resolver = Resolver(host, target.peers, params.dns_port)

        def look() -> Outcome:
            deadline = Deadline(schedule.timeout_ns)
            try:
                address, server = resolver.next(deadline)
            except LookupError as error:
                return Failed(f"dns: {error}"[:200])
            try:
                status, headers, _ = request(
                    (address, port), "GET", path, deadline, headers={"Host": url.netloc}
                )
            except (OSError, http.client.HTTPException) as error:
                return Failed(f"{failure_word(error, deadline)} from {address}")
            if status != params.status:
                return Failed(f"status: {status} from {address}")
            site = headers.get("x-gameday-site", "")
            return Value({"status": status, "address": address, "site": site, "server": server})

        return look


PROBE = Http()
