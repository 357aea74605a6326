# SPDX-License-Identifier: Apache-2.0
"""Probes that watch a cluster, against a real API server: every way in which it can fail to tell.

k8gb's and the delivery tools' own controllers are not there: the tests write their status.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gameday import clock
from gameday.agent import prober
from gameday.probes import TABLE
from gameday.probes.base import Failed, Schedule, Target, Value
from gameday.probes.params import build
from gameday.record.columns import parse_lines
from tests.kube.apiserver import ApiServer
from tests.kube.relay import Relay, port_of
from tests.unit.probes.kube_fake import Seen, healthy

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


# ---- What is seen ----


def test_nodes_readiness_cordons_and_leases(apiserver: ApiServer) -> None:
    make_node(apiserver, "nodes-1")
    make_node(apiserver, "nodes-2")
    lease = {"metadata": {"name": "nodes-1"}, "spec": {"leaseDurationSeconds": 40}}
    apiserver.request("POST", NS, {"metadata": {"name": "kube-node-lease"}})
    leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
    apiserver.done("POST", leases, lease)
    with watching(apiserver, "kube-nodes", nodes=["nodes-1", "nodes-2"]) as watched:
        found = look(watched)
        assert found == Value({
            "healthy": True, "nodes": 2, "ready": 2, "not_ready": [], "cordoned": [], "late": [],
            "lease_age_s": 0, "watch": "",
        })  # fmt: skip
        found = telling(watched, lambda: set_ready(apiserver, "nodes-2", "Unknown"))
        assert healthy(found) is False and found.value["not_ready"] == ["nodes-2"]
        first, change = watched[1].all[:2]
        assert first[2] <= change[1] <= change[2], "from the end of the look that saw it ready"
        cordon = {"spec": {"unschedulable": True}}
        found = telling(watched, lambda: apiserver.done("PATCH", "/api/v1/nodes/nodes-1", cordon))
        assert found.value["cordoned"] == ["nodes-1"]
    with watching(apiserver, "kube-nodes", nodes=["nodes-1", "nobody"], min_ready=1) as watched:
        found = look(watched)
        assert healthy(found) is False and found.value["not_ready"] == ["nobody"]


def test_endpoints_replicas_and_pods(apiserver: ApiServer) -> None:
    apiserver.done("POST", NS, {"metadata": {"name": "pods"}})
    labels = {"app": "ingress"}
    pod = {"containers": [{"name": "c", "image": "i"}]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    deployments = "/apis/apps/v1/namespaces/pods/deployments"
    apiserver.done("POST", deployments, {"metadata": {"name": "ingress"}, "spec": spec})
    apiserver.done("PATCH", f"{deployments}/ingress/status",
                   {"status": {"replicas": 2, "readyReplicas": 2}})  # fmt: skip
    slices = "/apis/discovery.k8s.io/v1beta1/namespaces/pods/endpointslices"
    one = {
        "metadata": {"name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.1.0.1"], "conditions": {"ready": True}},
                      {"addresses": ["10.1.0.2"], "conditions": {"ready": False}}],
    }  # fmt: skip
    apiserver.done("POST", slices, one)
    pods = f"{NS}/pods/pods"
    apiserver.done("POST", pods, {"metadata": {"name": "p-1", "labels": labels}, "spec": pod})
    params = {"namespace": "pods", "service": "web", "workload": "Deployment/ingress",
              "pods": "app=ingress"}  # fmt: skip
    with watching(apiserver, "kube-pods", **params) as watched:
        assert look(watched) == Value({
            "healthy": True, "ready": 1, "endpoints_ready": 1, "replicas_ready": 2,
            "replicas_wanted": 2, "pods_ready": 0, "pods_not_ready": ["p-1"], "watch": "",
        })  # fmt: skip
        scale = {"spec": {"replicas": 0}}
        found = telling(
            watched, lambda: apiserver.done("PATCH", f"{deployments}/ingress/scale", scale)
        )
        assert found.value["replicas_wanted"] == 0 and healthy(found) is True
        gone = {"endpoints": []}
        found = telling(watched, lambda: apiserver.done("PATCH", f"{slices}/web-1", gone))
        assert healthy(found) is False


def test_gslb_of_which_nobody_has_written_is_unknown(apiserver: ApiServer) -> None:
    make_gslb(apiserver, "gslb-a", health="")
    with gslb(apiserver, "gslb-a") as watched:
        assert reason(look(watched)) == "no-status"
        found = telling(watched, lambda: set_health(apiserver, "gslb-a", "Healthy"))
        assert healthy(found) is True and found.value["addresses"] == ["198.18.10.11"]
        found = telling(watched, lambda: set_health(apiserver, "gslb-a", "NotFound"))
        assert healthy(found) is False and found.value["hosts"] == ["app.test: NotFound"]
        apiserver.done("DELETE", f"{GSLBS.format('gslb-a')}/app")
        assert healthy(look(watched)) is False


@pytest.mark.parametrize(
    ("tool", "path", "kind", "body", "good", "paused"),
    [
        ("fleet", "/apis/fleet.cattle.io/v1alpha1/namespaces/tools/gitrepos", "GitRepo",
         {"spec": {"repo": "https://git.test/fleet"}},
         {"conditions": [{"type": "Ready", "status": "True"}]}, {"spec": {"paused": True}}),
        ("fleet", "/apis/fleet.cattle.io/v1alpha1/namespaces/tools/clusters", "Cluster",
         {"spec": {}},
         {"conditions": [{"type": "Ready", "status": "True"}]}, {"spec": {"paused": True}}),
        ("argocd", "/apis/argoproj.io/v1alpha1/namespaces/tools/applications", "Application",
         {"spec": {"project": "default", "source": {"repoURL": "https://git.test/x"},
                   "destination": {"namespace": "x"},
                   "syncPolicy": {"automated": {"prune": True}}}},
         {"health": {"status": "Healthy"}, "sync": {"status": "Synced"}},
         {"spec": {"syncPolicy": {"automated": None}}}),
        ("ocm", "/apis/cluster.open-cluster-management.io/v1/managedclusters", "ManagedCluster",
         {"spec": {"hubAcceptsClient": True}},
         {"conditions": [{"type": "ManagedClusterConditionAvailable", "status": "True",
                          "reason": "x", "message": "x", "lastTransitionTime":
                          "2026-01-01T00:00:00Z"}]},
         {"spec": {"hubAcceptsClient": False}}),
    ],
    ids=["fleet-gitrepo", "fleet-cluster", "argocd", "ocm"],
)  # fmt: skip
def test_delivery_tools_say_how_they_do_and_whether_they_are_paused(  # noqa: PLR0917
    apiserver: ApiServer, tool: str, path: str, kind: str, body: dict[str, Any],
    good: dict[str, Any], paused: dict[str, Any],
) -> None:  # fmt: skip
    apiserver.crds(kind)
    apiserver.request("POST", NS, {"metadata": {"name": "tools"}})
    group = path.removeprefix("/apis/").split("/")
    named = {"apiVersion": f"{group[0]}/{group[1]}", "kind": kind, "metadata": {"name": "site"}}
    apiserver.done("POST", path, {**named, **body})
    status = f"{path}/site/status"
    if apiserver.request("GET", status)[0] != 200:
        # Argo CD's Application has no status subresource: its status is written with the rest.
        status = f"{path}/site"
    params = {"tool": tool, "namespace": "tools", "objects": [f"{kind}/site"]}
    with watching(apiserver, "kube-delivery", **params) as watched:
        found = look(watched)
        assert healthy(found) is False and found.value["unhealthy"] == [f"{kind}/site"]
        found = telling(watched, lambda: apiserver.done("PATCH", status, {"status": good}))
        assert healthy(found) is True and found.value["paused"] == []
        found = telling(watched, lambda: apiserver.done("PATCH", f"{path}/site", paused))
        assert healthy(found) is True and found.value["paused"] == [f"{kind}/site"]


def test_events_are_received_and_counted_again(apiserver: ApiServer) -> None:
    apiserver.done("POST", NS, {"metadata": {"name": "events"}})
    path = f"{NS}/events/events"

    def event(name: str, why: str) -> None:
        about = {"kind": "Pod", "name": "web-0", "namespace": "events"}
        apiserver.done("POST", path, {
            "metadata": {"name": name}, "involvedObject": about, "reason": why, "count": 1,
            "type": "Warning", "message": "probe failed",
        })  # fmt: skip

    event("old", "Before")
    heard: list[tuple[str, Any, int, int]] = []
    more = threading.Condition()

    def emit(target: str, outcome: Any, since_ns: int | None = None) -> None:
        with more:
            now = clock.mono_ns()
            heard.append((target, outcome, since_ns if since_ns is not None else now, now))
            more.notify_all()

    cluster = {"kubeconfig": str(apiserver.kubeconfig), "context": apiserver.context,
               "in_cluster": False}  # fmt: skip
    kind = TABLE["kube-events"]
    params = build(kind.Params, {"site": "frankfurt", "namespace": "events", "cluster": cluster})
    ears = kind.listen(params, emit)
    try:
        assert ears.trouble() == "" and heard == [], "what was there before is no news"
        event("new", "Unhealthy")
        with more:
            assert more.wait_for(lambda: heard, 10)
        target, outcome, since, now = heard[0]
        assert (target, outcome.value["message"]) == ("Unhealthy", "probe failed")
        assert "object=Pod/web-0" in outcome.value["labels"] and since < now
        apiserver.done("PATCH", f"{path}/new", {"count": 2})
        with more:
            assert more.wait_for(lambda: len(heard) == 2, 10)
        assert heard[1][1].value["count"] == 2
        apiserver.stop()
        assert ears.trouble().startswith("refused: events")
    finally:
        ears.close()
        apiserver.start()


# ---- What is not ----


def test_the_api_server_is_down_and_comes_back(apiserver: ApiServer) -> None:
    make_gslb(apiserver, "down")
    with gslb(apiserver, "down") as watched:
        assert healthy(look(watched)) is True
        apiserver.stop()
        try:
            assert reason(look(watched)) == "refused"
            assert reason(look(watched)) == "refused", "it is not taken for as it was"
        finally:
            apiserver.start()
        assert healthy(until(watched, lambda one: isinstance(one, Value))) is True
        found = telling(watched, lambda: set_health(apiserver, "down", "Unhealthy"))
        assert healthy(found) is False, "the watch is open again"


def test_a_version_that_is_too_old_is_a_hole_that_is_said(apiserver: ApiServer) -> None:
    make_gslb(apiserver, "gone")
    with gslb(apiserver, "gone") as watched:
        assert healthy(look(watched)) is True
        apiserver.stop()
        apiserver.start()
        seen = watched[1]
        seen.wait(2)
        outcome, since, _ = seen.all[1]
        assert reason(outcome) == "gone" and since >= seen.all[0][1]
        set_health(apiserver, "gone", "Unhealthy")
        assert healthy(until(watched, lambda one: isinstance(one, Value))) is False
        found = telling(watched, lambda: set_health(apiserver, "gone", "Healthy"))
        assert healthy(found) is True


def test_a_server_that_hangs_without_an_error_is_unknown(apiserver: ApiServer) -> None:
    make_gslb(apiserver, "hang")
    with gslb(apiserver, "hang") as watched:
        assert healthy(look(watched)) is True
        apiserver.pause()
        try:
            began = clock.mono_ns()
            assert reason(look(watched)) == "timeout"
            assert clock.mono_ns() - began < 2 * SCHEDULE.timeout_ns
            assert not any(healthy(one[0]) for one in watched[1].all[1:]), "never green"
        finally:
            apiserver.resume()
        assert healthy(until(watched, lambda one: isinstance(one, Value))) is True
        found = telling(watched, lambda: set_health(apiserver, "hang", "Unhealthy"))
        assert healthy(found) is False


def test_a_watch_alone_that_hangs_is_found_by_the_lists(
    apiserver: ApiServer, tmp_path: Path
) -> None:
    make_gslb(apiserver, "silent")
    relay = Relay(port_of(apiserver.url))
    file = tmp_path / "kubeconfig"
    text = apiserver.kubeconfig.read_text()
    file.write_text(text.replace(apiserver.url, f"https://127.0.0.1:{relay.port}"))
    try:
        with gslb(apiserver, "silent", file) as watched:
            assert healthy(look(watched)) is True
            found = telling(watched, lambda: set_health(apiserver, "silent", "Unhealthy"))
            assert healthy(found) is False
            assert relay.freeze() == 2, "the looks' connection, and the watch's"
            set_health(apiserver, "silent", "Healthy")
            assert reason(look(watched)) == "timeout"
            # New connections work, and the watch hangs on; its state is known from lists.
            assert healthy(look(watched)) is True
            set_health(apiserver, "silent", "Unhealthy")
            found = look(watched)
            assert healthy(found) is False
            assert found.value["watch"] == "gslbs: hung"
            until(watched, lambda one: one.value["watch"] == "")
            found = telling(watched, lambda: set_health(apiserver, "silent", "Healthy"))
            assert healthy(found) is True, "it was opened anew"
    finally:
        relay.close()


def test_an_expired_token_is_read_again(apiserver: ApiServer, tmp_path: Path) -> None:
    make_gslb(apiserver, "token")
    rule = {"apiGroups": ["k8gb.absa.oss"], "resources": ["gslbs"], "verbs": ["list", "watch"]}
    apiserver.allow("token", rule)
    old, new = apiserver.token("token", -3600), apiserver.token("token")
    file = apiserver.write_kubeconfig(tmp_path / "kubeconfig", old)
    with gslb(apiserver, "token", file) as watched:
        found = look(watched)
        assert reason(found) == "unauthorized" and old not in found.reason
        apiserver.write_kubeconfig(file, new)
        assert healthy(until(watched, lambda one: isinstance(one, Value))) is True


def test_missing_rights_are_named(apiserver: ApiServer, tmp_path: Path) -> None:
    make_gslb(apiserver, "rights")
    rule = {"apiGroups": ["k8gb.absa.oss"], "resources": ["gslbs"]}
    file = apiserver.write_kubeconfig(tmp_path / "kubeconfig", apiserver.token("rights"))
    with gslb(apiserver, "rights", file) as watched:
        found = look(watched)
        assert reason(found) == "forbidden"
        assert 'cannot list resource "gslbs"' in found.reason
        apiserver.allow("rights", {**rule, "verbs": ["list"]})
        found = until(watched, lambda one: isinstance(one, Value))
        found = until(watched, lambda one: one.value["watch"] == "gslbs: forbidden")
        set_health(apiserver, "rights", "Unhealthy")
        assert healthy(look(watched)) is False, "the list says it, without a watch"
        apiserver.allow("rights", {**rule, "verbs": ["list", "watch"]})
        until(watched, lambda one: one.value["watch"] == "")
        found = telling(watched, lambda: set_health(apiserver, "rights", "Healthy"))
        assert healthy(found) is True


def test_a_missing_crd_is_named_until_it_is_there(tmp_path: Path) -> None:
    with ApiServer(tmp_path / "bare") as bare, gslb(bare, "default") as watched:
        found = look(watched)
        assert reason(found) == "not-found" and "gslbs" in found.reason
        bare.crds("Gslb")
        assert healthy(until(watched, lambda one: isinstance(one, Value))) is False
        make_gslb(bare, "default", health="Healthy")
        assert healthy(until(watched, lambda one: isinstance(one, Value))) is True


def test_another_authority_is_a_tls_failure(apiserver: ApiServer, tmp_path: Path) -> None:
    with ApiServer(tmp_path / "other") as other:
        text = apiserver.kubeconfig.read_text().replace(apiserver.url, other.url)
        file = tmp_path / "kubeconfig"
        file.write_text(text)
        with watching(other, "kube-nodes", file) as watched:
            assert reason(look(watched)) == "tls"


def test_a_kubeconfig_that_is_not_there_is_named(apiserver: ApiServer, tmp_path: Path) -> None:
    with watching(apiserver, "kube-nodes", tmp_path / "nothing") as watched:
        found = look(watched)
        assert reason(found) == "config" and "nothing" in found.reason


def test_two_writers_on_one_object_are_each_seen(apiserver: ApiServer) -> None:
    make_gslb(apiserver, "two")
    rounds = 10
    with gslb(apiserver, "two") as watched:
        assert healthy(look(watched)) is True
        turn = threading.Barrier(2)

        def write(health: str, first: bool) -> None:
            for _ in range(rounds):
                if not first:
                    turn.wait()
                set_health(apiserver, "two", health)
                if first:
                    turn.wait()
                turn.wait()

        writers = [threading.Thread(target=write, args=("Unhealthy", True)),
                   threading.Thread(target=write, args=("Healthy", False))]  # fmt: skip
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        watched[1].wait(1 + 2 * rounds)
        told = [healthy(one[0]) for one in watched[1].all]
        assert told == [True, *[False, True] * rounds]
        ends = [one[2] for one in watched[1].all]
        assert ends == sorted(ends)


def test_the_agents_loop_keeps_the_schedule_while_nobody_answers(
    apiserver: ApiServer, tmp_path: Path
) -> None:
    make_gslb(apiserver, "loop")
    cluster = {"kubeconfig": str(apiserver.kubeconfig), "context": apiserver.context,
               "in_cluster": False}  # fmt: skip
    params = {"site": "frankfurt", "namespace": "loop", "name": "app", "cluster": cluster}
    sampler = {"node": "controller", "target": "frankfurt", "addresses": [], "peers": []}
    spec = {"name": "gslb", "kind": "kube-gslb", "period_ns": PERIOD, "timeout_ns": PERIOD,
            "params": params, "samplers": [sampler]}  # fmt: skip
    begun = clock.mono_ns()
    end = begun + 14 * PERIOD
    (tmp_path / "probes.json").write_text(json.dumps({"probes": [spec], "until_mono_ns": end}))
    loop = threading.Thread(target=prober.run, args=(tmp_path,))
    loop.start()
    clock.sleep_until_mono(begun + 4 * PERIOD)
    set_health(apiserver, "loop", "Unhealthy")
    clock.sleep_until_mono(begun + 6 * PERIOD)
    apiserver.pause()
    hung = clock.mono_ns()
    clock.sleep_until_mono(begun + 10 * PERIOD)
    apiserver.resume()
    back = clock.mono_ns()
    loop.join()
    samples = parse_lines((tmp_path / "samples.jsonl").read_bytes(), "samples")
    assert [one.seq for one in samples] == list(range(len(samples)))
    assert len(samples) >= 13, "every period has its sample, whatever the server does"
    silent = [one for one in samples if one.start_ns > hung and one.end_ns < back]
    assert len(silent) >= 2 and not any(one.ok for one in silent)
    assert {one.reason.partition(":")[0] for one in silent} == {"timeout"}
    assert any(one.ok for one in samples if one.start_ns > back)


def test_latency_and_availability_of_the_api(apiserver: ApiServer) -> None:
    cluster = {"kubeconfig": str(apiserver.kubeconfig), "context": apiserver.context,
               "in_cluster": False}  # fmt: skip
    kind = TABLE["kube-api"]
    params = build(kind.Params, {"site": "frankfurt", "cluster": cluster})
    ask = kind.sampler(params, "controller", Target("frankfurt", ()), Schedule(PERIOD, PERIOD))
    assert ask() == Value({"kind": "NamespaceList"})
    apiserver.pause()
    try:
        assert reason(ask()) == "timeout"
    finally:
        apiserver.resume()
    apiserver.stop()
    try:
        assert reason(ask()) == "refused"
    finally:
        apiserver.start()
    assert isinstance(ask(), Value)
