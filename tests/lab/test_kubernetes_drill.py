# SPDX-License-Identifier: Apache-2.0
"""Drills on a site's cluster, to their reports; what they do is seen by a client of the test's own.

Played by the lab, not real: what k8gb and Fleet write. Real: the API servers and their watches, the
ingress that serves only while its Deployment has a replica, the name servers, the users.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gameday import clock
from gameday.lab import Lab
from gameday.lab.parts import kubernetes
from gameday.record import kinds
from tests.busy import LATE_S, until
from tests.lab.clusters import DEPLOYMENT, GIT_REPO, KUBE_PARTS, Clusters, serves
from tests.lab.drill import ROOT, RUN_TIMEOUT_S, Drill, wait

SHIPPED = ROOT / "experiments" / "kube-ingress-scaled-to-zero-frankfurt.yaml"
SITE = "frankfurt"
APISERVER = kubernetes.sites()[SITE].name

HELD_S = 6
"""So long beyond the lease's end does the API server answer nobody."""


@pytest.fixture
def kube_drill(kube_lab: Lab, tmp_path: Path) -> Iterator[Drill]:
    """gameday as a user has it, with the lab that has clusters, which is well."""
    kube_lab.up(**KUBE_PARTS)
    one = Drill(kube_lab, tmp_path)
    yield one
    one.close()


def shortened(drill: Drill) -> Path:
    """The drill as it ships, but for its times."""
    data = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    data["steady_state"]["for_s"] = 2
    pause, scale = data["faults"]
    pause["for_s"], scale["at_s"], scale["for_s"] = 22, 2, 16
    data["recover_s"] = 10
    path = drill.home / "x.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return path


def state(clusters: Clusters) -> dict[str, Any]:
    """What the drill changes, and what stands on the objects."""
    found: dict[str, Any] = {}
    for what, path in (("ingress", DEPLOYMENT), ("fleet", GIT_REPO)):
        one = clusters.get(SITE, path)
        kept = {key: one["metadata"].get(key) for key in ("annotations", "labels")}
        found[what] = {"spec": one["spec"], **kept}
    return found


def log_of(drill: Drill) -> str:
    """What the run said so far."""
    return (drill.home / "run.log").read_text(encoding="utf-8")


def at_zero(drill: Drill, clusters: Clusters) -> subprocess.Popen[str]:
    """The drill, begun, once it has scaled the ingress to zero."""
    process = drill.start(shortened(drill))
    wait(lambda: state(clusters)["ingress"]["spec"]["replicas"] == 0, 120, lambda: log_of(drill))
    return process


def ends_ns(drill: Drill) -> list[int]:
    """When its two leases end, by the wall clock."""
    armed = [event["data"]["lease"] for event in drill.events() if event["kind"] == kinds.ARMED]
    assert len(armed) == 2
    return [one["expire_at_ns"] for one in armed]


def measured(report: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Bounds of every objective's number in seconds; all must have been measured."""
    found = {}
    for one in report["objectives"]:
        number = one["measurement"]
        assert number["status"] == "measured", one
        found[one["name"]] = number["lo"] / clock.NS_PER_S, number["hi"] / clock.NS_PER_S
    return found


def test_every_layer_has_its_own_number(kube_drill: Drill, clusters: Clusters) -> None:
    """Readiness, k8gb's status, DNS and users on one timeline; Fleet paused, and it goes on."""
    before = state(clusters)
    process = at_zero(kube_drill, clusters)
    seen = state(clusters)
    assert seen["fleet"]["spec"]["paused"] is True
    wait(lambda: not serves(kube_drill.lab, SITE), 10, lambda: "it serves without its ingress")
    code = process.wait(timeout=RUN_TIMEOUT_S)
    report = kube_drill.report()
    assert code == 0 and report["verdict"]["verdict"] == "met", log_of(kube_drill)
    assert report["clean"]["proven"] is True and state(clusters) == before
    assert [one["held"] for one in report["effect"]] == [True, True], report["effect"]

    found = measured(report)
    endpoints = found["Frankfurt's endpoints are gone"]
    names = found["name servers hand Frankfurt out no more"]
    assert endpoints[1] < names[0], "endpoints go first; name servers check every few seconds"
    users = found["DNS sent users there while they failed"]
    assert 0 < users[0] < users[1] <= names[1] + 5, found
    nodes = found["nodes were ready while users failed"]
    assert nodes[0] > 0, "no node was touched, so all the while they are false green"
    assert kube_drill.gameday("verify", str(kube_drill.run_directory)).returncode == 0


def test_controller_killed(kube_drill: Drill, clusters: Clusters) -> None:
    """Its guards give everything back on time; the report knows what it does not know."""
    before = state(clusters)
    process = at_zero(kube_drill, clusters)
    process.kill()
    process.wait()
    ends = ends_ns(kube_drill)
    until(min(ends), -1)
    assert state(clusters)["ingress"]["spec"]["replicas"] == 0, "it ended early"
    left_s = (max(ends) - clock.wall_ns()) / clock.NS_PER_S + LATE_S
    wait(lambda: state(clusters) == before, left_s, lambda: str(state(clusters)))
    done = kube_drill.gameday("recover", "--reports", str(kube_drill.reports))
    assert done.returncode == 0, done.stdout + done.stderr
    report = kube_drill.report()
    assert report["clean"]["proven"] is True and report["verdict"]["outcome"] == "aborted"
    assert state(clusters) == before
    wait(lambda: serves(kube_drill.lab, SITE), 30, lambda: "users are not served again")


def test_an_api_server_that_hangs_at_the_end(kube_drill: Drill, clusters: Clusters) -> None:
    """It is undone when the server answers again, and the report says how late that was."""
    before = state(clusters)
    process = at_zero(kube_drill, clusters)
    lab = kube_drill.lab
    assert lab.exec(APISERVER, ["pkill", "-STOP", "-x", "kube-apiserver"]).returncode == 0
    try:
        until(max(ends_ns(kube_drill)), HELD_S)
    finally:
        assert lab.exec(APISERVER, ["pkill", "-CONT", "-x", "kube-apiserver"]).returncode == 0
    code = process.wait(timeout=RUN_TIMEOUT_S)
    report = kube_drill.report()
    assert report["clean"]["proven"] is True and state(clusters) == before, log_of(kube_drill)
    assert code != 0, "nobody knows what the cluster said while it said nothing"
    late = [one for one in report["findings"] if "after its time" in one]
    assert len(late) == 2 and all(one.startswith(("fleet-paused", "ingress-gone")) for one in late)
    wait(lambda: serves(lab, SITE), 30, lambda: "users are not served again")
