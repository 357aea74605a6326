# SPDX-License-Identifier: Apache-2.0
"""Every way in which a real API server can fail to tell a probe: a clear word each, never green."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from gameday import clock
from gameday.agent import prober
from gameday.probes import TABLE
from gameday.probes.base import Schedule, Target, Value
from gameday.probes.kube_client import ApiFailed, Client
from gameday.probes.params import build
from gameday.record.columns import parse_lines
from tests.kube.apiserver import ApiServer
from tests.kube.leases import cluster_of
from tests.kube.relay import Relay, through
from tests.kube.watching import (
    GSLBS,
    PERIOD,
    SCHEDULE,
    gslb,
    look,
    make_gslb,
    reason,
    set_health,
    telling,
    until,
    watching,
)
from tests.unit.probes.kube_fake import healthy


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


def test_a_version_that_etcd_has_compacted_is_a_hole_that_is_said(tmp_path: Path) -> None:
    """The watch breaks, and what happened before it goes on is forgotten by etcd itself."""
    with ApiServer(tmp_path / "server", more=["--watch-cache=false"]) as server:
        make_gslb(server, "compacted")
        relay = Relay(server.port)
        file = through(relay, server, tmp_path / "kubeconfig")
        with gslb(server, "compacted", file) as watched:
            seen = watched[1]
            assert healthy(look(watched)) is True
            found = telling(watched, lambda: set_health(server, "compacted", "Unhealthy"))
            assert healthy(found) is False, "the watch tells without the cache too"
            old = server.done("GET", GSLBS.format("compacted"))["metadata"]["resourceVersion"]
            relay.close()
            set_health(server, "compacted", "Healthy")
            set_health(server, "compacted", "Unhealthy")
            server.compact()
            assert refused_watch(server, old) == (410, "gone")
            before = len(seen.all)
            again = Relay(server.port, relay.port)
            try:
                seen.wait(before + 1)
                outcome, since, _ = seen.all[before]
                assert reason(outcome) == "gone" and since >= seen.all[before - 1][1]
                set_health(server, "compacted", "Healthy")
                found = until(watched, lambda one: isinstance(one, Value))
                assert healthy(found) is True, "what is, a look knows again"
                found = telling(watched, lambda: set_health(server, "compacted", "Unhealthy"))
                assert healthy(found) is False, "and the watch goes on"
                # The two changes of the hole are in no sample: nobody saw when they were.
                told = [one[0] for one in seen.all[1:]]
                assert [healthy(one) for one in told if isinstance(one, Value)] == [
                    False, True, False,
                ]  # fmt: skip
            finally:
                again.close()


def refused_watch(server: ApiServer, version: str) -> tuple[int, str]:
    """Status and reason of what a watch from a version says first."""
    client = Client(cluster_of(server))
    try:
        with pytest.raises(ApiFailed) as caught:
            next(client.stream(GSLBS.format("compacted"), {"resourceVersion": version}))
    finally:
        client.close()
    return caught.value.status, caught.value.reason


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
    relay = Relay(apiserver.port)
    file = through(relay, apiserver, tmp_path / "kubeconfig")
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
