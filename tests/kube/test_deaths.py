# SPDX-License-Identifier: Apache-2.0
"""Whatever dies, nothing stays cordoned, scaled, denied or paused: processes and an API server.

Everything here is real: the agent of the controller's host with its guards, as processes, and
kube-apiserver 1.20 with its etcd. The reboot alone is played: its guards are killed, the boot that
the receipt names is another one, and what the boot unit starts is started.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gameday.clock import NS_PER_S, wall_ns
from tests.busy import LATE_S, until
from tests.kube.apiserver import ApiServer
from tests.kube.leases import KINDS, Host, Kind, left_s, wait
from tests.kube.relay import Relay, through

TOGETHER_S = 35
"""Six leases armed at once: as many interpreters, each with three guards."""

BACK_S = 30
"""Guards ask every 5 s, and each request to a server that has just begun may time out after as
long; one that is ready by its own word has been seen to take its time on a busy machine."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ApiServer]:
    """One of its own: it is stopped and hangs here."""
    with ApiServer(tmp_path / "server") as one:
        one.crds("Cluster", "Application", "ManifestWork")
        yield one


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    one = Host(tmp_path)
    yield one
    one.close()


def named(kind: str) -> str:
    return f"{kind.replace('.', '-')}-{os.urandom(3).hex()}"


@pytest.mark.parametrize("dies", ["gameday", "keep", "keep, reap"])
def test_every_kind_is_undone_whatever_dies(server: ApiServer, host: Host, dies: str) -> None:
    owns = [Kind(server, kind, named(kind)) for kind in KINDS]
    fire = (wall_ns() // NS_PER_S + TOGETHER_S) * NS_PER_S
    leases = [{**own.lease(), "fire_at_ns": fire, "expire_at_ns": fire + 12 * NS_PER_S}
              for own in owns]  # fmt: skip
    with ThreadPoolExecutor(2) as pool:
        holders = list(pool.map(host.arm, leases))
    assert not any(own.changed() for own in owns), "nothing before the window"
    until(fire)
    wait(lambda: all(own.changed() for own in owns), left_s(leases[0]),
         lambda: {one["kind"]: host.trouble(one) for one in leases})  # fmt: skip
    for holder in holders:
        os.killpg(holder.pid, signal.SIGKILL)
        holder.wait()
    for lease in leases:
        if dies != "gameday":
            host.kill_guards(lease, *dies.split(", "))
    assert all(own.changed() for own in owns)
    expire = leases[0]["expire_at_ns"]
    until(expire)
    wait(lambda: not any(own.changed() for own in owns), LATE_S,
         lambda: {own.kind: own.changed() for own in owns})  # fmt: skip
    wait(lambda: all(host.ended(one) for one in leases), LATE_S, lambda: "not in the ledger")
    assert host.ask("audit") == {"left": []}
    for lease in leases:
        found = host.ask("observe", lease=lease["id"])
        assert (found["state"], found["foreign_changed"]) == ("absent", [])


@pytest.mark.parametrize("how", ["refuses", "hangs"])
def test_an_api_server_that_is_down_at_the_end(server: ApiServer, host: Host, how: str) -> None:
    """It is undone once it is back, and the record knows how late that was."""
    own = Kind(server, "kube-scale", named("scale"))
    lease = own.lease(for_s=10)
    holder = host.arm(lease)
    until(lease["fire_at_ns"])
    wait(own.changed, left_s(lease), lambda: host.trouble(lease))
    (server.stop if how == "refuses" else server.pause)()
    until(lease["expire_at_ns"], 3)
    os.killpg(holder.pid, signal.SIGKILL)
    holder.wait()
    answer = host.ask("disarm", lease=lease["id"])
    assert "refused" in answer["error"] or "timeout" in answer["error"], answer
    assert not host.ended(lease)
    (left,) = host.ask("audit")["left"][:1]
    assert "is open" in left, "not called clean"
    # The keeper dies too while it waits; others do not need it.
    host.kill_guards(lease, "keep")
    back = wall_ns()
    (server.start if how == "refuses" else server.resume)()
    wait(lambda: not own.changed(), BACK_S, lambda: host.trouble(lease))
    wait(lambda: host.ended(lease), LATE_S, lambda: host.trouble(lease))
    found = host.ask("disarm", lease=lease["id"])["observation"]
    assert (found["state"], found["foreign_changed"]) == ("absent", [])
    receipt = json.loads((host.entries / f"{lease['id']}.ended.json").read_text())
    lo, hi = (moment - receipt["expire_mono_ns"] for moment in found["gone"])
    assert (back - lease["expire_at_ns"]) - 8 * NS_PER_S <= lo <= hi
    assert lo > NS_PER_S, "the report's lower bound counts from the last try that changed nothing"


def test_a_reboot_of_the_controllers_host(server: ApiServer, host: Host) -> None:
    """All guards are gone at once; what the boot unit starts ends it, when the server is back."""
    own = Kind(server, "kube-pause.fleet", named("fleet"))
    lease = own.lease(for_s=60)
    holder = host.arm(lease)
    until(lease["fire_at_ns"])
    wait(own.changed, LATE_S, lambda: host.trouble(lease))
    host.kill_guards(lease, "keep", "reap", "sleeper")
    os.killpg(holder.pid, signal.SIGKILL)
    holder.wait()
    path = host.entries / f"{lease['id']}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "boot_id": "an-earlier-boot"}))
    server.stop()
    (program,) = (host.base / "agent").iterdir()
    boot = subprocess.Popen([sys.executable, "-I", "-S", str(program), "boot"],
                            env=host.environment)  # fmt: skip
    try:
        wait(lambda: "refused" in host.trouble(lease), 20, lambda: host.trouble(lease))
        assert not host.ended(lease)
        server.start()
        assert boot.wait(timeout=60) == 0
    finally:
        boot.kill()
    assert not own.changed() and host.ended(lease)


def test_an_api_server_that_is_down_when_the_window_begins(
    server: ApiServer, host: Host, tmp_path: Path
) -> None:
    """The fault begins late, which the record knows; nothing ends later for it."""
    own = Kind(server, "kube-cordon", named("cordon"))
    relay = Relay(server.port)
    lease = own.lease(for_s=15, kubeconfig=through(relay, server, tmp_path / "config"))
    holder = host.arm(lease)
    relay.close()
    until(lease["fire_at_ns"], 2)
    assert "refused" in host.trouble(lease) and not own.changed()
    again = Relay(server.port, relay.port)
    try:
        wait(own.changed, left_s(lease), lambda: host.trouble(lease))
        until(lease["expire_at_ns"])
        wait(lambda: not own.changed(), LATE_S, lambda: host.trouble(lease))
        found: Any = host.ask("disarm", lease=lease["id"])["observation"]
    finally:
        again.close()
    receipt = json.loads((host.entries / f"{lease['id']}.ended.json").read_text())
    assert found["began"][0] - receipt["fire_mono_ns"] > NS_PER_S
    os.killpg(holder.pid, signal.SIGKILL)
    holder.wait()
