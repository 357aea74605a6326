# SPDX-License-Identifier: Apache-2.0
"""The API of every site's cluster in a lab, asked by a client that no run shares."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from gameday import clock
from gameday.lab import Lab
from gameday.lab import topology as t
from gameday.lab.parts import kubernetes
from gameday.plan.inventory import load_inventory
from gameday.probes.kube_client import MERGE_PATCH, Client
from gameday.transport import netns

KUBE_PARTS: Mapping[str, Sequence[str]] = {"also": ["kubernetes"], "without": ["monitoring"]}
"""Of a lab with clusters: without what tests of those do not need."""

WAIT_S = 60
"""Everything here takes a few seconds, and longer on a machine that others use."""

DEPLOYMENT = "/apis/apps/v1/namespaces/ingress/deployments/ingress"
GSLB = "/apis/k8gb.absa.oss/v1beta1/namespaces/ingress/gslbs/app"
GIT_REPO = "/apis/fleet.cattle.io/v1alpha1/namespaces/fleet-local/gitrepos/platform"
HTTP = (
    "import http.client, sys; c = http.client.HTTPConnection(sys.argv[1], timeout=3)\n"
    "c.request('GET', '/healthz/deep'); sys.stdout.write(str(c.getresponse().status))"
)
ADDRESS = {one.site: t.v4(one) for one in t.with_role("ingress")}


class Clusters:
    """Every site's API, as the controller reaches it: from its own network namespace."""

    def __init__(self, lab: Lab) -> None:
        inventory = load_inventory(lab.inventory)
        handle = str(lab.state / "ctl.netns")
        # One thread is moved there, and the clients stay with it.
        self._inside = ThreadPoolExecutor(1, initializer=netns.enter, initargs=(handle,))
        self._clients = {}
        for site in kubernetes.sites():
            cluster = inventory.cluster(site)
            assert cluster is not None, site
            self._clients[site] = Client(cluster)

    def close(self) -> None:
        for client in self._clients.values():
            self._inside.submit(client.close).result()
        self._inside.shutdown()

    def get(self, site: str, path: str) -> dict[str, Any]:
        return self._inside.submit(self._clients[site].request, "GET", path).result()

    def patch(self, site: str, path: str, body: Any) -> None:
        self._inside.submit(
            self._clients[site].request, "PATCH", path, body, content_type=MERGE_PATCH
        ).result()

    def ready(self, site: str) -> dict[str, str]:
        """Node to the status of its condition Ready."""
        return {
            one["metadata"]["name"]: each["status"]
            for one in self.get(site, "/api/v1/nodes")["items"]
            for each in one["status"]["conditions"] if each["type"] == "Ready"
        }  # fmt: skip

    def word(self, site: str) -> str:
        """k8gb's on the app, of that site."""
        return str(self.get(site, GSLB).get("status", {}).get("serviceHealth", {}).get(t.APP_NAME))


def wait(condition: Callable[[], bool], what: str) -> int:
    """Until it holds; nanoseconds that it took."""
    begin = clock.mono_ns()
    while not condition():
        assert clock.mono_ns() - begin < WAIT_S * clock.NS_PER_S, f"not in time: {what}"
        clock.sleep_until_mono(clock.mono_ns() + 200 * clock.NS_PER_MS)
    return clock.mono_ns() - begin


def serves(lab: Lab, site: str) -> bool:
    """Whether a user gets an answer from that site's ingress."""
    done = lab.exec("cli-1", ["/usr/bin/python3", "-c", HTTP, ADDRESS[site]])
    return done.stdout == "200"
