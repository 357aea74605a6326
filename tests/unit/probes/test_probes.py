# SPDX-License-Identifier: Apache-2.0
"""Probe kinds against real servers on loopback: what is seen, and how failing looks."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import dns.message
import dns.rrset
import pytest

from gameday import clock
from gameday.clock import NS_PER_MS
from gameday.probes import TABLE, alertmanager, etcd, icmp
from gameday.probes.base import Failed, Outcome, Schedule, Target, Value
from gameday.probes.params import build

SCHEDULE = Schedule(250 * NS_PER_MS, 2000 * NS_PER_MS)
"""A timeout that a busy machine does not reach by itself."""
HERE = Target("here", ("127.0.0.1",))


class Server:
    """An HTTP server on loopback that answers one thing, or never."""

    def __init__(self, status: int, body: bytes, silent: bool = False) -> None:
        release = self.release = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                if silent:
                    release.wait(5)
                    return
                self.send_response(status)
                self.send_header("X-Gameday-Site", "frankfurt")
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST  # noqa: N815 - the name that http.server calls

            def log_message(self, format: str, *args: object) -> None:
                """Silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *error: object) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()


def write_to(port: int) -> Outcome:
    params = etcd.EtcdParams(port=port)
    return etcd.WRITE.sampler(params, "fra-1", HERE, SCHEDULE)()


def test_etcd_write_acknowledged() -> None:
    with Server(200, b'{"header":{"revision":"42"}}') as server:
        assert write_to(server.port) == Value({"revision": 42})


def test_etcd_write_that_hangs_is_a_timeout() -> None:
    with Server(200, b"", silent=True) as server:
        assert write_to(server.port) == Failed("timeout: 2000 ms")


def test_etcd_write_refused_or_in_error() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert write_to(unused.getsockname()[1]) == Failed("refused: nothing listens")
    with Server(503, b'{"error":"etcdserver: no leader"}') as server:
        assert write_to(server.port) == Failed("status: 503 etcdserver: no leader")
    with Server(200, b"not json") as server:
        outcome = write_to(server.port)
        assert isinstance(outcome, Failed) and outcome.reason.startswith("protocol:")


def test_etcd_status_without_a_leader() -> None:
    body = {"header": {"member_id": "255"}, "raftTerm": "7", "raftIndex": "9",
            "raftAppliedIndex": "8"}  # fmt: skip
    with Server(200, json.dumps(body).encode()) as server:
        look = etcd.STATUS.sampler(etcd.EtcdParams(server.port), "fra-1", HERE, SCHEDULE)
        assert look() == Value(
            {"member": "ff", "leader": "0", "term": 7, "raft_index": 9, "index": 8, "raft_lag": 1}
        )


@pytest.fixture
def nameserver() -> Iterator[tuple[int, list[str]]]:
    """A DNS server on loopback; the list holds what it answers, empty for silence."""
    answers = ["127.0.0.1"]
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                packet, source = udp.recvfrom(512)
            except OSError:
                return
            query = dns.message.from_wire(packet)
            if answers:
                reply = dns.message.make_response(query)
                name = query.question[0].name
                reply.answer.append(dns.rrset.from_text(name, 5, "IN", "A", *answers))
                udp.sendto(reply.to_wire(), source)

    threading.Thread(target=serve, daemon=True).start()
    yield udp.getsockname()[1], answers
    udp.close()


def test_dns_answer_and_silence(nameserver: tuple[int, list[str]]) -> None:
    port, answers = nameserver
    params = build(TABLE["dns"].Params, {"name": "app.gameday.test", "port": port})
    look = TABLE["dns"].sampler(params, "cli-1", HERE, SCHEDULE)
    assert look() == Value({"addresses": ["127.0.0.1"], "ttl": 5, "rcode": "NOERROR"})
    answers.clear()
    assert look() == Failed("timeout: 2000 ms")


def test_http_goes_through_dns_and_names_the_address(nameserver: tuple[int, list[str]]) -> None:
    port, answers = nameserver
    with Server(200, b"ok") as server:
        params = build(
            TABLE["http"].Params,
            {"url": f"http://app.gameday.test:{server.port}/x", "dns_port": port},
        )
        target = Target("app", (), (("ns1", "127.0.0.1"),))
        look = TABLE["http"].sampler(params, "cli-1", target, SCHEDULE)
        seen = {
            "status": 200, "address": "127.0.0.1", "site": "frankfurt", "server": "ns1",
            "tried": 1, "went": ["127.0.0.1"], "client": "honours-ttl",
        }  # fmt: skip
        assert look() == Value(seen)
        answers.clear()
        assert look() == Value(seen), "within the TTL the first answer is still used"
    outcome = look()
    assert isinstance(outcome, Failed) and outcome.reason.endswith("from 127.0.0.1")


def test_http_wrong_status_and_no_name(nameserver: tuple[int, list[str]]) -> None:
    port, answers = nameserver
    with Server(503, b"") as server:
        params = build(
            TABLE["http"].Params, {"url": f"http://a.test:{server.port}/", "dns_port": port}
        )
        target = Target("app", (), (("ns1", "127.0.0.1"),))
        look = TABLE["http"].sampler(params, "cli-1", target, SCHEDULE)
        assert look() == Failed("status: 503 from 127.0.0.1", {"went": ["127.0.0.1"]})
        answers.clear()
        fresh = TABLE["http"].sampler(params, "cli-1", target, SCHEDULE)
        outcome = fresh()
        assert isinstance(outcome, Failed) and outcome.reason.startswith("dns: ns1:")


def test_icmp_reply_is_told_from_others() -> None:
    request = icmp.echo_request(77, 3)
    assert icmp.checksum(request) == 0
    header = bytes([0x45]) + bytes(19)
    reply = header + bytes([0]) + request[1:]
    assert icmp.is_reply(reply, 77, 3)
    assert not icmp.is_reply(reply, 77, 4)
    assert not icmp.is_reply(reply, 78, 3)
    assert not icmp.is_reply(header + request, 77, 3), "a request is not a reply"
    assert not icmp.is_reply(b"", 77, 3)


def test_a_late_receiver_knows_when_the_bytes_came() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        with socket.create_connection(server.getsockname()) as client:
            connection, _ = server.accept()
            before = clock.mono_ns()
            client.sendall(b"alert")
            after = clock.mono_ns()
            clock.sleep_until_mono(after + 300 * NS_PER_MS)
            assert connection.recv(10) == b"alert"
            arrived = alertmanager.arrived_ns(connection)
            connection.close()
    assert before - 50 * NS_PER_MS <= arrived <= after


def test_webhook_emits_every_alert_of_a_notification() -> None:
    seen: list[tuple[str, Outcome]] = []
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    listening = alertmanager.PROBE.listen(
        alertmanager.WebhookParams(port=port),
        lambda target, outcome, since_ns=None: seen.append((target, outcome)),
    )
    try:
        body: dict[str, Any] = {"alerts": [
            {"status": "firing", "labels": {"alertname": "A", "site": "x"}, "startsAt": "now"},
            {"status": "resolved", "labels": {"alertname": "B"}},
        ]}  # fmt: skip
        from gameday.probes.deadline import Deadline, request

        status, _, _ = request(
            ("127.0.0.1", port), "POST", "/", Deadline(NS_PER_MS * 2000), json.dumps(body).encode()
        )
        assert status == 200
    finally:
        listening.close()
    assert seen == [
        ("A", Value({"status": "firing", "labels": ["alertname=A", "site=x"], "starts_at": "now"})),
        ("B", Value({"status": "resolved", "labels": ["alertname=B"], "starts_at": ""})),
    ]
    assert isinstance(alertmanager.parse(b"{}")[0][1], Failed)


def test_parameters_that_do_not_fit_are_said() -> None:
    from gameday.errors import InvalidInput

    with pytest.raises(InvalidInput, match="portt"):
        build(TABLE["etcd-write"].Params, {"portt": 1})
