# SPDX-License-Identifier: Apache-2.0
"""The API server that the other tests here ask: a real one, Kubernetes 1.20, no supported version.

What it has and lacks beside a supported one is asserted below, so that nobody takes it for more.
"""

from __future__ import annotations

import errno
import json
import socket
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gameday import clock
from gameday.lab import kube
from gameday.probes.kube_client import ApiFailed, Client
from tests.kube.apiserver import MERGE_PATCH, ApiServer

ROOT = Path(__file__).resolve().parents[2]
GSLBS = "/apis/k8gb.absa.oss/v1beta1/namespaces/default/gslbs"
MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[ApiServer]:
    """A server that the test may stop."""
    with ApiServer(tmp_path / "own", "london") as server:
        yield server


def watch(server: ApiServer, path: str, timeout_s: float = 10) -> Iterator[dict[str, Any]]:
    """Events as they come; a read that gets none in time raises TimeoutError."""
    asked = urllib.request.Request(  # noqa: S310 - a server of our own
        server.url + path, headers={"Authorization": f"Bearer {server.admin}"}
    )
    trust = ssl.create_default_context(cafile=str(server.ca))
    with urllib.request.urlopen(asked, timeout=timeout_s, context=trust) as answer:  # noqa: S310
        for line in answer:
            yield json.loads(line)


def test_it_is_a_real_server_of_a_version_that_nobody_supports(apiserver: ApiServer) -> None:
    found = apiserver.done("GET", "/version")
    assert (found["gitVersion"], found["minor"]) == (f"v{kube.VERSION}", "20")
    groups = {
        version["groupVersion"]
        for group in apiserver.done("GET", "/apis")["groups"]
        for version in group["versions"]
    }
    assert {"policy/v1beta1", "discovery.k8s.io/v1beta1", "batch/v1beta1"} <= groups
    assert not {"policy/v1", "discovery.k8s.io/v1"} & groups
    batch = {one["name"] for one in apiserver.done("GET", "/apis/batch/v1")["resources"]}
    assert "jobs" in batch and "cronjobs" not in batch


def test_the_official_client_asks_it_through_the_kubeconfig(apiserver: ApiServer) -> None:
    cluster = {
        "kubeconfig": str(apiserver.kubeconfig), "context": apiserver.context, "in_cluster": False,
    }  # fmt: skip
    client = Client(cluster)
    assert client.request("GET", "/api/v1/namespaces/default")["kind"] == "Namespace"
    client.close()


def test_custom_resources_are_checked_by_their_schema(apiserver: ApiServer) -> None:
    apiserver.crds()
    kinds = {one["spec"]["names"]["kind"] for one in kube.crds()}
    assert kinds == {
        "Gslb", "GitRepo", "Bundle", "Cluster", "Application", "AppProject", "ManagedCluster",
        "ManifestWork", "ServiceImport", "ServiceExport",
    }  # fmt: skip
    gslb = {
        "apiVersion": "k8gb.absa.oss/v1beta1", "kind": "Gslb", "metadata": {"name": "schema"},
        "spec": {"strategy": {"type": "failover", "dnsTtlSeconds": "5"}},
    }  # fmt: skip
    status, refused = apiserver.request("POST", GSLBS, gslb)
    assert status == 422 and "dnsTtlSeconds" in refused["message"]
    gslb["spec"] = {"strategy": {"type": "failover", "dnsTtlSeconds": 5, "nonsense": 1}}
    made = apiserver.done("POST", GSLBS, gslb)
    assert made["spec"] == {"strategy": {"type": "failover", "dnsTtlSeconds": 5}}, "fields it knows"
    said = {"geoTag": "fra", "serviceHealth": {"app.gameday.test": "Healthy"},
            "healthyRecords": {"app.gameday.test": ["198.18.10.12"]}}  # fmt: skip
    apiserver.done("PATCH", f"{GSLBS}/schema", {"status": said})
    assert "status" not in apiserver.done("GET", f"{GSLBS}/schema"), "status has its own way in"
    apiserver.done("PATCH", f"{GSLBS}/schema/status", {"status": said})
    assert apiserver.done("GET", f"{GSLBS}/schema")["status"] == said


def test_an_empty_string_is_a_string(apiserver: ApiServer) -> None:
    """A vendored library took it for null, until scripts/kube-apiserver.sh mended it."""
    apiserver.crds("Bundle")
    path = "/apis/fleet.cattle.io/v1alpha1/namespaces/default/bundles"
    bundle = {"apiVersion": "fleet.cattle.io/v1alpha1", "kind": "Bundle", "spec": {}}
    apiserver.done("POST", path, {**bundle, "metadata": {"name": "empty"}})
    for message in ("", 1, None):
        word = {"type": "Ready", "status": "True", "message": message}
        change = {"status": {"conditions": [word]}}
        status, _ = apiserver.request("PATCH", f"{path}/empty/status", change)
        assert status == (200 if message == "" else 422), message


@pytest.mark.parametrize("kind", [one["spec"]["names"]["kind"] for one in kube.crds()])
def test_every_definition_is_taken_as_it_is(apiserver: ApiServer, kind: str) -> None:
    """A schema that is not structural is stored, and then not obeyed."""
    apiserver.crds(kind)
    (one,) = kube.crds([kind])
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"
    found = apiserver.done("GET", path + one["metadata"]["name"])["status"]["conditions"]
    said = {condition["type"]: condition["status"] for condition in found}
    assert said["Established"] == said["NamesAccepted"] == "True"
    assert "NonStructuralSchema" not in said, found
    assert said.get("KubernetesAPIApprovalPolicyConformant", "True") == "True", found


def test_a_watch_tells_what_happens(apiserver: ApiServer) -> None:
    begin = apiserver.done("GET", MAPS)["metadata"]["resourceVersion"]
    apiserver.done("POST", MAPS, {"metadata": {"name": "watched"}, "data": {"a": "1"}})
    apiserver.done("PATCH", f"{MAPS}/watched", {"data": {"a": "2"}})
    apiserver.done("DELETE", f"{MAPS}/watched")
    query = f"?watch=1&resourceVersion={begin}&fieldSelector=metadata.name%3Dwatched"
    events = watch(apiserver, MAPS + query)
    found = [next(events) for _ in range(3)]
    assert [one["type"] for one in found] == ["ADDED", "MODIFIED", "DELETED"]
    assert [one["object"]["data"]["a"] for one in found] == ["1", "2", "2"]


def test_two_writers_of_one_object_conflict(apiserver: ApiServer) -> None:
    made = apiserver.done("POST", MAPS, {"metadata": {"name": "contested"}})
    apiserver.done("PATCH", f"{MAPS}/contested", {"data": {"a": "1"}})
    status, _ = apiserver.request("PUT", f"{MAPS}/contested", {**made, "data": {"a": "2"}})
    assert status == 409


def test_access_is_by_role(apiserver: ApiServer) -> None:
    token = apiserver.token("reader")
    assert apiserver.request("GET", "/api/v1/nodes", token=token)[0] == 403
    rule = {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}
    apiserver.allow("reader", rule)
    apiserver.wait(
        lambda: apiserver.request("GET", "/api/v1/nodes", token=token)[0] == 200, "it may list"
    )
    assert apiserver.request("DELETE", "/api/v1/nodes/none", token=token)[0] == 403
    review = {
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"resource": "nodes", "verb": "delete"}},
    }  # fmt: skip
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    status, found = apiserver.request("POST", path, review, token=token)
    assert status == 201 and found["status"]["allowed"] is False
    assert apiserver.request("GET", "/api/v1/nodes", token="nobody")[0] == 401  # noqa: S106


def test_a_token_ends(apiserver: ApiServer) -> None:
    assert apiserver.request("GET", "/version", token=apiserver.token("brief", 120))[0] == 200
    assert apiserver.request("GET", "/version", token=apiserver.token("brief", -1))[0] == 401


def test_stopped_it_refuses_and_started_again_it_has_what_it_had(own: ApiServer) -> None:
    before = own.done("POST", MAPS, {"metadata": {"name": "kept"}})["metadata"]
    own.done("POST", MAPS, {"metadata": {"name": "later"}})
    own.stop()
    with pytest.raises(ConnectionRefusedError):
        own.request("GET", "/version")
    own.start()
    assert own.done("GET", f"{MAPS}/kept")["metadata"]["uid"] == before["uid"]
    old = watch(own, f"{MAPS}?watch=1&resourceVersion={before['resourceVersion']}")
    gone = next(old)
    assert (gone["type"], gone["object"]["code"]) == ("ERROR", 410), "it was watched too long ago"


def test_a_list_that_goes_on_after_a_compaction_is_gone(own: ApiServer) -> None:
    for number in range(3):
        own.done("POST", MAPS, {"metadata": {"name": f"page-{number}"}})
    first = own.done("GET", f"{MAPS}?limit=1")["metadata"]
    own.done("POST", MAPS, {"metadata": {"name": "page-3"}})
    own.compact()
    status, _ = own.request("GET", f"{MAPS}?limit=1&continue={first['continue']}")
    assert status == 410


def test_paused_it_takes_connections_and_says_nothing(own: ApiServer) -> None:
    own.pause()
    with pytest.raises(TimeoutError):
        own.request("GET", "/version", timeout_s=1)
    client = Client({"kubeconfig": str(own.kubeconfig), "context": "london", "in_cluster": False})
    with pytest.raises(ApiFailed) as caught:
        client.request("GET", "/version", timeout_s=1)
    assert caught.value.reason == "timeout"
    own.resume()
    own.wait(lambda: own.request("GET", "/readyz")[0] == 200, "it answers again")
    client.close()


def test_nothing_of_it_outlives_the_test_process(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from tests.kube.apiserver import ApiServer\n"
        "with ApiServer(Path(sys.argv[1])) as server:\n"
        "    sys.stdout.write(server.url + chr(10)); sys.stdout.flush(); time.sleep(3600)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    process.kill()
    process.wait()
    port = int(url.rsplit(":", 1)[1])
    for _ in range(200):
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED:
                return
        clock.sleep_until_mono(clock.mono_ns() + 50 * clock.NS_PER_MS)
    pytest.fail(f"{url} is still there")


def test_a_body_of_patch_is_a_merge_patch_unless_told_otherwise(apiserver: ApiServer) -> None:
    apiserver.done("POST", MAPS, {"metadata": {"name": "patched"}, "data": {"a": "1", "b": "2"}})
    apiserver.done("PATCH", f"{MAPS}/patched", {"data": {"a": None}})
    steps = [{"op": "test", "path": "/data/b", "value": "9"}]
    status, _ = apiserver.request(
        "PATCH", f"{MAPS}/patched", steps, content_type="application/json-patch+json"
    )
    assert status == 422 and MERGE_PATCH != "application/json-patch+json"
    assert apiserver.done("GET", f"{MAPS}/patched")["data"] == {"b": "2"}
