# SPDX-License-Identifier: Apache-2.0
"""Kinds that change objects of a cluster: what they refuse, what they give back, what they leave.

Against one cluster in memory; tests/kube asks a real API server.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from gameday.errors import InvalidInput, NodeError
from gameday.faults import TABLE, kube_marks
from gameday.faults.base import CONTROLLER, Selector
from gameday.faults.kube_api import Permission
from gameday.faults.kube_cordon import KubeCordonParams
from gameday.faults.kube_deny import KubeDenyParams
from gameday.faults.kube_pause import KubePauseParams
from gameday.faults.kube_scale import KubeScaleParams
from tests.unit.faults.fake_host import FakeHost
from tests.unit.faults.fake_kube import CLUSTER, INGRESS
from tests.unit.faults.kube_kit import DOWN, KUBE, PATHS, begun, ended, fault_of
from tests.unit.faults.test_conformance import lease


class Estate:
    """An inventory with one site that has a cluster, and one that has none."""

    def select(self, selector: Selector) -> tuple[str, ...]:
        names = {"frankfurt": ("fra-1", "fra-2"), "london": ("lon-1",)}
        return tuple(n for site in selector.site for n in names.get(site, ()))

    def addresses(self, node: str) -> tuple[str, ...]:
        return ("198.18.1.11",)

    def can_arm(self, node: str) -> bool:
        return node != "fra-2"

    def cluster(self, site: str) -> Any:
        return CLUSTER if site == "frankfurt" else None


@pytest.mark.parametrize(
    ("kind", "params", "expected"),
    [
        ("kube-cordon", KubeCordonParams("frankfurt"), {"nodes": [
            {"node": "fra-1", "known_as": "198.18.1.11"}], "drain": False}),
        ("kube-scale", KubeScaleParams("frankfurt", "a", "b", "StatefulSet"),
         {"namespace": "a", "resource": "statefulsets", "name": "b", "replicas": 0}),
        ("kube-deny", KubeDenyParams("frankfurt", "a", ("app=web",), "egress"),
         {"namespace": "a", "pods": {"app": "web"}, "types": ["Egress"]}),
        ("kube-pause", KubePauseParams("frankfurt", "fleet", "f", ("x",), "Bundle"),
         {"tool": "fleet", "kind": "Bundle", "resource": "fleet.cattle.io/v1alpha1/bundles",
          "namespace": "f", "names": ["x"], "destination": ""}),
    ],
)  # fmt: skip
def test_spread_over_the_controllers_host(kind: str, params: Any, expected: Any) -> None:
    begin = {"site": "frankfurt", "cluster": CLUSTER}
    assert TABLE[kind].spread(params, Estate()) == {CONTROLLER: {**begin, **expected}}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "params", "words"),
    [
        ("kube-scale", KubeScaleParams("london", "a", "b"), "site london has no cluster"),
        ("kube-scale", KubeScaleParams("paris", "a", "b"), "site paris is not in the inventory"),
        ("kube-scale", KubeScaleParams("frankfurt", "A_b", "b"), "namespace A_b is no name"),
        ("kube-scale", KubeScaleParams("frankfurt", "a", "x/y"), "name x/y is no name"),
        ("kube-deny", KubeDenyParams("frankfurt", "a", ("web",)), "pods web is no label"),
        ("kube-pause", KubePauseParams("frankfurt", "ocm", "a", (), "Bundle"),
         "objects cannot be Bundle where the tool is ocm"),
        ("kube-pause", KubePauseParams("frankfurt", "fleet", "a", (), "", "x"),
         "destination is of Applications only"),
        ("kube-cordon", KubeCordonParams("frankfurt", Selector(site=("paris",))), "no node"),
    ],
)  # fmt: skip
def test_refused_in_the_plan(kind: str, params: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        TABLE[kind].spread(params, Estate())  # type: ignore[arg-type]


@pytest.mark.parametrize("case", KUBE)
def test_every_permission_is_asked_for_and_its_lack_refused(case: str) -> None:
    """Nothing is changed, and the message says verb, resource, namespace and cluster."""
    one = lease(case)
    fault = fault_of(one)
    for wanted in fault.permissions(one.spec):
        host = FakeHost()
        host.kube.refused = {(wanted.verb, wanted.resource)}
        was = host.state()
        with pytest.raises(NodeError) as caught:
            fault.before(one, host)
        assert str(wanted) in str(caught.value)
        assert "frankfurt's cluster (context fra)" in str(caught.value)
        assert fault.able(one.spec, host) == [caught.value.message]
        assert host.state() == was and host.mutations == 0


@pytest.mark.parametrize("case", KUBE)
def test_nothing_is_asked_beyond_its_permissions(case: str) -> None:
    """What a kind really asks for, from plan to end, against what it says that it needs."""
    host = FakeHost()
    host, one, before, fault = begun(case, host)
    fault.observe(one, before, host)
    ended(host, one, before, fault)
    allowed = {(p.verb, p.resource) for p in fault.permissions(one.spec)}
    free = ("/api/v1", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            *(f"/apis/{r.rpartition('/')[0]}" for r in fault.serves(one.spec)))  # fmt: skip
    for method, path in host.kube.asked:
        if path not in free:
            assert needed(method, path) in allowed, (method, path)


def needed(method: str, path: str) -> tuple[str, str]:
    parts = path.split("/")[3:] if path.startswith("/api/") else path.split("/")[4:]
    if parts[0] == "namespaces":
        parts = parts[2:]
    name = "/".join([parts[0], *parts[2:]])
    verb = {"PATCH": "patch", "POST": "create", "DELETE": "delete"}.get(method)
    return verb or ("get" if len(parts) > 1 else "list"), name


@pytest.mark.parametrize("case", [c for c in KUBE if c.startswith("kube-pause")])
def test_a_missing_crd_is_said(case: str) -> None:
    host, one = FakeHost(), lease(case)
    host.kube.served = {}
    with pytest.raises(NodeError, match=r"serves no .* installed there"):
        fault_of(one).before(one, host)
    (problem,) = fault_of(one).able(one.spec, host)
    assert f"is {one.spec['tool']} installed there?" in problem


@pytest.mark.parametrize("case", KUBE)
def test_an_api_server_that_is_down_is_said_before_anything_is_armed(case: str) -> None:
    host, one = FakeHost(), lease(case)
    host.kube.fails = DOWN
    with pytest.raises(NodeError):
        fault_of(one).before(one, host)
    (problem,) = fault_of(one).able(one.spec, host)
    assert problem.startswith("frankfurt's cluster (context fra) cannot be asked: refused")


@pytest.mark.parametrize("case", KUBE)
def test_down_at_the_end_is_not_called_clean_and_undone_when_it_is_back(case: str) -> None:
    host, one, before, fault = begun(case)
    was = FakeHost().state()
    host.kube.fails = DOWN
    host.now = one.expire_at_ns
    with pytest.raises(NodeError, match="refused"):
        fault.disarm(one, before, host)
    found = fault.observe(one, before, host)
    assert found.state == "foreign" and "cannot be read" in found.left[0] and "`" in found.left[0]
    assert found.unread, "nobody knows: it is assumed to be there"
    host.kube.fails = None
    found = ended(host, one, before, fault)
    assert (found.state, found.foreign_changed) == ("absent", ())
    assert host.state() == was


@pytest.mark.parametrize("case", KUBE)
def test_a_death_at_any_write_is_not_taken_for_somebodys_change(case: str) -> None:
    for step in range(1, 12):
        host, one = FakeHost(), lease(case)
        fault = fault_of(one)
        was, before = host.state(), fault.before(one, host)
        host.now = one.fire_at_ns
        fault.drive(one, before, host, 0)
        host.fail_at = host.mutations + step
        try:
            fault.disarm(one, before, host)
        except NodeError:
            host.fail_at = None
        host.fail_at = None
        found = ended(host, one, before, fault)
        assert (found.state, found.foreign_changed) == ("absent", ()), step
        assert host.state() == was


def test_who_holds_it_and_until_when_stands_on_the_object() -> None:
    host, one, *_ = begun("kube-scale")
    meta = host.kube.there[INGRESS]["metadata"]
    assert meta["labels"] == {"gameday.io/lease": "1a2b3c4d"}
    mark = kube_marks.read(host.kube.there[INGRESS])
    assert mark is not None
    assert (mark.lease, mark.run, mark.kind, mark.scale) == ("1a2b3c4d", "run-1", one.kind, True)
    assert mark.expires == "1970-01-01T00:17:20Z"
    assert list(mark.fields) == [[["spec", "replicas"], 3, 0]]
    assert not mark.overdue(one.expire_at_ns - 1) and mark.overdue(one.expire_at_ns)


def test_a_mark_that_cannot_be_read_is_somebodys_and_overdue() -> None:
    odd = {"metadata": {"annotations": {kube_marks.KEY: "{"}, "labels": {kube_marks.KEY: "x"}}}
    mark = kube_marks.read(odd)
    assert mark is not None and mark.lease == "x" and mark.overdue(0)


@pytest.mark.parametrize("case", sorted(PATHS))
def test_what_somebody_changed_meanwhile_is_left_and_told(case: str) -> None:
    host, one, before, fault = begun(case)
    theirs = {"kube-cordon": False, "kube-scale": 5, "kube-pause": False,
              "kube-pause.argocd": {"prune": False}, "kube-pause.ocm": []}[case]  # fmt: skip
    (target, *_) = before["targets"]
    path = target["fields"][0][0]
    host.kube.change(PATHS[case], "kubectl-edit", kube_marks.patch([(path, theirs)]))
    assert fault.observe(one, before, host).state == "foreign"
    found = ended(host, one, before, fault)
    assert found.state == "absent"
    assert kube_marks.value(host.kube.there[PATHS[case]], path) == theirs, "not overwritten"
    assert kube_marks.read(host.kube.there[PATHS[case]]) is None
    (text,) = found.foreign_changed
    assert ".".join(path) in text and "changed by kubectl-edit at 2026-11-29T12:00:00Z" in text
    assert fault.disarm(one, before, host) == []


@pytest.mark.parametrize("case", sorted(PATHS))
def test_an_object_that_is_gone_or_replaced_is_told(case: str) -> None:
    for replaced in (False, True):
        host, one, before, fault = begun(case)
        old = host.kube.there.pop(PATHS[case])
        if replaced:
            meta = {"name": old["metadata"]["name"], "uid": "another", "resourceVersion": "1"}
            host.kube.there[PATHS[case]] = {**old, "metadata": meta}
        found = ended(host, one, before, fault)
        word = "was replaced by another" if replaced else "is gone: somebody deleted it"
        assert found.state == "absent" and word in found.foreign_changed[0]
        if replaced:
            assert host.kube.there[PATHS[case]] == {**old, "metadata": meta}, "left alone"


def test_a_mark_that_was_taken_off_does_not_keep_the_fault() -> None:
    host, one, before, fault = begun("kube-cordon")
    path = PATHS["kube-cordon"]
    host.kube.change(path, "kubectl-annotate", {"metadata": dict(kube_marks.UNMARKED)})
    found = ended(host, one, before, fault)
    assert "unschedulable" not in host.kube.there[path]["spec"]
    assert found.foreign_changed == ("node fra-1: somebody took gameday's mark off it",)


def test_another_leases_mark_is_never_taken() -> None:
    host, one, before, fault = begun("kube-scale")
    other = json.loads(host.kube.there[INGRESS]["metadata"]["annotations"][kube_marks.KEY])
    text = json.dumps({**other, "lease": "deadbeef", "run": "run-2"})
    host.kube.change(INGRESS, "gameday", {"metadata": {"annotations": {kube_marks.KEY: text}}})
    found = ended(host, one, before, fault)
    assert host.kube.there[INGRESS]["spec"]["replicas"] == 0
    assert "carries lease deadbeef of another run" in found.foreign_changed[0]
    with pytest.raises(NodeError, match="carries lease deadbeef of run-2, which ends 1970"):
        fault.before(one, host)


@pytest.mark.parametrize("case", sorted(PATHS))
def test_a_faster_writer_only_means_reading_again(case: str) -> None:
    host, one = FakeHost(), lease(case)
    fault, busy = fault_of(one), [3]
    before = fault.before(one, host)

    def race() -> None:
        if busy[0] > 0:
            busy[0] -= 1
            host.kube.change(PATHS[case], "kubelet", {"status": {"seen": busy[0]}})

    host.kube.races = race
    host.now = one.fire_at_ns
    fault.drive(one, before, host, 0)
    assert fault.observe(one, before, host).state == "active"
    busy[0] = 3
    found = ended(host, one, before, fault)
    assert (found.state, found.foreign_changed) == ("absent", ())


def test_a_writer_that_never_rests_is_told() -> None:
    host = FakeHost()
    host.kube.races = lambda: host.kube.change(INGRESS, "busy", {"status": {"seen": 1}})
    with pytest.raises(NodeError, match="written by others all the time"):
        begun("kube-scale", host)


def test_what_was_scaled_between_arming_and_the_window_is_what_comes_back() -> None:
    host, one = FakeHost(), lease("kube-scale")
    fault = fault_of(one)
    before = fault.before(one, host)
    host.kube.change(INGRESS, "kubectl", {"spec": {"replicas": 7}})
    host.now = one.fire_at_ns
    fault.drive(one, before, host, 0)
    assert ended(host, one, before, fault).foreign_changed == ()
    assert host.kube.there[INGRESS]["spec"]["replicas"] == 7


def test_permissions_for_people() -> None:
    assert str(Permission("patch", "apps", "deployments/scale", "a")) == (
        "patch deployments.apps/scale in namespace a"
    )
    assert str(Permission("list", "", "pods")) == "list pods"


@pytest.mark.parametrize("case", KUBE)
def test_the_plan_shows_requests_and_undo_and_no_secret(case: str) -> None:
    rules, undo = TABLE[lease(case).kind].explain(lease(case))
    assert any("frankfurt's cluster (context fra): P" in line for line in rules)
    assert any("frankfurt's cluster (context fra)" in line for line in undo)
    if case == "kube-cordon.drain":
        assert any("cannot be brought back" in line for line in undo)
