# SPDX-License-Identifier: Apache-2.0
"""Leases on a real API server, held by a controller's host: what tests of them share."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gameday.agent import vigil
from gameday.clock import NS_PER_S, wall_ns
from tests.kube.apiserver import ApiServer

ROOT = Path(__file__).resolve().parents[2]

LEAD_S = 12
"""Python, the library and the guards start in seconds, and in five on a machine that others use."""

LEADS_S = (30, 90)
"""Where a busier machine has armed too late: a run measures how slow a host is, and a test asks
again."""

FLEET = "/apis/fleet.cattle.io/v1alpha1/namespaces/default/clusters"
ARGO = "/apis/argoproj.io/v1alpha1/namespaces/default/applications"
WORKS = "/apis/work.open-cluster-management.io/v1/namespaces/default/manifestworks"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
POLICIES = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies"
NODES = "/api/v1/nodes"

CONTAINER = {"name": "c", "image": "registry.example/pause:1"}
LABELS = {"matchLabels": {"app": "web"}}

HOLD = """
import json, sys
from gameday.cli.logs import configure
from gameday.transport.local import LocalAgent
configure("warning")
agent = LocalAgent()
agent.open()
answer = agent.call("arm", lease=json.loads(sys.argv[1]))
sys.stdout.write(json.dumps(answer) + "\\n")
sys.stdout.flush()
sys.stdin.read()
"""

ASK = """
import json, sys
from gameday.cli.logs import configure
from gameday.errors import GamedayError
from gameday.transport.local import LocalAgent
configure("warning")
agent = LocalAgent()
agent.open()
try:
    answer = agent.call(sys.argv[1], **json.loads(sys.argv[2]))
except GamedayError as error:
    answer = {"error": error.message}
agent.close()
sys.stdout.write(json.dumps(answer))
"""


class Host:
    """A controller's host: a state directory, an environment, gameday processes of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home / "state"
        self.base = self.home / "gameday" / "controller"
        self.entries = self.base / "ledger"
        self.environment = {**os.environ, "XDG_STATE_HOME": str(self.home)}

    def arm(self, lease: dict[str, Any]) -> subprocess.Popen[str]:
        """A process that stands for gameday: it holds the connection to the agent that armed.

        What was armed too late is armed anew, with another id and a later window of the same
        length: ``lease`` holds those then.
        """
        for lead_s in LEADS_S:
            holder, trouble = self._arm(lease)
            if "too late" not in trouble:
                break
            lasts = lease["expire_at_ns"] - lease["fire_at_ns"]
            fire = (wall_ns() // NS_PER_S + lead_s) * NS_PER_S
            lease |= {"id": os.urandom(4).hex(), "fire_at_ns": fire, "expire_at_ns": fire + lasts}
        else:
            holder, trouble = self._arm(lease)
        assert not trouble, trouble
        return holder

    def _arm(self, lease: dict[str, Any]) -> tuple[subprocess.Popen[str], str]:
        """The process, and why it could not arm; "" where it did."""
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLD, json.dumps(lease)], cwd=ROOT, env=self.environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip
        assert holder.stdout is not None and holder.stderr is not None
        line = holder.stdout.readline()
        if not line:
            return holder, holder.communicate()[1] or "it said nothing"
        return holder, "" if json.loads(line)["observation"]["state"] == "armed" else line

    def ask(self, call: str, **arguments: Any) -> Any:
        """One call to the agent of this host; {"error": ...} where it says so."""
        done = subprocess.run(
            [sys.executable, "-c", ASK, call, json.dumps(arguments)], cwd=ROOT, check=True,
            env=self.environment, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        return json.loads(done.stdout)

    def guard(self, lease: dict[str, Any], role: str) -> int:
        """The process of a guard."""
        return int((self.entries / f"{lease['id']}.{role}.pid").read_text())

    def kill_guards(self, lease: dict[str, Any], *roles: str) -> None:
        """SIGKILL, by their process groups: a sleeper has a child."""
        for role in roles:
            os.killpg(self.guard(lease, role), signal.SIGKILL)

    def close(self) -> None:
        """End guards of leases that are open still: their API server is about to go for good."""
        for entry in self.entries.glob("????????.json"):
            for path in self.entries.glob(f"{entry.stem}.*.pid"):
                pid = int(path.read_text())
                if vigil.is_ours(pid, entry.stem):
                    os.killpg(pid, signal.SIGKILL)

    def ended(self, lease: dict[str, Any]) -> bool:
        """Whether the ledger has the lease as ended."""
        return (self.entries / f"{lease['id']}.ended.json").exists()

    def trouble(self, lease: dict[str, Any]) -> str:
        """The last trouble that a guard noted."""
        path = self.entries / f"{lease['id']}.trouble.txt"
        return path.read_text() if path.exists() else ""


def cluster_of(server: ApiServer, kubeconfig: Path | None = None) -> dict[str, Any]:
    return {"kubeconfig": str(kubeconfig or server.kubeconfig), "context": server.context,
            "in_cluster": False}  # fmt: skip


def lease(
    server: ApiServer, kind_: str, for_s: int = 4, kubeconfig: Path | None = None, **spec: Any
) -> dict[str, Any]:  # fmt: skip
    """A lease that begins in ``LEAD_S``."""
    fire = (wall_ns() // NS_PER_S + LEAD_S) * NS_PER_S
    spec = {"site": "frankfurt", "cluster": cluster_of(server, kubeconfig), **spec}
    return {"id": os.urandom(4).hex(), "run": "run-of-a-test", "node": "controller", "fault": "f",
            "kind": kind_, "spec": spec, "fire_at_ns": fire,
            "expire_at_ns": fire + for_s * NS_PER_S}  # fmt: skip


def left_s(lease: Mapping[str, Any]) -> float:
    """Until the lease's window ends."""
    return max(0.0, (int(lease["expire_at_ns"]) - wall_ns()) / NS_PER_S)


def wait(holds: Callable[[], Any], within_s: float, told: Callable[[], Any]) -> None:
    """Until it holds; an OSError, as of a server that is just starting or was killed, is a no.

    Raises:
        AssertionError: where it does not in time, with what is told and the last such error.
    """
    last = wall_ns() + int(within_s * NS_PER_S)
    while True:
        error: OSError | None = None
        try:
            if holds():
                return
        except OSError as caught:
            error = caught
        assert wall_ns() < last, f"{told()}" + (f"; asking: {error!r}" if error else "")
        time.sleep(0.05)


class Kind:
    """One kind with an object of its own in the cluster.

    Attributes:
        changed: whether the object is as the lease sets it. path: of the object, "" where the
            lease makes it.
    """

    def __init__(self, server: ApiServer, kind: str, name: str) -> None:
        self.server, self.kind, self.name = server, kind, name
        self.path, body, self.spec = _OBJECTS[kind](name)
        if body is not None:
            collection = self.path.rpartition("/")[0]
            made = server.done("POST", collection, body)
            if "status" in body and kind == "kube-pause.ocm":
                server.done("PUT", f"{self.path}/status", {**made, "status": body["status"]})
        self.was = self.read()

    def lease(self, for_s: int = 4, kubeconfig: Path | None = None) -> dict[str, Any]:
        return lease(self.server, self.kind.split(".")[0], for_s, kubeconfig, **self.spec)

    def read(self) -> Any:
        """What a lease may change, without what the server counts by itself."""
        if not self.path:
            found = self.server.done("GET", POLICIES)["items"]
            own = [one for one in found if one["spec"]["podSelector"] == self._selector()]
            return [{"spec": one["spec"]} for one in own]
        found = self.server.done("GET", self.path)
        meta = {key: found["metadata"].get(key) for key in ("labels", "annotations")}
        spec = {key: value for key, value in found["spec"].items() if key != "taints"}
        return {"spec": spec, "metadata": meta}

    def changed(self) -> bool:
        return bool(self.read() != self.was)

    def _selector(self) -> Any:
        return {"matchLabels": {"app": self.name}}


def _cordon(name: str) -> Any:
    spec = {"nodes": [{"node": name, "known_as": ""}], "drain": False}
    return f"{NODES}/{name}", {"metadata": {"name": name}}, spec


def _scale(name: str) -> Any:
    pod = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [CONTAINER]}}
    body = {"metadata": {"name": name},
            "spec": {"replicas": 3, "selector": LABELS, "template": pod}}  # fmt: skip
    spec = {"namespace": "default", "resource": "deployments", "name": name, "replicas": 0}
    return f"{DEPLOYMENTS}/{name}", body, spec


def _deny(name: str) -> Any:
    spec = {"namespace": "default", "pods": {"app": name}, "types": ["Ingress", "Egress"]}
    return "", None, spec


def _pause(tool: str, kind: str, resource: str, collection: str, body: Any) -> Any:
    def make(name: str) -> Any:
        spec = {"tool": tool, "kind": kind, "resource": resource, "namespace": "default",
                "names": [name], "destination": ""}  # fmt: skip
        version = resource.rpartition("/")[0]
        whole = {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **body}
        return f"{collection}/{name}", whole, spec

    return make


_CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "y"}}
_META = {"ordinal": 0, "group": "", "version": "v1", "kind": "ConfigMap",
         "resource": "configmaps", "name": "x", "namespace": "y"}  # fmt: skip
_APPLICATION = {"spec": {
    "project": "default", "destination": {"name": "frankfurt", "namespace": "shop"},
    "source": {"repoURL": "https://git.example/shop.git", "path": "."},
    "syncPolicy": {"automated": {"prune": True, "selfHeal": True}},
}}  # fmt: skip

_OBJECTS: dict[str, Callable[[str], Any]] = {
    "kube-cordon": _cordon,
    "kube-scale": _scale,
    "kube-deny": _deny,
    "kube-pause.fleet": _pause("fleet", "Cluster", "fleet.cattle.io/v1alpha1/clusters", FLEET,
                               {"spec": {}}),
    "kube-pause.argocd": _pause("argocd", "Application", "argoproj.io/v1alpha1/applications",
                                ARGO, _APPLICATION),
    "kube-pause.ocm": _pause(
        "ocm", "ManifestWork", "work.open-cluster-management.io/v1/manifestworks", WORKS,
        {"spec": {"workload": {"manifests": [_CONFIG]}},
         "status": {"resourceStatus": {"manifests": [{"resourceMeta": _META, "conditions": []}]}}},
    ),
}  # fmt: skip
KINDS = tuple(_OBJECTS)
