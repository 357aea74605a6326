# SPDX-License-Identifier: Apache-2.0
"""A controller's host that is gone for good: what it left is found by its marks, and given back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gameday import clock
from gameday.agent.system.kube import RealKube
from gameday.conduct import kube_sweep
from gameday.conduct.sweep import Swept
from gameday.errors import NotProvenClean
from gameday.faults import kube_marks as marks
from gameday.faults.base import CONTROLLER
from gameday.faults.kube_api import Api
from gameday.faults.kube_cordon import UNSCHEDULABLE
from gameday.faults.kube_objects import begin
from gameday.faults.kube_pause import TOOLS
from gameday.faults.kube_scale import PLURALS, REPLICAS
from gameday.record.types import Lease
from tests.kube.apiserver import ApiServer
from tests.kube.manifests import applied, home, space
from tests.kube.test_rbac import POLICY, deployment

SPACE = "sweep"
NODE = "/api/v1/nodes/sweep-node"
APP = f"/apis/apps/v1/namespaces/{SPACE}/deployments/sweep-app"
POLICIES = f"/apis/networking.k8s.io/v1/namespaces/{SPACE}/networkpolicies"
REPO = f"/apis/fleet.cattle.io/v1alpha1/namespaces/{SPACE}/gitrepos/sweep-repo"

HOUR_NS = 3600 * clock.NS_PER_S


@pytest.fixture
def cluster(apiserver: ApiServer) -> Iterator[dict[str, Any]]:
    """With a node, a Deployment and a GitRepo that nobody changed yet."""
    apiserver.crds("GitRepo")
    space(apiserver, SPACE)
    apiserver.done("POST", "/api/v1/nodes", {"metadata": {"name": "sweep-node"}})
    apiserver.done("POST", APP.rpartition("/")[0], deployment("sweep-app"))
    apiserver.done("POST", REPO.rpartition("/")[0], {
        "apiVersion": "fleet.cattle.io/v1alpha1", "kind": "GitRepo",
        "metadata": {"name": "sweep-repo"}, "spec": {"repo": "https://git.example/x"},
    })  # fmt: skip
    yield {"kubeconfig": str(apiserver.kubeconfig), "context": apiserver.context,
           "in_cluster": False}  # fmt: skip
    for path in (NODE, APP, REPO, f"{POLICIES}/gameday-5eeb0003"):
        apiserver.request("DELETE", path)


def left_behind(cluster: dict[str, Any], ended_ns: int = -HOUR_NS) -> None:
    """What a host changed that nobody hears of again: by the very code that leases use."""
    now = clock.wall_ns()
    with RealKube().opened(cluster) as asked:
        api = Api(asked)
        for number, (kind, path, own) in enumerate((
            ("kube-cordon", NODE, {"fields": [[UNSCHEDULABLE, None, True]], "scale": False}),
            ("kube-scale", APP, {"fields": [[REPLICAS, 2, 0]], "scale": True}),
            ("kube-pause", REPO, {"fields": [[["spec", "paused"], None, True]], "scale": False}),
            ("kube-deny", f"{POLICIES}/gameday-5eeb0003",
             {"collection": POLICIES, "scale": False,
              "body": {**POLICY, "metadata": {"name": "gameday-5eeb0003"}}}),
        )):  # fmt: skip
            expire_ns = now + ended_ns
            lease = Lease(f"5eeb000{number}", "gone", CONTROLLER, kind, kind, {},
                          expire_ns - HOUR_NS, expire_ns)  # fmt: skip
            found = api.get(path)
            uid = marks.uid(found) if found else ""
            begin(api, lease, {"path": path, "what": path, "uid": uid, "host": "gone", **own}, {},
                  lambda _: None)  # fmt: skip


def sweep(cluster: dict[str, Any], look: bool = False) -> Swept:
    """Of one cluster that two sites name."""
    (found,) = kube_sweep.sweep({"a": cluster, "b": cluster}, look)
    return found


def state(server: ApiServer) -> tuple[Any, Any, Any, int]:
    """(cordoned, replicas, paused, policies)"""
    return (
        server.done("GET", NODE)["spec"].get("unschedulable"),
        server.done("GET", APP)["spec"]["replicas"], server.done("GET", REPO)["spec"].get("paused"),
        len(server.done("GET", POLICIES)["items"]),
    )  # fmt: skip


BEFORE, CHANGED = (None, 2, None, 0), (True, 0, True, 1)


def test_what_is_overdue_is_given_back(apiserver: ApiServer, cluster: dict[str, Any]) -> None:
    assert state(apiserver) == BEFORE
    left_behind(cluster)
    assert state(apiserver) == CHANGED
    seen = sweep(cluster, look=True)
    assert state(apiserver) == CHANGED, "who looks changes nothing"
    assert len(seen.left) == 4 and not seen.spared
    assert "nodes sweep-node is held by lease 5eeb0000 (kube-cordon) of gone" in seen.left[0]
    swept = sweep(cluster)
    assert state(apiserver) == BEFORE
    assert (swept.left, swept.spared, swept.trouble, len(swept.done)) == ((), (), (), 4)
    for path in (NODE, APP, REPO):
        assert marks.read(apiserver.done("GET", path)) is None
    assert sweep(cluster).done == (), "once is enough"


def test_what_is_not_over_is_left_to_its_run(apiserver: ApiServer, cluster: dict[str, Any]) -> None:
    """Also two minutes longer: its own host ends it then, and clocks differ."""
    for ended_ns in (HOUR_NS, -30 * clock.NS_PER_S):
        left_behind(cluster, ended_ns)
        swept = sweep(cluster)
        assert state(apiserver) == CHANGED
        assert (swept.left, len(swept.spared)) == ((), 4)
        (ended,) = kube_sweep.sweep({"a": cluster}, look=False, force=True)
        assert state(apiserver) == BEFORE and not ended.left, "unless somebody insists"


def test_what_others_changed_stays_and_is_told(
    apiserver: ApiServer, cluster: dict[str, Any]
) -> None:
    left_behind(cluster)
    apiserver.done("PATCH", f"{APP}/scale", {"spec": {"replicas": 5}})
    swept = sweep(cluster)
    assert state(apiserver) == (None, 5, None, 0)
    assert not swept.left and "spec.replicas is 5, not 0 as the lease set it" in swept.trouble[0]


def test_a_mark_that_cannot_be_read_is_for_people(
    apiserver: ApiServer, cluster: dict[str, Any]
) -> None:
    left_behind(cluster)
    apiserver.done("PATCH", NODE, {"metadata": {"annotations": {marks.KEY: "{"}}})
    swept = sweep(cluster)
    assert state(apiserver) == (True, 2, None, 0), "nobody knows what was there before"
    assert [one.split(":")[0] for one in swept.left] == [
        "nodes sweep-node carries a mark that cannot be read"
    ]
    apiserver.done("PATCH", NODE, {"metadata": dict(marks.UNMARKED)})


def test_a_cluster_that_does_not_answer_is_not_clean(
    tmp_path: Path, apiserver: ApiServer, cluster: dict[str, Any]
) -> None:
    data = Path(cluster["kubeconfig"]).read_text(encoding="utf-8")
    path = tmp_path / "kubeconfig"
    path.write_text(data.replace(apiserver.url, "https://127.0.0.1:1"), encoding="utf-8")
    swept = sweep({**cluster, "kubeconfig": str(path)})
    assert not swept.reached and not swept.clean
    with pytest.raises(NotProvenClean):
        kube_sweep_required(swept)


def kube_sweep_required(swept: Swept) -> None:
    from gameday.conduct.sweep import require_clean

    require_clean([swept])


def test_the_roles_are_enough(
    apiserver: ApiServer, cluster: dict[str, Any], tmp_path: Path
) -> None:
    """sweep.yaml to look, and the operators' where something is ended."""
    token = home(apiserver)
    own = {**cluster, "kubeconfig": str(apiserver.write_kubeconfig(tmp_path / "own", token))}
    assert "not read back: forbidden" in sweep(own).left[0]
    left_behind(cluster)
    with applied(apiserver, "sweep.yaml"):
        apiserver.wait(lambda: sweep(own, look=True).reached, "the role counts")
        refused = sweep(own)
        assert state(apiserver) == CHANGED and len(refused.left) == 4
        assert "forbidden" in " ".join(refused.trouble)
        with (
            applied(apiserver, "operator-cordon.yaml"),
            applied(apiserver, "operator-deny.yaml", SPACE),
            applied(apiserver, "operator-scale.yaml", SPACE),
            applied(apiserver, "operator-pause-fleet.yaml", SPACE),
        ):  # fmt: skip
            apiserver.wait(lambda: not sweep(own).left, "the roles count")
    assert state(apiserver) == BEFORE


def test_everything_that_a_kind_marks_is_looked_at() -> None:
    wanted = {"/api/v1/nodes", "/apis/networking.k8s.io/v1/networkpolicies"}
    wanted |= {f"/apis/apps/v1/{one}" for one in PLURALS.values()}
    wanted |= {f"/apis/{one}" for kinds in TOOLS.values() for one in kinds.values()}
    assert set(kube_sweep.COLLECTIONS) == wanted, json.dumps(sorted(wanted))
