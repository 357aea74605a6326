# SPDX-License-Identifier: Apache-2.0
"""``tcp-connect``, ``udp-echo`` and what ICMP kinds share, on loopback."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Callable
from typing import Any

import pytest

from gameday.clock import NS_PER_S, mono_ns, wall_ns
from gameday.probes import TABLE, icmp
from gameday.probes.base import Failed, Outcome, Schedule, Target, Value
from gameday.probes.params import build

SCHEDULE = Schedule(2 * NS_PER_S, 2 * NS_PER_S)
"""Long, since a busy machine answers late; few looks wait for it."""
LATEST_S = 20


def looker(kind: str, address: str, **params: Any) -> Callable[[], Outcome]:
    """A sampler of a kind at an address."""
    probe = TABLE[kind]
    target = Target("there", (address,))
    found: Callable[[], Outcome] = probe.sampler(
        build(probe.Params, params), "cli-1", target, SCHEDULE
    )
    return found


class Echo:
    """A UDP echo service that can hold replies back, drop them or send them twice."""

    def __init__(self, host: str, port: int = 0) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.bind((host, port))
        self.port: int = self._socket.getsockname()[1]
        self.holding, self.times, self._closed = False, 1, False
        self._held: list[tuple[bytes, Any]] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        try:
            while True:
                data, source = self._socket.recvfrom(2048)
                if self._closed:
                    return
                if self.holding:
                    self._held.append((data, source))
                    continue
                for _ in range(self.times):
                    self._socket.sendto(data, source)
        except OSError:
            # Closed, perhaps between a datagram and the answer to it.
            return

    def release(self) -> None:
        """Send what was held back."""
        self.holding = False
        for data, source in self._held:
            self._socket.sendto(data, source)
        self._held.clear()

    def close(self) -> None:
        """Nothing listens any more."""
        # Connected, the socket can be shut down, which wakes the thread that reads from it.
        self._closed = True
        self._socket.connect(self._socket.getsockname())
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def values(look: Callable[[], Outcome]) -> dict[str, Any]:
    """The value of a look that must have one."""
    found = look()
    assert isinstance(found, Value), found
    return dict(found.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_tcp_connect_times_and_tells_refused(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server:
        port = server.getsockname()[1]
        found = values(looker("tcp-connect", host, port=port))
        assert found["address"] == host
        assert 0 < found["connect_ns"] < SCHEDULE.timeout_ns
    assert looker("tcp-connect", host, port=port)() == Failed("refused: nothing listens")


def test_tcp_connect_to_a_full_backlog_is_a_timeout() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        port = server.getsockname()[1]
        held = [socket.socket() for _ in range(4)]
        for one in held:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        assert looker("tcp-connect", "127.0.0.1", port=port)() == Failed("timeout: 2000 ms")
        for one in held:
            one.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_udp_echo_late_is_not_lost(host: str) -> None:
    service = Echo(host)
    look = looker("udp-echo", host, port=service.port)
    first = values(look)
    assert (first["number"], first["late"]) == (0, [])
    assert 0 < first["rtt_ns"] < SCHEDULE.timeout_ns
    service.holding = True
    assert look() == Failed("timeout: 2000 ms, number 1")
    service.release()
    late: list[str] = []
    end = mono_ns() + LATEST_S * NS_PER_S
    while not late and mono_ns() < end:
        late = values(look)["late"]
    number, _, spent = late[0].partition(":")
    assert (len(late), number) == (1, "1")
    assert int(spent) >= SCHEDULE.timeout_ns
    service.times = 2
    for _ in range(3):
        assert values(look)["late"] == [], "the same reply twice is not a late one"
    service.close()


def lasting() -> Echo:
    """A service on a port that nobody gets by chance while it is closed."""
    for port in range(15_000 + os.getpid() % 10_000, 32_000):
        try:
            return Echo("127.0.0.1", port)
        except OSError:
            continue
    raise AssertionError("no free port below those that the kernel hands out")


def test_udp_echo_refused_and_back() -> None:
    service = lasting()
    look = looker("udp-echo", "127.0.0.1", port=service.port)
    values(look)
    service.close()
    end = mono_ns() + LATEST_S * NS_PER_S
    while look() != Failed("refused: nothing listens"):
        assert mono_ns() < end
    again = Echo("127.0.0.1", service.port)
    values(look)
    again.close()


def test_echo_replies_of_ipv6_are_told_from_others() -> None:
    request = icmp.echo_request(77, 3, 6)
    reply = bytes([129]) + request[1:]
    assert icmp.is_reply(reply, 77, 3, 6)
    assert not icmp.is_reply(reply, 77, 4, 6)
    assert not icmp.is_reply(request, 77, 3, 6), "a request is not a reply"
    assert not icmp.is_reply(b"", 77, 3, 6)


def test_time_in_the_kernel_is_never_claimed_without_a_stamp() -> None:
    def stamp(ago_ns: int) -> list[tuple[int, int, bytes]]:
        at = wall_ns() - ago_ns
        data = struct.pack("@qq", at // NS_PER_S, at % NS_PER_S)
        return [(socket.SOL_SOCKET, icmp.TIMESTAMP_NS, data)]

    spent = 60 * NS_PER_S
    assert NS_PER_S <= icmp.waited_ns(stamp(NS_PER_S), spent) < spent
    assert icmp.waited_ns([], spent) == spent
    assert icmp.waited_ns(stamp(2 * spent), spent) == spent, "the wall clock was set"
    assert icmp.waited_ns(stamp(-spent), spent) == spent
