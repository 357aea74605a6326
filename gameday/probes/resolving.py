# SPDX-License-Identifier: Apache-2.0
"""How a client comes by addresses: it asks name servers and keeps what they said, for a time.

This module travels to nodes: standard library and dnspython only, Python 3.9 syntax.
"""

from __future__ import annotations

import dataclasses
import threading
from typing import Protocol, Tuple

from gameday import clock
from gameday.probes.deadline import Deadline
from gameday.probes.dns import Answer, Question, ask

Servers = Tuple[Tuple[str, str], ...]
"""Name servers as (name, address), tried in this order."""


class Addresses(Protocol):
    """Where a client may go."""

    def next(self, deadline: Deadline) -> Tuple[Tuple[str, ...], str]:
        """(addresses, that whose turn it is first; name of the server that gave them).

        Raises:
            LookupError: where no server gave an address before the deadline.
            TimeoutError: past the deadline.
        """


class Fixed:
    """One address that needs no lookup."""

    def __init__(self, address: str) -> None:
        self._address = address

    def next(self, deadline: Deadline) -> Tuple[Tuple[str, ...], str]:
        """The address; no server gave it."""
        return (self._address,), ""


class Resolver:
    """A cache of one answer: kept for its TTL, or for ever.

    Each call takes the next address of the answer first, as a population of users does.
    """

    def __init__(self, question: Question, servers: Servers, forever: bool) -> None:
        self._question, self._servers, self._forever = question, servers, forever
        self._lock = threading.Lock()
        self._addresses: Tuple[str, ...] = ()
        self._server = ""
        self._until_ns = 0
        self._turn = 0

    def next(self, deadline: Deadline) -> Tuple[Tuple[str, ...], str]:
        """See ``Addresses``."""
        # Another look may be asking right now; waiting for it counts as time of this one.
        if not self._lock.acquire(timeout=deadline.left_s()):
            raise TimeoutError(deadline.word())
        try:
            if not self._addresses or (not self._forever and clock.mono_ns() >= self._until_ns):
                self._refresh(deadline)
            self._turn = (self._turn + 1) % len(self._addresses)
            found = (*self._addresses[self._turn :], *self._addresses[: self._turn])
            return found, self._server
        finally:
            self._lock.release()

    def _refresh(self, deadline: Deadline) -> None:
        import dns.exception

        reasons = []
        for number, (name, address) in enumerate(self._servers):
            try:
                # One share more than servers: the request itself needs some time too.
                answer = self._ask(address, deadline.share(len(self._servers) - number + 1))
            except dns.exception.Timeout:
                reasons.append(f"{name}: timeout")
                continue
            except (OSError, EOFError, dns.exception.DNSException) as error:
                reasons.append(f"{name}: {type(error).__name__}")
                continue
            if answer.addresses and not answer.trouble():
                self._addresses, self._server = answer.addresses, name
                self._until_ns = clock.mono_ns() + answer.ttl * clock.NS_PER_S
                return
            reasons.append(f"{name}: {answer.trouble() or answer.rcode + ', no address'}")
        raise LookupError("; ".join(reasons) or "there is no server to ask")

    def _ask(self, address: str, deadline: Deadline) -> Answer:
        """An answer that does not fit is asked for again over TCP, as clients do."""
        answer = ask(self._question, address, deadline)
        if not answer.truncated:
            return answer
        return ask(dataclasses.replace(self._question, transport="tcp"), address, deadline)
