# SPDX-License-Identifier: Apache-2.0
"""gameday as in a pod: a service account's token and the cluster's CA on disk, and nothing else.

The files are where the kubelet mounts them, in a mount namespace of each process's own. Nobody runs
pods here: manifests are what the API server would take.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kube.apiserver import ApiServer
from tests.kube.manifests import PLACE, applied, collection, documents, home
from tests.unit.plan.cluster_objects import node

ROOT = Path(__file__).parents[2]
MOUNTED = ('mount -t tmpfs none /run && mkdir -p /run/secrets/kubernetes.io && '
           'ln -s "$0" /run/secrets/kubernetes.io/serviceaccount && exec "$@"')  # fmt: skip
"""As root in a mount namespace of its own; /var/run is /run."""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts in a namespace of its own")


@pytest.fixture
def pod(apiserver: ApiServer, tmp_path: Path) -> Path:
    """The files that a pod of gameday's service account has."""
    place = tmp_path / "serviceaccount"
    place.mkdir()
    (place / "token").write_text(home(apiserver), encoding="ascii")
    (place / "namespace").write_text("gameday", encoding="ascii")
    shutil.copy(apiserver.ca, place / "ca.crt")
    return place


@pytest.fixture
def nodes(apiserver: ApiServer) -> Iterator[None]:
    """Two nodes of one region that no other test has."""
    made = [node("in-1", 101, "in-cluster-site"), node("in-2", 102, "in-cluster-site")]
    for one in made:
        apiserver.done("POST", "/api/v1/nodes", {"metadata": one["metadata"], "spec": one["spec"]})
        apiserver.done("PATCH", f"/api/v1/nodes/{one['metadata']['name']}/status",
                       {"status": one["status"]})  # fmt: skip
    yield
    for one in made:
        apiserver.done("DELETE", f"/api/v1/nodes/{one['metadata']['name']}")


def run(server: ApiServer, pod: Path, *argv: object) -> subprocess.CompletedProcess[str]:
    """A program as in the pod."""
    host, _, port = server.url.removeprefix("https://").partition(":")
    env = {"PATH": os.environ["PATH"], "HOME": str(pod.parent), "LC_ALL": "C.UTF-8",
           "KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}  # fmt: skip
    return subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-ec", MOUNTED, str(pod),
         *(str(one) for one in argv)],
        env=env, capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip


def gameday(server: ApiServer, pod: Path, *argv: object) -> subprocess.CompletedProcess[str]:
    return run(server, pod, sys.executable, "-m", "gameday.cli.main", *argv)


@needs_root
def test_an_inventory_from_the_pods_own_cluster(
    apiserver: ApiServer, pod: Path, nodes: None, tmp_path: Path
) -> None:
    path = tmp_path / "inventory.yaml"
    argv = ("inventory", "import", "--in-cluster", "here", "-o", path)
    without = gameday(apiserver, pod, *argv)
    assert without.returncode == 3 and "in-cluster: forbidden: /api/v1/nodes" in without.stderr
    assert not path.exists()
    with applied(apiserver, "import.yaml"):
        apiserver.wait(lambda: gameday(apiserver, pod, *argv).returncode == 0, "the role counts")
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        site = data["all"]["children"]["sites"]["children"]["here"]
        assert site["vars"] == {"gameday_kubernetes": "in-cluster"}
        assert {"in-1", "in-2"} <= set(site["hosts"])
        assert site["hosts"]["in-1"]["gameday_addresses"] == ["10.1.0.101", "fd00:1::65"]
        data["all"]["vars"] = {"ansible_user": "ops", "gameday_known_hosts": "known",
                               "gameday_management": ["192.168.0.0/24"]}  # fmt: skip
        for number, own in enumerate(site["hosts"].values(), start=1):
            own["ansible_host"] = f"192.168.0.{number}"
        path.write_text(yaml.safe_dump(data), encoding="utf-8")
        check = gameday(apiserver, pod, "inventory", "check", "-i", path, "--clusters")
        assert "unknown" not in check.stdout and "cluster in-cluster" not in check.stdout
    gone = gameday(apiserver, pod, "inventory", "check", "-i", path, "--clusters")
    assert "unknown: here: its cluster in-cluster did not answer (forbidden" in gone.stdout
    outside = subprocess.run(
        [sys.executable, "-m", "gameday.cli.main", "inventory", "check", "-i", str(path),
         "--clusters"], capture_output=True, text=True, check=False, cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
    )  # fmt: skip
    assert "this is no pod with a service account" in outside.stdout


RENEWED = """
import sys
from pathlib import Path
from gameday.probes.kube_client import ApiFailed, Client
client = Client({"in_cluster": True, "kubeconfig": "", "context": ""})
place = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
try:
    client.request("GET", "/api/v1/namespaces/default")
except ApiFailed as error:
    sys.stdout.write(f"{error.reason} ")
place.write_text(Path(sys.argv[1]).read_text())
found = client.request("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {
    "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
    "spec": {"resourceAttributes": {"verb": "get", "resource": "secrets"}}})
sys.stdout.write(str(found["status"]["allowed"]))
"""


@needs_root
def test_a_token_that_the_kubelet_renews_is_read_again(
    apiserver: ApiServer, pod: Path, tmp_path: Path
) -> None:
    fresh = tmp_path / "fresh"
    fresh.write_text((pod / "token").read_text(encoding="ascii"), encoding="ascii")
    (pod / "token").write_text(apiserver.token("in-cluster-old", -60), encoding="ascii")
    done = run(apiserver, pod, sys.executable, "-c", RENEWED, fresh)
    assert done.stdout.split() == ["unauthorized", "False"], done.stderr


WORKLOADS = sorted(
    path.name for path in PLACE.glob("*.yaml")
    if {"Job", "CronJob"} & {one["kind"] for one in documents(path.name)}
)  # fmt: skip

DROPPED = {("spec", "timeZone")}
"""Fields that Kubernetes 1.20 does not know: it leaves them out and says nothing."""


@pytest.mark.parametrize("name", [*WORKLOADS, "namespace.yaml"])
def test_the_api_server_takes_the_manifests(apiserver: ApiServer, name: str) -> None:
    """Nothing is made; every field that is sent comes back, so none is unknown there."""
    home(apiserver)
    for one in documents(name):
        path = collection(one, "gameday")
        sent = {**one, "metadata": {**one["metadata"]}}
        if one["kind"] == "CronJob":
            assert one["apiVersion"] == "batch/v1"
            sent["apiVersion"] = "batch/v1beta1"
        if name == "namespace.yaml":
            sent["metadata"]["name"] += "-dry"
            path = path.replace("/namespaces/gameday-dry/", "/namespaces/gameday/")
        taken = apiserver.done("POST", f"{path}?dryRun=All", sent)
        zoned = "timeZone" in one.get("spec", {})
        assert set(lost(sent, taken, ())) == (DROPPED if zoned else set())


def lost(sent: Any, taken: Any, at: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Where a value that was sent is not what came back."""
    if isinstance(sent, Mapping):
        for key, value in sent.items():
            if key not in (taken or {}):
                yield (*at, key)
            else:
                yield from lost(value, taken[key], (*at, key))
    elif isinstance(sent, list):
        for number, value in enumerate(sent):
            yield from lost(value, taken[number], (*at, str(number)))
    elif sent != taken:
        yield at


@pytest.mark.parametrize("name", WORKLOADS)
def test_pods_have_no_more_than_they_need(name: str) -> None:
    for one in documents(name):
        spec = one["spec"] if one["kind"] == "Job" else one["spec"]["jobTemplate"]["spec"]
        inside = spec["template"]["spec"]
        assert inside["securityContext"]["runAsNonRoot"] and inside["restartPolicy"] == "Never"
        claimed = any("persistentVolumeClaim" in volume for volume in inside["volumes"])
        assert claimed == (name != "sweep-cronjob.yaml"), "the marks are all that a sweep needs"
        for container in inside.get("initContainers", []) + inside["containers"]:
            locked = container["securityContext"]
            assert locked["readOnlyRootFilesystem"] and not locked["allowPrivilegeEscalation"]
            assert locked["capabilities"] == {"drop": ["ALL"]}
            for env in container["env"]:
                assert "value" in env and "password" not in env["name"].lower()
