# SPDX-License-Identifier: Apache-2.0
"""``dns``: transports, families, recursion, and answers that are none."""

from __future__ import annotations

import socket
from typing import Any

from gameday.clock import NS_PER_MS
from gameday.probes import TABLE
from gameday.probes.base import Failed, Outcome, Schedule, Target, Value
from gameday.probes.params import build
from tests.unit.nameserver import NameServer

SCHEDULE = Schedule(2000 * NS_PER_MS, 2000 * NS_PER_MS)


def ask(server: NameServer | int, address: str = "127.0.0.1", **params: Any) -> Outcome:
    """One look at a server, or at a port."""
    probe, port = TABLE["dns"], server if isinstance(server, int) else server.port
    built = build(probe.Params, {"name": "app.gameday.test", "port": port, **params})
    found: Outcome = probe.sampler(built, "cli-1", Target("ns", (address,)), SCHEDULE)()
    return found


def test_udp_and_tcp_with_and_without_recursion() -> None:
    with NameServer(["192.0.2.2", "192.0.2.1"]) as server:
        seen = Value({"addresses": ["192.0.2.1", "192.0.2.2"], "ttl": 5, "rcode": "NOERROR"})
        assert ask(server) == seen
        assert ask(server, transport="tcp") == seen
        assert ask(server, recursion=True) == seen
        assert server.asked == ["udp own", "tcp own", "udp recursion"]
        server.silent = True
        assert ask(server) == Failed("timeout: 2000 ms")
        tcp = ask(server, transport="tcp")
        assert isinstance(tcp, Failed) and tcp.reason.startswith("protocol: EOFError")


def test_ipv6_server_and_records() -> None:
    with NameServer(["2001:db8::1"], host="::1") as server:
        for transport in ("udp", "tcp"):
            found = ask(server, "::1", rrtype="AAAA", transport=transport)
            assert found == Value({"addresses": ["2001:db8::1"], "ttl": 5, "rcode": "NOERROR"})


def test_answers_that_say_nothing_of_the_name_fail_and_are_told_apart() -> None:
    with NameServer(["192.0.2.1"]) as server:
        server.truncated = True
        cut = ask(server)
        assert isinstance(cut, Failed) and cut.reason.startswith("truncated:")
        assert isinstance(ask(server, transport="tcp"), Value), "the whole answer fits there"
        server.truncated, server.answers = False, []
        server.rcode = "NXDOMAIN"
        assert ask(server) == Value({"addresses": [], "ttl": 0, "rcode": "NXDOMAIN"})
        for rcode in ("SERVFAIL", "REFUSED"):
            server.rcode = rcode
            assert ask(server) == Failed(f"rcode: {rcode}")


def test_nobody_there() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # Bound and not listening: the port is refused.
        found = ask(unused.getsockname()[1], transport="tcp")
    assert found == Failed("refused: nothing listens")
