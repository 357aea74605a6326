# SPDX-License-Identifier: Apache-2.0
"""Whole runs against a real API server: from the command line to the report, whatever dies.

No node is reached by SSH: faults and probes are all of the controller's own host. The site's
controllers are the lab's, its kubelet and the world outside are played (tests/kube/played.py), and
users' requests, name servers, leases, guards and API server are real.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gameday.clock import NS_PER_S, mono_ns, wall_ns
from gameday.errors import EXIT_UNKNOWN
from gameday.faults.kube_marks import KEY
from tests.busy import LATE_S, until
from tests.kube.apiserver import ApiServer
from tests.kube.leases import wait
from tests.kube.played import DEPLOYMENT, FLEET, World, site_at_work
from tests.kube.runs import PAUSED, SCALED, SCALED_AT_S, Operator

REPO = f"{FLEET}/gitrepos/platform"
SETTLED_S = 60

TOOK_NS = 1 * NS_PER_S
"""A request begins at the user's end before it is at the ingress, by its time-out at most."""

BACK_S = 60
"""As in test_deaths, and the run asks once a second beside the guards."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ApiServer]:
    """One of its own: it is stopped here."""
    with site_at_work(tmp_path / "site", World.frankfurt) as one:
        yield one


@pytest.fixture
def world(server: ApiServer) -> Iterator[World]:
    with World(server) as one:
        wait(lambda: one.settled, SETTLED_S, lambda: one.trouble)
        yield one


@pytest.fixture
def operator(server: ApiServer, world: World, tmp_path: Path) -> Iterator[Operator]:
    one = Operator(server, world, tmp_path)
    yield one
    one.close()


def as_it_was(server: ApiServer) -> bool:
    """Whether the ingress is back, Fleet goes on, and no object carries a mark."""
    scale, repo = server.done("GET", DEPLOYMENT), server.done("GET", REPO)
    marked = any(KEY in (one["metadata"].get(part) or {}) for one in (scale, repo)
                 for part in ("annotations", "labels"))  # fmt: skip
    return scale["spec"]["replicas"] == 1 and not repo["spec"].get("paused") and not marked


def held(server: ApiServer) -> bool:
    """Whether both faults are in effect."""
    scale, repo = server.done("GET", DEPLOYMENT), server.done("GET", REPO)
    return scale["spec"]["replicas"] == 0 and bool(repo["spec"].get("paused"))


def objectives(report: dict[str, Any]) -> dict[str, Any]:
    return {one["name"]: one["measurement"] for one in report["objectives"]}


def in_effect(
    server: ApiServer, operator: Operator
) -> tuple[subprocess.Popen[str], dict[str, dict[str, Any]]]:
    """A run in the middle of its faults, and its leases."""
    process = operator.start()
    operator.wait_step("faults", process)
    leases = operator.leases()
    until(leases[SCALED]["fire_at_ns"])
    wait(lambda: held(server), LATE_S, lambda: operator.said)
    return process, leases


def test_a_run_of_kubernetes_alone_to_its_report(
    server: ApiServer, world: World, operator: Operator
) -> None:
    code = operator.whole()
    assert code == 0, (code, operator.said)
    report = operator.report()
    assert report["verdict"]["verdict"] == "met", operator.said
    assert report["run"]["nodes"] == ["controller"]
    assert "arm 2 leases on the controller's host;" in operator.said
    # Proven clean, by what the host says and by what stands in the cluster.
    assert report["clean"] == {"proven": True, "touched": ["controller"], "left": {},
                               "not_read_back": [], "foreign_changed": {}}  # fmt: skip
    assert "Proven clean: controller, which held every lease, was read back." in operator.said
    assert as_it_was(server)
    found = objectives(report)
    for name, one in found.items():
        assert one["status"] != "unknown" and one["lo"] is not None, (name, one["reason"])
        assert 0 <= one["lo"] <= one["hi"] <= 15 * NS_PER_S, name
    # Layer after layer lets go, and users last; the API server answers all along and says nothing.
    assert found["time-to-withdraw endpoints"]["lo"] <= found["time-to-withdraw gslb"]["hi"]
    assert found["time-to-withdraw gslb"]["lo"] <= found["client-withdrawal users"]["hi"]
    assert found["false-green api"]["lo"] > 0, "it served while users failed"
    assert found["false-green gslb"]["hi"] < found["false-green api"]["hi"], "k8gb knew sooner"
    # A truth that the ingress knows by itself: when the last user came before the window's end.
    fault = next(one for one in report["faults"] if one["name"] == SCALED)
    (onset_lo, onset_hi), (end_lo, end_hi) = fault["onset"], fault["end"]
    last = max(one for one in world.came if one < end_lo)
    left = found["client-withdrawal users"]
    assert left["lo"] <= last - onset_lo and last - onset_hi <= left["hi"] + TOOK_NS
    assert any(one > end_hi for one in world.came), "they come back"
    assert operator.gameday("verify", operator.run.name).returncode == 0
    told = operator.gameday("history")
    assert f"kube-only  objectives met  {operator.run.name}" in told.stdout


def test_gameday_is_killed_in_the_middle(server: ApiServer, operator: Operator) -> None:
    """Its leases end in time all the same, and every command says what is known."""
    process, leases = in_effect(server, operator)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert held(server)
    done = operator.gameday("status")
    assert done.returncode == EXIT_UNKNOWN and "its controller is dead" in done.stdout
    done = operator.gameday("history")
    assert f"{operator.run.name}: has not ended: gameday status" in done.stderr
    swept = operator.gameday("sweep", "--clusters", "-i", str(operator.inventory), "--yes")
    assert swept.returncode == 0 and "until 20" in swept.stdout, swept
    assert "clean: nothing of gameday is overdue in 1 cluster" in swept.stdout
    for one in leases.values():
        until(one["expire_at_ns"])
    wait(lambda: as_it_was(server), LATE_S, lambda: [operator.host.trouble(one)
                                                     for one in leases.values()])  # fmt: skip
    assert all(operator.host.ended(one) for one in leases.values())
    swept = operator.gameday("sweep", "--clusters", "-i", str(operator.inventory), "--yes")
    assert swept.returncode == 0 and "until 20" not in swept.stdout, swept
    done = operator.gameday("recover")
    assert done.returncode == 0, done
    report = operator.report()
    assert report["verdict"]["verdict"] == "aborted"
    assert report["abort"]["by"] == "controller-died"
    assert report["clean"]["proven"] and not report["clean"]["left"]
    # A busy machine may wake a guard late, and then the report says so; never by more than this.
    late = [one for one in report["findings"] if "after its time" in one]
    assert all(float(one.partition("[")[2].partition(",")[0]) <= LATE_S for one in late), late
    faults = {one["name"]: one for one in report["faults"]}
    for name, lease in leases.items():
        lasted_s = (lease["expire_at_ns"] - lease["fire_at_ns"]) // NS_PER_S
        lo, hi = (faults[name]["end"][i] - faults[name]["onset"][1 - i] for i in (0, 1))
        assert lo <= (lasted_s + LATE_S) * NS_PER_S and hi >= (lasted_s - LATE_S) * NS_PER_S
    told = operator.gameday("history")
    assert f"kube-only  aborted  {operator.run.name}" in told.stdout


def test_an_api_server_that_is_down_at_the_end(server: ApiServer, operator: Operator) -> None:
    """The run waits for it, and its report says how late everything was undone."""
    process, leases = in_effect(server, operator)
    server.stop()
    until(max(one["expire_at_ns"] for one in leases.values()), LATE_S)
    assert process.poll() is None, operator.said
    back = mono_ns()
    server.start()
    wait(lambda: as_it_was(server), BACK_S, lambda: operator.said)
    undone = mono_ns()
    code = process.wait()
    assert code in (0, 1, EXIT_UNKNOWN), (code, operator.said)
    report = operator.report()
    assert report["clean"]["proven"], report["clean"]
    page = (operator.run / "report.html").read_text(encoding="utf-8")
    away = wall_ns() - mono_ns()
    for name in (PAUSED, SCALED):
        (told,) = [one for one in report["findings"] if one.startswith(f"{name}: lease ")]
        assert told in page and "after its time" in told
        lo, hi = (float(one) for one in told.partition("[")[2].partition("]")[0].split(", "))
        expired = leases[name]["expire_at_ns"] - away
        assert LATE_S / 2 < lo <= (undone - expired) / NS_PER_S, told
        assert hi >= (back - expired) / NS_PER_S, told
    reasons = " ".join(report["verdict"]["reasons"])
    assert "did not hold" not in reasons, "what could not be read is not called out of effect"
    # While nobody could ask the cluster, nothing was said of it: neither healthy nor withdrawn.
    api = objectives(report)["api outage"]
    assert api["hi"] is None or api["hi"] >= SCALED_AT_S * NS_PER_S
