# SPDX-License-Identifier: Apache-2.0
"""Probes at work against a real API server, and what controllers would write there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gameday import clock
from gameday.probes import TABLE
from gameday.probes.base import Failed, Schedule
from gameday.probes.params import build
from tests.kube.apiserver import ApiServer
from tests.unit.probes.kube_fake import Seen

PERIOD = clock.NS_PER_S
NS = "/api/v1/namespaces"
GSLBS = "/apis/k8gb.absa.oss/v1beta1/namespaces/{}/gslbs"
SCHEDULE = Schedule(2 * PERIOD, 2 * PERIOD)

Watched = tuple[Any, Seen]


@contextmanager
def watching(server: ApiServer, kind: str, kubeconfig: Path | None = None, **params: Any
             ) -> Iterator[Watched]:  # fmt: skip
    """A probe at work that looks when the test says so."""
    cluster = {"kubeconfig": str(kubeconfig or server.kubeconfig), "context": server.context,
               "in_cluster": False}  # fmt: skip
    seen = Seen()
    found = build(TABLE[kind].Params, {"site": "frankfurt", "cluster": cluster, **params})
    watch = TABLE[kind].watch(found, "frankfurt", SCHEDULE, seen.emit)
    try:
        yield watch, seen
    finally:
        watch.close()


def look(watched: Watched) -> Any:
    """One look; what it wrote."""
    watch, seen = watched
    watch.look()
    return seen.last


def until(watched: Watched, wanted: Callable[[Any], bool]) -> Any:
    """Look until one is as wanted: the server may need a moment to start or to know a right."""
    for _ in range(100):
        found = look(watched)
        if wanted(found):
            return found
        clock.sleep_until_mono(clock.mono_ns() + PERIOD // 10)
    raise AssertionError(f"never: {watched[1].all[-5:]}")


def telling(watched: Watched, change: Callable[[], object]) -> Any:
    """What the watch wrote by itself after a change; a look would have come much later."""
    seen = watched[1]
    before = len(seen.all)
    change()
    seen.wait(before + 1)
    return seen.all[before][0]


def reason(outcome: Any) -> str:
    """A failed sample's first word."""
    assert isinstance(outcome, Failed), outcome
    return outcome.reason.partition(":")[0]


def make_node(server: ApiServer, name: str, ready: str = "True") -> None:
    server.done("POST", "/api/v1/nodes", {"metadata": {"name": name}})
    set_ready(server, name, ready)


def set_ready(server: ApiServer, name: str, ready: str) -> None:
    """What the node's kubelet, or the node controller, would write."""
    status = {"status": {"conditions": [{"type": "Ready", "status": ready}]}}
    server.done("PATCH", f"/api/v1/nodes/{name}/status", status)


def make_gslb(server: ApiServer, namespace: str, health: str = "Healthy") -> None:
    server.crds("Gslb")
    server.request("POST", NS, {"metadata": {"name": namespace}})
    body = {"apiVersion": "k8gb.absa.oss/v1beta1", "kind": "Gslb", "metadata": {"name": "app"},
            "spec": {"strategy": {"type": "roundRobin"}}}  # fmt: skip
    server.done("POST", GSLBS.format(namespace), body)
    if health:
        set_health(server, namespace, health)


def set_health(server: ApiServer, namespace: str, health: str) -> None:
    """What k8gb would write."""
    served = ["198.18.10.11"] if health == "Healthy" else []
    status = {"geoTag": "fra", "serviceHealth": {"app.test": health},
              "healthyRecords": {"app.test": served}}  # fmt: skip
    server.done("PATCH", f"{GSLBS.format(namespace)}/app/status", {"status": status})


def gslb(server: ApiServer, namespace: str, kubeconfig: Path | None = None) -> Any:
    return watching(server, "kube-gslb", kubeconfig, namespace=namespace, name="app")
