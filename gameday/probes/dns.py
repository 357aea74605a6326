# SPDX-License-Identifier: Apache-2.0
"""``dns``: one authoritative server asked for one name, without a resolver in between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, List, Tuple

from gameday.probes.base import Failed, Outcome, Schedule, Target, Value
from gameday.probes.deadline import Deadline, failure_word


@dataclass(frozen=True)
class DnsParams:
    """Parameters of ``dns``.

    Attributes:
        name: the name asked for. rrtype: "A" or "AAAA". port: the server's UDP port.
    """

    name: str
    rrtype: str = "A"
    port: int = 53


def ask(
    name: str, rrtype: str, server: str, port: int, deadline: Deadline
) -> Tuple[List[str], int, str]:
    """(addresses sorted, least TTL, response code) of one UDP query.

    Raises:
        OSError, dns.exception.DNSException: where no answer that fits came in time.
    """
    # dnspython is imported on first use: only vantages that ask DNS need its memory.
    import dns.message
    import dns.query
    import dns.rcode

    query = dns.message.make_query(name, rrtype)
    query.flags &= ~0x0100  # No recursion is wanted: the server shall say what it knows itself.
    answer = dns.query.udp(query, server, timeout=deadline.left_s(), port=port)
    found = [
        (record.address, rrset.ttl)
        for rrset in answer.answer
        for record in rrset
        if hasattr(record, "address")
    ]
    ttl = min((ttl for _, ttl in found), default=0)
    return sorted(address for address, _ in found), ttl, dns.rcode.to_text(answer.rcode())


class Dns:
    """An authoritative server's answer."""

    kind = "dns"
    Params: type = DnsParams
    summary = "what one authoritative server answers for one name"
    fan_out = "each"
    listens = False

    def sampler(
        self, params: DnsParams, node: str, target: Target, schedule: Schedule
    ) -> Callable[[], Outcome]:
        """Each look is one UDP query to the target's first address."""
        import dns.exception

        def look() -> Outcome:
            deadline = Deadline(schedule.timeout_ns)
            try:
                addresses, ttl, rcode = ask(
                    params.name, params.rrtype, target.addresses[0], params.port, deadline
                )
            except dns.exception.Timeout:
                return Failed(deadline.word())
            except (OSError, dns.exception.DNSException) as error:
                return Failed(failure_word(error, deadline))
            return Value({"addresses": addresses, "ttl": ttl, "rcode": rcode})

        return look


PROBE = Dns()
