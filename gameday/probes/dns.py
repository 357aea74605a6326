# SPDX-License-Identifier: Apache-2.0
"""``dns``: one server asked for one name: an authoritative one, or a resolver."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Literal, Optional, Tuple

from gameday.probes.base import Failed, Outcome, Schedule, Target, Value
from gameday.probes.deadline import Deadline, failure_word

ANSWERS = ("NOERROR", "NXDOMAIN")
"""Response codes that say something of the name; with any other the server says that it cannot."""


@dataclass(frozen=True)
class DnsParams:
    """Parameters of ``dns``.

    Attributes:
        name: the name asked for. rrtype: what is asked for. port: the server's port.
        transport: how it is asked.
        family: at which of its addresses; else at the one listed first.
        recursion: wanted, as of a resolver; an authoritative server says what it knows itself.
    """

    name: str
    rrtype: Literal["A", "AAAA"] = "A"
    port: int = 53
    transport: Literal["udp", "tcp"] = "udp"
    family: Optional[Literal[4, 6]] = None
    recursion: bool = False


@dataclass(frozen=True)
class Question:
    """What is asked and how; fields as those of ``DnsParams``."""

    name: str
    rrtype: str
    port: int
    transport: str = "udp"
    recursion: bool = False


@dataclass(frozen=True)
class Answer:
    """What a server said.

    Attributes:
        addresses: sorted. ttl: the least of theirs, in seconds; 0 without any.
        rcode: "NOERROR". truncated: whether the answer did not fit, so that it says nothing.
    """

    addresses: Tuple[str, ...]
    ttl: int
    rcode: str
    truncated: bool

    def trouble(self) -> str:
        """Why this tells nothing of the name; empty where it does."""
        if self.truncated:
            return "truncated: the answer does not fit; use transport: tcp"
        return "" if self.rcode in ANSWERS else f"rcode: {self.rcode}"


def ask(question: Question, server: str, deadline: Deadline) -> Answer:
    """One query to one server, at an address of it.

    Raises:
        OSError, dns.exception.DNSException: where no answer that fits came in time.
    """
    # dnspython is imported on first use: only vantages that ask DNS need its memory.
    import dns.flags
    import dns.message
    import dns.query
    import dns.rcode

    query = dns.message.make_query(question.name, question.rrtype)
    if not question.recursion:
        query.flags &= ~int(dns.flags.RD)
    send = dns.query.tcp if question.transport == "tcp" else dns.query.udp
    answer = send(query, server, timeout=deadline.left_s(), port=question.port)
    found = [
        (record.address, rrset.ttl)
        for rrset in answer.answer
        for record in rrset
        if hasattr(record, "address")
    ]
    return Answer(
        tuple(sorted(address for address, _ in found)),
        min((ttl for _, ttl in found), default=0),
        dns.rcode.to_text(answer.rcode()),
        bool(answer.flags & dns.flags.TC),
    )


class Dns:
    """A server's answer."""

    kind = "dns"
    Params: type = DnsParams
    summary = "what one authoritative server or resolver answers for one name"
    fan_out = "each"
    listens = False

    def sampler(
        self, params: DnsParams, node: str, target: Target, schedule: Schedule
    ) -> Callable[[], Outcome]:
        """Each look is one query to the target's first address."""
        import dns.exception

        question = Question(
            params.name, params.rrtype, params.port, params.transport, params.recursion
        )

        def look() -> Outcome:
            deadline = Deadline(schedule.timeout_ns)
            try:
                answer = ask(question, target.addresses[0], deadline)
            except dns.exception.Timeout:
                return Failed(deadline.word())
            except (OSError, EOFError, dns.exception.DNSException) as error:
                return Failed(failure_word(error, deadline))
            if answer.trouble():
                return Failed(answer.trouble())
            return Value(
                {"addresses": list(answer.addresses), "ttl": answer.ttl, "rcode": answer.rcode}
            )

        return look


PROBE = Dns()
