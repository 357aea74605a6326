# SPDX-License-Identifier: Apache-2.0
"""A site's cluster at work: a real API server, the lab's controllers, and who is played here.

The lab's own controllers (gameday/lab/files/kube_site.py) run as in the lab and play k8gb and
Fleet beside the Deployment and its pods. A test plays the node's kubelet with ``beat`` and
``serve``, or has ``World`` play it along with what is outside: two ingresses that really answer
requests, and a name server that hands out what k8gb's status says.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gameday import clock
from gameday.lab import certificates
from gameday.lab import topology as t
from gameday.lab.parts import kube_objects
from tests.kube.apiserver import ApiServer
from tests.unit.nameserver import NameServer

NODE = "fra-2"
"""The node of Frankfurt that the ingress runs on."""

PODS = "/api/v1/namespaces/ingress/pods"
DEPLOYMENT = "/apis/apps/v1/namespaces/ingress/deployments/ingress"
GSLB = "/apis/k8gb.absa.oss/v1beta1/namespaces/ingress/gslbs/app"
FLEET = "/apis/fleet.cattle.io/v1alpha1/namespaces/fleet-local"
LEASE = f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{NODE}"
INGRESS = "198.18.10.12"

BEAT_NS = 300 * clock.NS_PER_MS
"""Between two rounds of the played kubelet; the lab's node controller waits 5 s for one."""

LAG_NS = 3 * clock.NS_PER_S


@contextlib.contextmanager
def site_at_work(home: Path, ingress: str = INGRESS) -> Iterator[ApiServer]:
    """Frankfurt's API server with its controllers; one node, that nothing renews the Lease of.

    Args:
        home: for files; what the controllers are told is in "controllers".
        ingress: the address that k8gb says it serves.
    """
    own = home / "controllers"
    own.mkdir(parents=True)
    authority = certificates.Authority(own)
    authority.sign("site", "gameday-lab:site", "system:masters")
    server = ApiServer(home / "server")
    server.trust(own / "ca.crt")
    with server:
        # It asks the server by the certificate that the server has.
        (own / "ca.crt").write_bytes(server.ca.read_bytes())
        told = {"site": "frankfurt", "port": server.port, "ingress": ingress, "others": {}}
        (own / "site.json").write_text(json.dumps(told))
        (own / "objects.json").write_text(json.dumps(kube_objects.objects("frankfurt")))
        server.done("POST", "/api/v1/nodes", {
            "metadata": {"name": NODE, "labels": kube_objects.labels(t.node(NODE))},
        })  # fmt: skip
        beat(server)
        with controllers(own):
            yield server


@contextlib.contextmanager
def controllers(own: Path) -> Iterator[None]:
    """The site's controllers at work, as the files in a directory tell them."""
    with open(own / "site.log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(t.FILES / "kube_site.py"), str(own / "site.json")],
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield
    finally:
        process.kill()
        process.wait()


# ---- The kubelet ----


def beat(server: ApiServer) -> None:
    """One heartbeat of the node: its Lease, and Ready in its status."""
    moment = f"2026-01-01T00:00:{clock.mono_ns() // clock.NS_PER_MS % 60_000 / 1000:09.6f}Z"
    spec = {"holderIdentity": NODE, "renewTime": moment}
    if server.request("PATCH", LEASE, {"spec": spec})[0] == 404:
        server.done("POST", LEASE.rpartition("/")[0], {"metadata": {"name": NODE}, "spec": spec})
    words = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""}
    server.done("PATCH", f"/api/v1/nodes/{NODE}/status", {"status": {"conditions": [words]}})


def pods(server: ApiServer) -> list[dict[str, Any]]:
    """Of the ingress; none before there is such a namespace."""
    return list(server.done("GET", PODS)["items"])


def bury(server: ApiServer) -> None:
    """Pods that have to go are gone."""
    for one in pods(server):
        if "deletionTimestamp" in one["metadata"]:
            path = f"{PODS}/{one['metadata']['name']}"
            server.request("DELETE", path, {"gracePeriodSeconds": 0})


def run_pod(server: ApiServer, pod: dict[str, Any], address: str = INGRESS) -> None:
    """A pod that is bound to the node runs there, and is ready."""
    status = {
        "phase": "Running", "podIP": address, "podIPs": [{"ip": address}],
        "conditions": [{"type": "Ready", "status": "True"}],
    }  # fmt: skip
    path = f"{PODS}/{pod['metadata']['name']}/status"
    # It may have been deleted meanwhile, which the next round sees.
    server.request("PATCH", path, {"status": status})


def gslb_status(server: ApiServer) -> dict[str, Any]:
    """What k8gb wrote last; nothing before there is a Gslb."""
    code, found = server.request("GET", GSLB)
    status: dict[str, Any] = found.get("status", {}) if code == 200 else {}
    return status


def health(server: ApiServer) -> str:
    """What k8gb's status says of the application."""
    status = gslb_status(server)
    return str(status.get("serviceHealth", {}).get(t.APP_NAME, ""))


# ---- The world outside ----


class Ingress(http.server.ThreadingHTTPServer):
    """A site's ingress: answers while ``serving``, and says 503 while not."""

    daemon_threads = True

    def __init__(self, address: str, port: int) -> None:
        super().__init__((address, port), _Answer)
        self.serving, self.came = True, list[int]()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """It refuses from now on."""
        self.shutdown()
        self.server_close()


class _Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Ingress)
        self.server.came.append(clock.mono_ns())
        self.send_response(200 if self.server.serving else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """The test's output is not a server's log."""


class World:
    """Frankfurt's kubelet, both sites' ingresses and the name server of users, played.

    Frankfurt's ingress answers while a pod runs on its node, as the lab's does; the name server
    hands out London always, and Frankfurt where the status of the Gslb has its address, or had it
    ``LAG_NS`` ago: a record lives on in caches for so long, and users fail meanwhile.

    Attributes:
        frankfurt, london: addresses. port: of both ingresses. names: the name server, on London's.
        came: when each request reached Frankfurt, by the monotonic clock. trouble: the last time
            that the API server was away.
    """

    frankfurt, london = "127.0.1.10", "127.0.2.10"

    def __init__(self, server: ApiServer) -> None:
        self._server, self._ended = server, threading.Event()
        self._near = Ingress(self.frankfurt, 0)
        self.port = int(self._near.server_address[1])
        self._far = Ingress(self.london, self.port)
        self._near.serving, self.came = False, self._near.came
        self.names = NameServer([self.london], self.london, ttl=1)
        self.trouble, self._served_ns = "", -LAG_NS
        self._thread = threading.Thread(target=self._play, daemon=True)

    def __enter__(self) -> World:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self.names.__exit__()
        for one in (self._near, self._far):
            one.stop()

    @property
    def settled(self) -> bool:
        """Whether Frankfurt serves, and users are sent there."""
        return self._near.serving and self.frankfurt in self.names.answers

    def _play(self) -> None:
        while not self._ended.wait(BEAT_NS / clock.NS_PER_S):
            try:
                self._round()
            except (OSError, AssertionError) as error:
                # The API server is away, or has just begun and refuses. A kubelet's pods run on
                # meanwhile, and a name server keeps what it was told last.
                self.trouble = repr(error)

    def _round(self) -> None:
        beat(self._server)
        here = [one for one in pods(self._server) if one["spec"].get("nodeName") == NODE]
        alive = [one for one in here if "deletionTimestamp" not in one["metadata"]]
        self._near.serving = bool(alive)
        bury(self._server)
        for one in alive:
            if not one.get("status", {}).get("podIP"):
                run_pod(self._server, one, self.frankfurt)
        served = gslb_status(self._server).get("healthyRecords", {}).get(t.APP_NAME, [])
        now = clock.mono_ns()
        if self.frankfurt in served:
            self._served_ns = now
        there = now - self._served_ns < LAG_NS
        self.names.answers = [*([self.frankfurt] if there else []), self.london]
