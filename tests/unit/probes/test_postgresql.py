# SPDX-License-Identifier: Apache-2.0
"""The PostgreSQL probe against its protocol on loopback, and the libraries carried for it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from gameday.agent import carried as kept
from gameday.clock import NS_PER_S
from gameday.errors import NodeError
from gameday.experiment.params import mirror
from gameday.probes import postgresql
from gameday.probes.base import Failed, Outcome, Schedule, Target
from gameday.transport import carried

HERE = Target("here", ("127.0.0.1",))


def look_at(
    said: bytes, close: bool = True, timeout_ns: int = 5 * NS_PER_S, **given: Any
) -> Outcome:
    """One look at a server that says ``said`` to whoever logs in, and closes or stays silent."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection, contextlib.suppress(ConnectionResetError):
                connection.recv(4096)
                connection.sendall(said)
                if close:
                    connection.shutdown(socket.SHUT_WR)
                while connection.recv(4096):
                    pass

        threading.Thread(target=serve, daemon=True).start()
        params = postgresql.PostgresqlParams(server.getsockname()[1], **given)
        schedule = Schedule(timeout_ns, timeout_ns)
        return postgresql.PROBE.sampler(params, "fra-1", HERE, schedule)()


def test_refusal_is_the_servers_own_word() -> None:
    body = b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0"
    said = b"E" + struct.pack("!I", len(body) + 4) + body
    assert look_at(said) == Failed("server: 57P03 the database system is starting up")


@pytest.mark.parametrize("said", [b"", b"HTTP/1.0 400 Bad Request\r\n\r\n"])
def test_what_is_not_an_answer_is_a_failure(said: bytes) -> None:
    assert isinstance(look_at(said, timeout_ns=NS_PER_S), Failed)


def test_a_server_that_says_nothing_is_cut_at_the_timeout() -> None:
    outcome = look_at(b"", close=False, timeout_ns=NS_PER_S // 2)
    assert isinstance(outcome, Failed) and outcome.reason.startswith("timeout")


def test_password_that_others_may_read(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("secret")
    path.chmod(0o644)
    params = postgresql.PostgresqlParams(password=f"file:{path}")
    outcome = postgresql.PROBE.sampler(params, "fra-1", HERE, Schedule(NS_PER_S, NS_PER_S))()
    assert isinstance(outcome, Failed) and "nobody but its owner" in outcome.reason


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"password": "secret"}, "no reference"),
        ({"ca_file": "/etc/ca.pem"}, "tls: true"),
        ({"tls": True, "cert_file": "/etc/c.pem"}, "belong together"),
    ],
)
def test_parameters_that_do_not_fit(given: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        postgresql.PostgresqlParams(**given)


@pytest.mark.parametrize("name", ["a b", "x;drop table y", "A", "a.b.c", "1a"])
def test_a_heartbeat_is_the_name_of_a_table_and_nothing_else(name: str) -> None:
    model = mirror(postgresql.PostgresqlParams)
    assert model.model_validate({"heartbeat": "gameday.heartbeat"})
    with pytest.raises(ValueError):
        model.model_validate({"heartbeat": name})


def test_a_server_without_tls_is_not_asked_in_clear(tmp_path: Path) -> None:
    given = {"tls": True, "password": "env:NO_SUCH_SECRET"}
    params = postgresql.PostgresqlParams(**given)
    outcome = postgresql.PROBE.sampler(params, "fra-1", HERE, Schedule(NS_PER_S, NS_PER_S))()
    assert isinstance(outcome, Failed) and "holds no secret" in outcome.reason
    outcome = look_at(b"N", tls=True)
    assert outcome == Failed("protocol: Server refuses SSL")


class Asked:
    """An agent's two calls, kept in a directory."""

    def __init__(self, home: Path) -> None:
        self.home, self.calls = str(home), [""][:0]

    def call(self, name: str, **given: str) -> dict[str, bool]:
        self.calls.append(name)
        if name == "carried":
            return {"there": kept.there(given["sha256"], self.home)}
        kept.keep(given["sha256"], given["content"], self.home)
        return {}


def test_only_a_vantage_whose_probes_ask_is_sent_libraries_and_only_once(tmp_path: Path) -> None:
    agent = Asked(tmp_path)
    assert carried.carry(agent, [{"kind": "icmp"}, {"kind": "http"}]) == ""
    assert agent.calls == [] and list(tmp_path.iterdir()) == []
    digest = carried.carry(agent, [{"kind": "icmp"}, {"kind": "postgresql"}])
    assert carried.carry(agent, [{"kind": "postgresql"}]) == digest
    assert agent.calls == ["carried", "carry", "carried"]
    assert carried.carry(agent, [{"kind": "galera"}, {"kind": "postgresql"}]) != digest
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import pg8000.native as n;"
        "sys.stdout.write(n.__file__)"
    )
    path = str(kept.path_of(digest, str(tmp_path)))
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code, path],
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout.startswith(path)


def test_an_archive_that_differs_is_neither_kept_nor_used(tmp_path: Path) -> None:
    content, digest = base64.b64encode(b"other").decode(), hashlib.sha256(b"one").hexdigest()
    with pytest.raises(NodeError, match="differs"):
        kept.keep(digest, content, str(tmp_path))
    with pytest.raises(NodeError, match="is not on this node"):
        kept.use(digest, str(tmp_path))
    with pytest.raises(NodeError, match="SHA-256"):
        kept.path_of("../../etc/passwd")
