# SPDX-License-Identifier: Apache-2.0
"""Probe kinds against real servers, on loopback or in two namespaces of their own.

Nothing of the lab is needed.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gameday.clock import NS_PER_MS, NS_PER_S, mono_ns, sleep_until_mono
from gameday.probes import TABLE
from gameday.probes.base import Failed, Outcome, Schedule, Target, Value
from gameday.probes.params import build
from tests.certificates import Authority, Pair
from tests.lab.trio import ROOT, wait_for

HERE = Target("here", ("127.0.0.1",))
SCHEDULE = Schedule(2000 * NS_PER_MS, 2000 * NS_PER_MS)
READY_S = 60


def look(kind: str, target: Target = HERE, **params: Any) -> Outcome:
    """One look of a kind."""
    probe = TABLE[kind]
    found: Outcome = probe.sampler(build(probe.Params, params), "fra-1", target, SCHEDULE)()
    return found


def until_ok(kind: str, target: Target = HERE, **params: Any) -> Value:
    """The first value seen; fails where there is none for a minute."""
    end = mono_ns() + READY_S * NS_PER_S
    while True:
        found = look(kind, target, **params)
        if isinstance(found, Value):
            return found
        assert mono_ns() < end, found.reason
        sleep_until_mono(mono_ns() + 50 * NS_PER_MS)


def free_port() -> int:
    """A TCP port of loopback that nobody has."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@dataclass(frozen=True)
class Etcd:
    """A member that asks its clients for certificates."""

    port: int
    metrics_port: int
    authority: Authority
    client: Pair

    @property
    def tls(self) -> dict[str, Any]:
        """What a probe is told to be let in."""
        return {
            "port": self.port, "ca_file": str(self.authority.ca),
            "cert_file": str(self.client.cert), "key_file": str(self.client.key),
        }  # fmt: skip


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    """One real member with client certificates, on loopback."""
    directory = tmp_path_factory.mktemp("etcd")
    authority = Authority(directory)
    server, client = authority.sign("127.0.0.1"), authority.sign("client")
    one = Etcd(free_port(), free_port(), authority, client)
    peer = f"http://127.0.0.1:{free_port()}"
    with open(directory / "log", "wb") as log:
        process = subprocess.Popen(
            [
                "etcd", "--name=one", f"--data-dir={directory}/data",
                f"--listen-client-urls=https://127.0.0.1:{one.port}",
                f"--advertise-client-urls=https://127.0.0.1:{one.port}",
                f"--listen-metrics-urls=http://127.0.0.1:{one.metrics_port}",
                f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=one={peer}", "--client-cert-auth",
                f"--trusted-ca-file={authority.ca}", f"--cert-file={server.cert}",
                f"--key-file={server.key}",
            ],
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        until_ok("etcd-write", **one.tls)
        yield one
    finally:
        process.kill()
        process.wait()


def test_etcd_writes_and_reads_over_tls(etcd: Etcd) -> None:
    first, second = until_ok("etcd-write", **etcd.tls), until_ok("etcd-write", **etcd.tls)
    assert second.value["revision"] > first.value["revision"]
    for serializable in (False, True):
        read = until_ok("etcd-read", serializable=serializable, **etcd.tls)
        assert read.value == {k: second.value["revision"] for k in ("revision", "mod_revision")}
    status = until_ok("etcd-status", **etcd.tls).value
    assert status["leader"] == status["member"] != "0"
    assert status["term"] >= 2
    assert status["raft_lag"] == status["raft_index"] - status["index"] >= 0


def test_etcd_counts_itself_in_integers(etcd: Etcd) -> None:
    before = until_ok("etcd-metrics", **etcd.tls).value
    assert before["leader_changes"] == 1
    assert before["heartbeat_send_failures"] == 0
    until_ok("etcd-write", **etcd.tls)
    plain = until_ok("etcd-metrics", port=etcd.metrics_port).value
    assert plain["wal_fsyncs"] > before["wal_fsyncs"]
    assert plain["wal_fsync_ns"] > before["wal_fsync_ns"] > 0
    assert all(type(value) is int for value in plain.values())


def test_etcd_credentials_that_do_not_fit_say_which(etcd: Etcd, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "other authority")
    other = stranger.sign("client")
    ca = str(etcd.authority.ca)
    cases = {
        "credentials: ca_file /nowhere: No such file": {"ca_file": "/nowhere"},
        "credentials: key_file /nowhere: No such file": {**etcd.tls, "key_file": "/nowhere"},
        "do not fit": {**etcd.tls, "key_file": str(other.key)},
        "certificate: unable to get local issuer": {**etcd.tls, "ca_file": str(stranger.ca)},
        "certificate: Hostname mismatch": {**etcd.tls, "server_name": "etcd.test"},
        # The server's alert says why, unless the end of the connection is seen first.
        "tls: ": {"ca_file": ca},
        "tls:": {"ca_file": ca, "cert_file": str(other.cert), "key_file": str(other.key)},
    }
    for word, params in cases.items():
        found = look("etcd-write", **{"port": etcd.port, **params})
        assert isinstance(found, Failed) and word in found.reason, (word, found)
        assert "PRIVATE" not in found.reason


ECHO = """
import socket, sys
one = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
one.bind(("::", 7))
while True:
    data, source = one.recvfrom(2048)
    one.sendto(data, source)
"""
LOOK = (
    "import sys, json; from tests.lab.trio import look_here;"
    "sys.stdout.write(json.dumps(look_here(*sys.argv[1:3], json.loads(sys.argv[3]))))"
)


@dataclass(frozen=True)
class Ends:
    """Two namespaces with a wire between them; the far one has a UDP echo service."""

    near: str
    far: str
    addresses: dict[int, str]

    def look(self, kind: str, over: int, **params: Any) -> dict[str, Any] | None:
        """One look from the near end at the far one."""
        done = subprocess.run(
            ["ip", "netns", "exec", self.near, sys.executable, "-c", LOOK,
             self.addresses[over], kind, json.dumps(params)],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, capture_output=True,
        )  # fmt: skip
        found: dict[str, Any] | None = json.loads(done.stdout)
        return found


def ip(*argv: str) -> None:
    """iproute2, which must succeed."""
    subprocess.run(["ip", *argv], check=True, capture_output=True)


@pytest.fixture(scope="module")
def ends() -> Iterator[Ends]:
    """IPv4 and IPv6 between two ends."""
    names = [f"gdp{os.getpid()}{word}" for word in ("near", "far")]
    one = Ends(names[0], names[1], {4: "198.18.78.2", 6: "fd78::2"})
    echo = None
    try:
        for name in names:
            ip("netns", "add", name)
        ip("-n", one.near, "link", "add", "wire", "type", "veth", "peer", "wire", "netns", one.far)
        for at, name in enumerate(names, start=1):
            ip("-n", name, "address", "add", f"198.18.78.{at}/30", "dev", "wire")
            ip("-n", name, "address", "add", f"fd78::{at}/64", "dev", "wire", "nodad")
            ip("-n", name, "link", "set", "wire", "up")
            ip("-n", name, "link", "set", "lo", "up")
        echo = subprocess.Popen(["ip", "netns", "exec", one.far, sys.executable, "-c", ECHO])
        wait_for(lambda: one.look("udp-echo", 4) is not None, "the echo service answers")
        wait_for(lambda: one.look("rtt-mesh", 6) is not None, "IPv6 works")
        yield one
    finally:
        if echo is not None:
            echo.kill()
            echo.wait()
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


@pytest.mark.parametrize("family", [4, 6])
def test_round_trips_over_a_wire(ends: Ends, family: int) -> None:
    echo = ends.look("rtt-mesh", family, family=family)
    assert echo is not None
    assert 0 < echo["wait_ns"] <= echo["rtt_ns"], "the part that the prober spent is of the whole"
    if family == 4:
        assert ends.look("icmp", family) is not None
    back = ends.look("udp-echo", family)
    assert back is not None and back["number"] == 0 and back["rtt_ns"] > 0
    assert ends.look("tcp-connect", family, port=7) is None, "refused: no TCP there"


def test_a_wire_that_is_cut_gives_no_answer(ends: Ends) -> None:
    ip("-n", ends.far, "link", "set", "wire", "down")
    try:
        for kind, params in (("rtt-mesh", {}), ("udp-echo", {}), ("tcp-connect", {"port": 7})):
            assert ends.look(kind, 4, **params) is None
    finally:
        ip("-n", ends.far, "link", "set", "wire", "up")
