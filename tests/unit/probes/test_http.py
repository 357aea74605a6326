# SPDX-License-Identifier: Apache-2.0
"""``http``: kinds of client, resolvers, TLS, and a deadline that no server can stretch."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from gameday.clock import NS_PER_MS, NS_PER_S, mono_ns, sleep_until_mono
from gameday.probes import TABLE
from gameday.probes.base import Failed, Outcome, Schedule, Target, Value
from gameday.probes.params import build
from tests.certificates import Authority, Pair
from tests.unit.nameserver import NameServer

HOST = "app.gameday.test"
SCHEDULE = Schedule(1000 * NS_PER_MS, 1000 * NS_PER_MS)
PATIENT = Schedule(10 * NS_PER_S, 10 * NS_PER_S)
"""For looks at what is said and not when: a handshake takes seconds where nobody has time."""

Look = Callable[[], Outcome]


class Handler(BaseHTTPRequestHandler):
    """Says on which address it was asked; /slow sends one byte every 100 ms, for ever."""

    def do_GET(self) -> None:
        self.send_response(503 if self.path == "/broken" else 200)
        self.send_header("X-Gameday-Site", str(self.connection.getsockname()[0]))
        self.end_headers()
        self.wfile.write(b"database: ok\n")
        while self.path == "/slow":
            try:
                self.wfile.write(b".")
            except OSError:
                return
            sleep_until_mono(mono_ns() + 100 * NS_PER_MS)

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


@contextmanager
def web(address: str, port: int = 0, pair: Pair | None = None) -> Iterator[int]:
    """A web server at an address of loopback, with TLS where it has a certificate; its port."""
    server = ThreadingHTTPServer((address, port), Handler)
    if pair is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.cert, pair.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def looker(
    names: NameServer | None, url: str, schedule: Schedule = SCHEDULE, **params: Any
) -> Look:
    """A sampler that asks ``names`` as the one authoritative server."""
    peers = (("ns1", "127.0.0.1"),) if names and "resolvers" not in params else ()
    if names:
        params["dns_port"] = names.port
    built = build(TABLE["http"].Params, {"url": url, **params})
    found: Look = TABLE["http"].sampler(built, "cli-1", Target(HOST, (), peers), schedule)
    return found


def site(outcome: Outcome) -> str:
    """Which address answered, in the server's own words."""
    assert isinstance(outcome, Value), outcome
    assert outcome.value["site"] == outcome.value["address"]
    return str(outcome.value["site"])


def test_three_kinds_of_client_when_the_answer_changes() -> None:
    with NameServer(["127.0.0.2"], ttl=0) as names, web("127.0.0.3") as port:
        url = f"http://{HOST}:{port}/"
        kinds = ("honours-ttl", "caches-forever", "tries-next")
        looks = {kind: looker(names, url, client=kind) for kind in kinds}
        for look in looks.values():
            assert look() == Failed(
                "refused: nothing listens from 127.0.0.2", {"went": ["127.0.0.2"]}
            )
        names.answers = ["127.0.0.3"]
        assert site(looks["honours-ttl"]()) == "127.0.0.3"
        assert site(looks["tries-next"]()) == "127.0.0.3"
        assert looks["caches-forever"]() == Failed(
            "refused: nothing listens from 127.0.0.2", {"went": ["127.0.0.2"]}
        )


def test_one_kind_tries_the_next_address_and_says_how_many() -> None:
    with NameServer(["127.0.0.2", "127.0.0.3"]) as names, web("127.0.0.3") as port:
        plain = looker(names, f"http://{HOST}:{port}/")
        found = [isinstance(plain(), Value) for _ in range(4)]
        assert sorted(found) == [False, False, True, True], "addresses are taken in turn"
        steady = looker(names, f"http://{HOST}:{port}/", client="tries-next")
        values = [steady() for _ in range(4)]
        assert {site(value) for value in values} == {"127.0.0.3"}
        tried = [value.value["tried"] for value in values if isinstance(value, Value)]
        assert sorted(tried) == [1, 1, 2, 2]
        names.answers = ["127.0.0.4", "127.0.0.5"]
        gone = looker(names, f"http://{HOST}:{port}/", client="tries-next")()
        assert isinstance(gone, Failed) and gone.reason.endswith(", 2 tried")
        names.answers = ["127.0.0.3"]
        broken = looker(names, f"http://{HOST}:{port}/broken", client="tries-next")()
        assert broken == Failed("status: 503 from 127.0.0.3", {"went": ["127.0.0.3"]}), (
            "who answers is not passed over"
        )


def test_resolvers_are_asked_with_recursion_and_over_tcp_where_needed() -> None:
    with NameServer(["127.0.0.3"]) as names, web("127.0.0.3") as port:
        names.truncated = True
        look = looker(names, f"http://{HOST}:{port}/", resolvers=["127.0.0.1"])
        found = look()
        assert site(found) == "127.0.0.3"
        assert isinstance(found, Value) and found.value["server"] == "127.0.0.1"
        assert names.asked == ["udp recursion", "tcp recursion"]


def test_an_address_in_the_url_is_not_looked_up() -> None:
    with web("127.0.0.3") as port:
        assert site(looker(None, f"http://127.0.0.3:{port}/")()) == "127.0.0.3"
    assert not TABLE["http"].needs_target({"url": "http://[fd18::1]/"})
    assert not TABLE["http"].needs_target({"url": f"http://{HOST}/", "resolvers": ["192.0.2.1"]})
    assert TABLE["http"].needs_target({"url": f"http://{HOST}/"})


def test_body_and_status() -> None:
    with web("127.0.0.3") as port:
        url = f"http://127.0.0.3:{port}/"
        assert isinstance(looker(None, url, body="database: ok")(), Value)
        lacks = looker(None, url, body="database: green")()
        assert lacks == Failed(
            "body: lacks 'database: green' from 127.0.0.3", {"went": ["127.0.0.3"]}
        )
        assert isinstance(looker(None, url + "broken", status=503)(), Value)


def test_no_server_stretches_a_look() -> None:
    with web("127.0.0.3") as port:
        start = mono_ns()
        found = looker(None, f"http://127.0.0.3:{port}/slow")()
        spent = mono_ns() - start
    assert found == Failed("timeout: 1000 ms from 127.0.0.3", {"went": ["127.0.0.3"]})
    assert spent < 10 * NS_PER_S, "a byte every 100 ms would last for ever"


def test_certificates(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair, stranger = authority.sign(HOST, days=20), Authority(tmp_path, "stranger")
    old = authority.sign("old.gameday.test", days=-1)
    with NameServer(["127.0.0.3"]) as names, web("127.0.0.3", pair=pair) as port:
        url, ca = f"https://{HOST}:{port}/", str(authority.ca)
        found = looker(names, url, PATIENT, ca_file=ca, certificate_sha256=pair.sha256)()
        assert isinstance(found, Value), found
        assert found.value["certificate_sha256"] == pair.sha256
        assert found.value["certificate_days"] in (19, 20), "whole days that are left"

        def reason(**params: Any) -> str:
            outcome = looker(names, url, PATIENT, **params)()
            assert isinstance(outcome, Failed)
            return outcome.reason

        assert reason(ca_file=str(stranger.ca)).startswith("certificate: unable to get local")
        assert reason().startswith("certificate: "), "the system does not know the authority"
        assert reason(ca_file=ca, server_name="other").startswith("certificate: Hostname mismatch")
        other = f"certificate: is {pair.sha256}, not {'0' * 64}"
        assert reason(ca_file=ca, certificate_sha256="0" * 64).startswith(other)
        missing = reason(ca_file=str(tmp_path / "missing"))
        assert missing.startswith(f"credentials: ca_file {tmp_path}/missing: No such file")
    with web("127.0.0.3", pair=old) as port, NameServer(["127.0.0.3"]) as names:
        outcome = looker(names, f"https://old.gameday.test:{port}/", PATIENT, ca_file=ca)()
        assert outcome == Failed(
            "certificate: certificate has expired from 127.0.0.3", {"went": ["127.0.0.3"]}
        )


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"url": "ftp://a/"}, "is not http://host/path"),
        ({"url": "http:///x"}, "is not http://host/path"),
        ({"url": "http://a:99999/"}, "Port out of range"),
        ({"url": "http://a/", "ca_file": "/x"}, "are for an https:// url"),
        ({"url": "http://a/", "resolvers": ["unbound-1"]}, "'unbound-1' is not an address"),
    ],
)
def test_parameters_that_cannot_be(params: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        build(TABLE["http"].Params, params)
