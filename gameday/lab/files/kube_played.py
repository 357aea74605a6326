# SPDX-License-Identifier: Apache-2.0
"""k8gb and Rancher Fleet, played: the statuses that their controllers write. Standard library only.

Neither can be had here. What is played is what gameday watches: k8gb's word on each host, from the
endpoints of the host's Service, and Fleet's on its GitRepos and Bundles. k8gb's own DNS server is
not played: the lab's name servers check the ingresses by themselves.
"""

import http.client
from typing import Any

from kube_api import Api, Failed, Json, now  # type: ignore[import-not-found]

OTHER_TIMEOUT_S = 0.5
OTHER_LOOKS = 4
"""Other sites are asked every so many looks."""

BUNDLE_PATH = "/apis/fleet.cattle.io/v1alpha1/bundles"
REPO_PATH = "/apis/fleet.cattle.io/v1alpha1/gitrepos"


def maybe(api: Api, path: str) -> list[Json]:
    """Objects of a list; none where the kind is not known any more."""
    try:
        return list(api.items(path))
    except Failed as error:
        if error.status != 404:
            raise
        return []


class K8gb:
    """Writes the status of every Gslb of this cluster."""

    def __init__(self, own: dict[str, Any]) -> None:
        self._site, self._address = own["site"], own["ingress"]
        self._others: dict[str, str] = own["others"]
        self._alive: list[str] = []
        self._look = 0

    def keep(self, api: Api) -> None:
        """Status from endpoints; addresses of other sites as far as they answer from here."""
        gslbs = maybe(api, "/apis/k8gb.absa.oss/v1beta1/gslbs")
        if gslbs and self._look % OTHER_LOOKS == 0:
            self._alive = [one for one in self._others.values() if answers(one)]
        self._look += 1
        for one in gslbs:
            meta = one["metadata"]
            rules = one["spec"].get("ingress", {}).get("rules", [])
            health = {
                rule.get("host", ""): self._health(api, meta["namespace"], rule) for rule in rules
            }
            records = {
                host: sorted(([self._address] if word == "Healthy" else []) + self._alive)
                for host, word in health.items()
            }
            status = {
                "geoTag": self._site, "hosts": ", ".join(health), "serviceHealth": health,
                "healthyRecords": records, "loadBalancer": {"exposedIps": [self._address]},
            }  # fmt: skip
            if one.get("status") != status:
                path = f"/apis/k8gb.absa.oss/v1beta1/namespaces/{meta['namespace']}/gslbs"
                # Whole: a merge patch would keep hosts that are gone.
                api.change("PUT", f"{path}/{meta['name']}/status", {**one, "status": status})

    def _health(self, api: Api, namespace: str, rule: Json) -> str:
        """Healthy, Unhealthy or NotFound, as k8gb says it of a host's first Service."""
        try:
            service = rule["http"]["paths"][0]["backend"]["service"]["name"]
        except (KeyError, IndexError):
            return "NotFound"
        try:
            api.get(f"/api/v1/namespaces/{namespace}/services/{service}")
        except Failed as error:
            if error.status != 404:
                raise
            return "NotFound"
        slices = api.items(
            f"/apis/discovery.k8s.io/v1beta1/namespaces/{namespace}/endpointslices"
            f"?labelSelector=kubernetes.io%2Fservice-name%3D{service}"
        )
        endpoints = [each for one in slices for each in one.get("endpoints") or []]
        good = any(each.get("conditions", {}).get("ready") for each in endpoints)
        return "Healthy" if good else "Unhealthy"


def answers(address: str) -> bool:
    """Whether another site's ingress does."""
    connection = http.client.HTTPConnection(address, timeout=OTHER_TIMEOUT_S)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class Fleet:
    """Says of the ingress' bundle whether the Deployment is as it was deployed, and makes it so.

    As Fleet does: a change by hand is only reported ("Modified") unless ``correctDrift`` is
    enabled, and a bundle that is paused, by itself or by its GitRepo, is not touched.
    """

    def keep(self, api: Api) -> None:
        """Bundles first; a GitRepo says what its bundles say."""
        repos = {one["metadata"]["name"]: one for one in maybe(api, REPO_PATH)}
        states: dict[str, list[str]] = {}
        for one in maybe(api, BUNDLE_PATH):
            name = one["metadata"].get("labels", {}).get("fleet.cattle.io/repo-name", "")
            repo = repos.get(name, {"spec": {}})
            state = self._bundle(api, one, repo)
            states.setdefault(name, []).append(state)
            ready = {"readyClusters": f"{int(state == 'Ready')}/1", "state": state}
            post(api, one, "bundles", state, ready)
        for name, one in repos.items():
            known = states.get(name, [])
            worst = next((state for state in known if state != "Ready"), "Ready")
            ready = {
                "readyBundleDeployments": f"{known.count('Ready')}/{len(known)}", "state": worst,
            }  # fmt: skip
            post(api, one, "gitrepos", worst, ready)

    def _bundle(self, api: Api, bundle: Json, repo: Json) -> str:
        """Its state, after drift was corrected where that is asked for."""
        wanted = bundle["metadata"].get("annotations", {})
        path, replicas = wanted.get("gameday.test/path"), wanted.get("gameday.test/replicas")
        if not path or not replicas:
            return "Ready"
        try:
            found = api.get(path)
        except Failed as error:
            if error.status != 404:
                raise
            return "Modified"
        if found["spec"].get("replicas") == int(replicas):
            return "Ready"
        paused = bundle["spec"].get("paused") or repo["spec"].get("paused")
        corrects = any(
            (one["spec"].get("correctDrift") or {}).get("enabled") for one in (bundle, repo)
        )
        if corrects and not paused:
            api.change("PATCH", path, {"spec": {"replicas": int(replicas)}})
        return "Modified"


def post(api: Api, one: Json, plural: str, state: str, display: dict[str, str]) -> None:
    """Status of a Bundle or GitRepo, where it is not what the API server has."""
    had = one.get("status", {})
    generation = one["metadata"]["generation"]
    if had.get("display", {}).get("state") == state and (
        had.get("observedGeneration") == generation
    ):
        return
    good = state == "Ready"
    summary = {"desiredReady": 1, "ready": int(good), "modified": int(not good)}
    word = {"type": "Ready", "status": "True" if good else "False", "lastUpdateTime": now()}
    if not good:
        word["message"] = "Modified(1)"
    status = {"observedGeneration": generation, "summary": summary, "conditions": [word],
              "display": display}  # fmt: skip
    meta = one["metadata"]
    path = f"/apis/fleet.cattle.io/v1alpha1/namespaces/{meta['namespace']}/{plural}"
    api.change("PATCH", f"{path}/{meta['name']}/status", {"status": status})
