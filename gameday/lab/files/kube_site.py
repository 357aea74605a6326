# SPDX-License-Identifier: Apache-2.0
"""What a site's controllers do, on the node of its API server; every part of a loop is small.

    python3 kube_site.py /etc/gameday-lab/kube/site.json

First it makes the objects that the site begins with. Then, every half second: the Deployment of
the ingress and its pods, the scheduler, the node-lifecycle controller (a Lease that was not renewed
for its grace makes a node NotReady) and EndpointSlices. kube_played.py has k8gb and Fleet.
"""

import json
import os
import sys
import time
import uuid

from kube_api import Api, Failed, Json, condition, now, said  # type: ignore[import-not-found]
from kube_played import Fleet, K8gb  # type: ignore[import-not-found]

TICK_S = 0.5
GRACE_S = 5.0
"""Kubernetes' own controller waits 40 s, for Leases that are renewed every 10 s."""

NAMESPACE, NAME = "ingress", "ingress"
DEPLOYMENT = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{NAME}"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
SLICES = f"/apis/discovery.k8s.io/v1beta1/namespaces/{NAMESPACE}/endpointslices"
OWN_SERVICE = "/api/v1/namespaces/default/services/kubernetes"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
TAINTS = {"False": "node.kubernetes.io/not-ready", "Unknown": "node.kubernetes.io/unreachable"}
"""By a node's condition Ready. The API server gives every new node the first."""

HEAVY = ("NoSchedule", "NoExecute")


def event(api: Api, about: Json, reason: str, message: str, warning: bool = False) -> None:
    """Tell of it, as controllers do; nobody depends on its being told."""
    meta = about["metadata"]
    # Events of what is in no namespace are in this one.
    namespace = meta.get("namespace", "default")
    api.make(f"/api/v1/namespaces/{namespace}/events", {
        "metadata": {"name": f"{meta['name']}.{uuid.uuid4().hex[:16]}"},
        "involvedObject": {
            "apiVersion": about.get("apiVersion", "v1"), "kind": about["kind"],
            "name": meta["name"], "namespace": meta.get("namespace", ""), "uid": meta["uid"],
        },
        "reason": reason, "message": message, "type": "Warning" if warning else "Normal",
        "source": {"component": "gameday-lab"}, "count": 1,
        "firstTimestamp": now(), "lastTimestamp": now(),
    })  # fmt: skip


def going(one: Json) -> bool:
    return "deletionTimestamp" in one["metadata"]


def ready(pod: Json) -> bool:
    return bool(said(pod.get("status", {}).get("conditions", []), "Ready") == "True")


# ---- The Deployment and the scheduler ----


def keep_deployment(api: Api) -> None:
    """As many pods as the Deployment asks for; those that go are not counted."""
    try:
        found = api.get(DEPLOYMENT)
    except Failed as error:
        if error.status != 404:
            raise
        return
    found["kind"], found["apiVersion"] = "Deployment", "apps/v1"
    wanted = 0 if going(found) else int(found["spec"].get("replicas", 1))
    pods = [one for one in api.items(f"{PODS}?labelSelector=app%3D{NAME}") if not going(one)]
    # What serves goes last.
    pods.sort(key=ready, reverse=True)
    if len(pods) != wanted:
        event(api, found, "ScalingReplicaSet", f"Scaled from {len(pods)} to {wanted}")
    for one in pods[wanted:]:
        api.change("DELETE", f"{PODS}/{one['metadata']['name']}")
    for _ in range(wanted - len(pods)):
        api.make(PODS, new_pod(found))
    post_deployment(api, found, pods[:wanted])


def new_pod(deployment: Json) -> Json:
    """From its template; a ReplicaSet between them would say nothing more here."""
    template = deployment["spec"]["template"]
    meta = deployment["metadata"]
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": meta["name"],
             "uid": meta["uid"], "controller": True, "blockOwnerDeletion": True}  # fmt: skip
    name = f"{meta['name']}-{uuid.uuid4().hex[:5]}"
    return {
        "metadata": {"name": name, "labels": template["metadata"]["labels"],
                     "ownerReferences": [owner]},
        "spec": template["spec"],
    }  # fmt: skip


def post_deployment(api: Api, deployment: Json, pods: list[Json]) -> None:
    """Its status, where it is not what the API server has."""
    before = deployment.get("status", {}).get("conditions", [])
    wanted = int(deployment["spec"].get("replicas", 1))
    good = sum(map(ready, pods))
    # As many may be missing as a rollout may take away: a quarter, rounded down.
    enough = good >= wanted - wanted // 4
    reason = "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable"
    status = {
        "observedGeneration": deployment["metadata"]["generation"],
        "replicas": len(pods), "updatedReplicas": len(pods), "readyReplicas": good,
        "availableReplicas": good, "unavailableReplicas": max(0, wanted - good),
        "conditions": [condition("Available", "True" if enough else "False", reason, "", before)],
    }  # fmt: skip
    # The API server leaves out what is 0 or empty.
    had = {"unavailableReplicas": 0, **deployment.get("status", {})}
    same = all(had.get(key, 0) == value for key, value in status.items() if key != "conditions")
    if not same or said(before, "Available") != said(status["conditions"], "Available"):
        api.change("PATCH", f"{DEPLOYMENT}/status", {"status": status})


def schedule(api: Api, nodes: list[Json]) -> None:
    """Bind every pod that has no node to one that may take it; one that none takes waits."""
    for pod in api.items(f"{PODS}?fieldSelector=spec.nodeName%3D"):
        node = next((one["metadata"]["name"] for one in nodes if takes(one, pod)), "")
        if going(pod):
            # It never ran anywhere, so nobody else ends it.
            api.change("DELETE", f"{PODS}/{pod['metadata']['name']}", {"gracePeriodSeconds": 0})
        elif node:
            target = {"apiVersion": "v1", "kind": "Node", "name": node}
            name = pod["metadata"]["name"]
            api.change("POST", f"{PODS}/{name}/binding", {
                "apiVersion": "v1", "kind": "Binding", "metadata": {"name": name},
                "target": target,
            })  # fmt: skip


def takes(node: Json, pod: Json) -> bool:
    """Whether the node is ready, not cordoned, not tainted, and what the pod selects."""
    labels = node["metadata"].get("labels", {})
    wished = pod["spec"].get("nodeSelector", {})
    tainted = any(one["effect"] in HEAVY for one in node["spec"].get("taints", []))
    fits = all(labels.get(key) == value for key, value in wished.items())
    return fits and not tainted and not node["spec"].get("unschedulable") and ready(node)


# ---- Node lifecycle ----


class Lifecycle:
    """Which nodes are heard of; a Lease's own time is not trusted, only that it changes."""

    def __init__(self) -> None:
        self._heard: dict[str, tuple[str, float]] = {}
        self._last = 0.0

    def keep(self, api: Api, nodes: list[Json]) -> None:
        """Mark who is silent; what is heard again marks itself, and loses its taints here."""
        moment = time.monotonic()
        renewed = {
            one["metadata"]["name"]: one.get("spec", {}).get("renewTime", "")
            for one in api.items(LEASES)
        }
        if moment - self._last > GRACE_S / 2:
            # We could not look ourselves, so that nobody's silence says anything.
            self._heard.clear()
        self._last = moment
        for node in nodes:
            name = node["metadata"]["name"]
            last = renewed.get(name, "")
            if self._heard.get(name, ("-", 0.0))[0] != last:
                self._heard[name] = (last, moment)
            silent = moment - self._heard[name][1] > GRACE_S
            state = said(node.get("status", {}).get("conditions", []), "Ready")
            if silent and state != "Unknown":
                self._mark(api, node)
                state = "Unknown"
            self._taint(api, node, state)

    def _taint(self, api: Api, node: Json, state: str) -> None:
        """Exactly the taints of that state, beside those of others."""
        taints = node["spec"].get("taints", [])
        wanted = [one for one in taints if one["key"] not in TAINTS.values()]
        if state in TAINTS:
            wanted += [{"key": TAINTS[state], "effect": effect} for effect in HEAVY]
        if {(t["key"], t["effect"]) for t in taints} != {(t["key"], t["effect"]) for t in wanted}:
            # Nobody else's taint is overwritten: the list is the one that was read.
            meta = {"resourceVersion": node["metadata"]["resourceVersion"]}
            api.change("PATCH", f"/api/v1/nodes/{node['metadata']['name']}", {
                "metadata": meta, "spec": {"taints": wanted},
            })  # fmt: skip

    def _mark(self, api: Api, node: Json) -> None:
        """All that is known of the node is unknown now; its pods serve nobody."""
        name = node["metadata"]["name"]
        text = "Kubelet stopped posting node status."
        before = node.get("status", {}).get("conditions", [])
        conditions = [
            {**one, **condition(one["type"], "Unknown", "NodeStatusUnknown", text, before)}
            for one in before
        ]
        api.change("PATCH", f"/api/v1/nodes/{name}/status", {"status": {"conditions": conditions}})
        event(api, {**node, "kind": "Node"}, "NodeNotReady", f"Node {name} is not ready", True)
        for pod in api.items(f"{PODS}?fieldSelector=spec.nodeName%3D{name}"):
            known = pod.get("status", {}).get("conditions", [])
            others = [one for one in known if one["type"] != "Ready"]
            changed = [*others, condition("Ready", "False", "NodeNotReady", "", known)]
            path = f"{PODS}/{pod['metadata']['name']}/status"
            api.change("PATCH", path, {"status": {"conditions": changed}})


# ---- EndpointSlices ----


def keep_slice(api: Api) -> None:
    """One slice of the ingress' Service: every pod that has an address, ready or not."""
    pods = api.items(f"{PODS}?labelSelector=app%3D{NAME}")
    endpoints = [
        {
            "addresses": [one["status"]["podIP"]],
            "conditions": {"ready": ready(one) and not going(one)},
            "topology": {"kubernetes.io/hostname": one["spec"]["nodeName"]},
            "targetRef": {"kind": "Pod", "namespace": NAMESPACE, "name": one["metadata"]["name"],
                          "uid": one["metadata"]["uid"]},
        }
        for one in pods if one.get("status", {}).get("podIP")
    ]  # fmt: skip
    name = f"{NAME}-lab"
    content = {
        "addressType": "IPv4", "endpoints": endpoints or None,
        "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
        "metadata": {"name": name, "labels": {
            "kubernetes.io/service-name": NAME,
            "endpointslice.kubernetes.io/managed-by": "gameday-lab",
        }},
    }  # fmt: skip
    try:
        had = api.get(f"{SLICES}/{name}")
    except Failed as error:
        if error.status != 404:
            raise
        # A site without an ingress has not even its namespace.
        if endpoints:
            api.make(SLICES, content)
        return
    if (had.get("endpoints") or None) != content["endpoints"]:
        version = had["metadata"]["resourceVersion"]
        labelled = {**content["metadata"], "resourceVersion": version}  # type: ignore[dict-item]
        api.change("PUT", f"{SLICES}/{name}", {**content, "metadata": labelled})


def begin(api: Api, objects: list[Json]) -> None:
    """Make what the site begins with, in its order; what is there stays as it is."""
    # The API server makes its own Service late, at the first address of the range, and never if
    # another Service was given that.
    api.patiently("GET", OWN_SERVICE)
    for one in objects:
        # A definition is served a moment after it was made.
        api.patiently("POST", one["path"], one["object"])


def main() -> None:
    """For ever: what fails is told once, and tried again."""
    with open(sys.argv[1]) as file:
        own = json.load(file)
    directory = os.path.dirname(sys.argv[1])
    with open(f"{directory}/objects.json") as file:
        objects = json.load(file)
    api, told, begun = Api("127.0.0.1", own["port"], directory, "site"), "", False
    lifecycle, k8gb, fleet = Lifecycle(), K8gb(own), Fleet()
    while True:
        try:
            if not begun:
                begin(api, objects)
                begun = True
            nodes = api.items("/api/v1/nodes")
            lifecycle.keep(api, nodes)
            keep_deployment(api)
            schedule(api, nodes)
            keep_slice(api)
            k8gb.keep(api)
            fleet.keep(api)
            told = ""
        except Failed as error:
            if str(error) != told:
                told = str(error)
                sys.stderr.write(f"{now()} {told}\n")
                sys.stderr.flush()
        time.sleep(TICK_S)


if __name__ == "__main__":
    main()
