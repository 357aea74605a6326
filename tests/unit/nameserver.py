# SPDX-License-Identifier: Apache-2.0
"""A name server on loopback, over UDP and TCP, that says what a test tells it to."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Sequence

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rrset


class NameServer:
    """Answers every question; change the attributes while it runs.

    Attributes:
        answers: addresses; empty for a name without any. ttl: of them, in seconds.
        rcode: of every answer. truncated: over UDP, no answer but the bit that says so.
        silent: no answer at all. asked: transport and flags of each question so far.
    """

    def __init__(self, answers: Sequence[str], host: str = "127.0.0.1", ttl: int = 5) -> None:
        self.answers, self.ttl = list(answers), ttl
        self.rcode, self.truncated, self.silent = "NOERROR", False, False
        self.asked: list[str] = []
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._tcp = socket.create_server((host, 0), family=family)
        self.port: int = self._tcp.getsockname()[1]
        self._udp = socket.socket(family, socket.SOCK_DGRAM)
        self._udp.bind((host, self.port))
        for serve in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=serve, daemon=True).start()

    def __enter__(self) -> NameServer:
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._udp, self._tcp):
            # Linux wakes who reads from it, also where it then says that nobody is connected.
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _reply(self, wire: bytes, transport: str) -> bytes:
        query = dns.message.from_wire(wire)
        wanted = "recursion" if query.flags & dns.flags.RD else "own"
        self.asked.append(f"{transport} {wanted}")
        reply = dns.message.make_response(query)
        reply.set_rcode(dns.rcode.from_text(self.rcode))
        if transport == "udp" and self.truncated:
            reply.flags |= dns.flags.TC
        elif self.answers:
            question = query.question[0]
            kind = "AAAA" if ":" in self.answers[0] else "A"
            rrset = dns.rrset.from_text(question.name, self.ttl, "IN", kind, *self.answers)
            reply.answer.append(rrset)
        return reply.to_wire()

    def _serve_udp(self) -> None:
        while True:
            try:
                wire, source = self._udp.recvfrom(512)
                if not wire:
                    return
                reply = self._reply(wire, "udp")
                if not self.silent:
                    self._udp.sendto(reply, source)
            except OSError:
                # Closed, perhaps by a test that did not wait for this answer.
                return

    def _serve_tcp(self) -> None:
        while True:
            try:
                connection, _ = self._tcp.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as stream:
                size = int.from_bytes(stream.read(2), "big")
                reply = self._reply(stream.read(size), "tcp")
                if not self.silent:
                    connection.sendall(len(reply).to_bytes(2, "big") + reply)
