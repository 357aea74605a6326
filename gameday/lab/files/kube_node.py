# SPDX-License-Identifier: Apache-2.0
"""What a kubelet does, for one node of the lab: heartbeats, and the pods that are bound to it.

    python3 kube_node.py /etc/gameday-lab/kube/node.json

It registers the node, renews its Lease every second and posts its status when that is not what it
should be, over the site's own network. A pod of this lab is the node's nginx: while one is bound to
the node, init may run nginx; when the last has to go, nginx is ended first. Without an API server
nothing changes, as with a real kubelet. Before the first pod nginx is left alone, so that the
ingress works while the cluster is still being made.
"""

import contextlib
import http.client
import json
import os
import signal
import sys
import time

from kube_api import Api, Failed, Json, condition, now, now_micro, said  # type: ignore[import-not-found]

TICK_S = 0.5
LEASE_S = 1.0
LEASE_DURATION_S = 4
READY_TIMEOUT_S = 1.0
END_S = 2.0
HOLD = "/run/lab-hold-ingress"
"""While this file is there, init does not start the service ingress."""
ADOPTED = "/run/lab-pods"
"""Since this file is there, nginx lives by pods."""
NGINX_PID = "/run/nginx.pid"

with open(sys.argv[1]) as file:
    OWN = json.load(file)
NODE = f"/api/v1/nodes/{OWN['name']}"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"


# ---- The node ----


def conditions(before: list[Json]) -> list[Json]:
    """As of a healthy node; each look has a heartbeat."""
    fine = (
        ("MemoryPressure", "False", "KubeletHasSufficientMemory", "enough memory"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "enough disk"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "enough processes"),
        ("Ready", "True", "KubeletReady", "the lab's kubelet posts its status"),
    )
    return [{**condition(*one, before), "lastHeartbeatTime": now()} for one in fine]


def register(api: Api) -> None:
    """Make the node, or put back the labels and addresses that it had at its beginning."""
    labels = {"metadata": {"labels": OWN["labels"]}}
    spec = {"podCIDR": OWN["pod_cidr"], "podCIDRs": [OWN["pod_cidr"]]}
    api.make("/api/v1/nodes", {"metadata": {"name": OWN["name"], **labels["metadata"]},
                               "spec": spec})  # fmt: skip
    api.change("PATCH", NODE, labels)
    post_status(api, [])


def post_status(api: Api, before: list[Json]) -> None:
    """All of the node's status."""
    amount = {"cpu": str(os.cpu_count() or 1), "memory": "2Gi", "pods": "110"}
    status = {
        "addresses": OWN["addresses"], "capacity": amount, "allocatable": amount,
        "conditions": conditions(before),
        "nodeInfo": {
            "machineID": OWN["name"], "systemUUID": OWN["name"], "bootID": OWN["name"],
            "kernelVersion": os.uname().release, "osImage": "gameday lab",
            "containerRuntimeVersion": "gameday-lab://1", "kubeletVersion": OWN["version"],
            "kubeProxyVersion": OWN["version"], "operatingSystem": "linux",
            "architecture": "amd64",
        },
    }  # fmt: skip
    api.ask("PATCH", f"{NODE}/status", {"status": status})


def renew(api: Api) -> None:
    """The heartbeat; a Lease that somebody deleted is made again."""
    spec = {"holderIdentity": OWN["name"], "leaseDurationSeconds": LEASE_DURATION_S,
            "renewTime": now_micro()}  # fmt: skip
    try:
        api.ask("PATCH", f"{LEASES}/{OWN['name']}", {"spec": spec})
    except Failed as error:
        if error.status != 404:
            raise
        api.make(LEASES, {"metadata": {"name": OWN["name"]}, "spec": spec})


def keep_ready(api: Api) -> None:
    """Post the status where the API server has another one, as after a time without us."""
    try:
        found = api.get(NODE).get("status", {}).get("conditions", [])
    except Failed as error:
        if error.status != 404:
            raise
        register(api)
        return
    if said(found, "Ready") != "True":
        post_status(api, found)


# ---- Its pods ----


def nginx() -> list[int]:
    """Process ids of nginx: the master's first; none where it does not run."""
    try:
        with open(NGINX_PID) as file:
            master = int(file.read())
        with open(f"/proc/{master}/comm") as file:
            if file.read().strip() != "nginx":
                return []
        with open(f"/proc/{master}/task/{master}/children") as file:
            return [master, *map(int, file.read().split())]
    except (OSError, ValueError):
        return []


def end_nginx() -> None:
    """As the end of a container: asked to go, and killed where it does not."""
    with open(HOLD, "w"):
        pass
    deadline = time.monotonic() + END_S
    asked = False
    while found := nginx():
        late = time.monotonic() > deadline
        for pid in found if late else found[:1]:
            with contextlib.suppress(ProcessLookupError):
                if late or not asked:
                    os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
        asked = True
        time.sleep(0.02)


def answers() -> bool:
    """The readiness probe: does nginx, and the app behind it, answer at all?"""
    connection = http.client.HTTPConnection(OWN["address"], timeout=READY_TIMEOUT_S)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def path_of(pod: Json) -> str:
    meta = pod["metadata"]
    return f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"


def keep_pods(api: Api) -> None:
    """Run nginx or end it, by what is bound to this node, and say how it is."""
    pods = api.items(f"/api/v1/pods?fieldSelector=spec.nodeName%3D{OWN['name']}")
    going = [one for one in pods if one["metadata"].get("deletionTimestamp")]
    staying = [one for one in pods if one not in going]
    if staying:
        with open(ADOPTED, "w"):
            pass
        with contextlib.suppress(FileNotFoundError):
            os.unlink(HOLD)
    elif os.path.exists(ADOPTED):
        end_nginx()
    for one in going:
        api.change("DELETE", path_of(one), {
            "gracePeriodSeconds": 0, "preconditions": {"uid": one["metadata"]["uid"]},
        })  # fmt: skip
    ready = bool(staying) and answers()
    for one in staying:
        post_pod(api, one, bool(nginx()), ready)


def post_pod(api: Api, pod: Json, runs: bool, ready: bool) -> None:
    """The pod's status, where it is not what the API server has."""
    had = pod.get("status", {})
    before = had.get("conditions", [])
    phase = "Running" if runs or had.get("phase") == "Running" else "Pending"
    word, reason = ("True", "") if ready else ("False", "ContainersNotReady")
    if (had.get("phase"), said(before, "Ready")) == (phase, word):
        return
    parts = [("Initialized", "True", ""), ("Ready", word, reason),
             ("ContainersReady", word, reason), ("PodScheduled", "True", "")]  # fmt: skip
    state = {"running": {"startedAt": now()}} if runs else {"waiting": {"reason": "NotRunning"}}
    image = pod["spec"]["containers"][0]
    status = {
        "phase": phase, "hostIP": OWN["address"], "podIP": OWN["address"],
        "podIPs": [{"ip": OWN["address"]}], "startTime": had.get("startTime") or now(),
        "conditions": [condition(*one, "", before) for one in parts],
        "containerStatuses": [{
            "name": image["name"], "image": image["image"], "imageID": "", "restartCount": 0,
            "ready": ready, "started": runs, "state": state,
        }],
    }  # fmt: skip
    api.change("PATCH", f"{path_of(pod)}/status", {"status": status})


def main() -> None:
    """For ever: what fails is told once, and tried again."""
    api = Api(OWN["server"], OWN["port"], os.path.dirname(sys.argv[1]), OWN["name"])
    registered, due, told = False, 0.0, ""
    while True:
        try:
            if not registered:
                register(api)
                registered = True
            if time.monotonic() >= due:
                renew(api)
                due = time.monotonic() + LEASE_S
                keep_ready(api)
            keep_pods(api)
            told = ""
        except Failed as error:
            if str(error) != told:
                told = str(error)
                sys.stderr.write(f"{now()} {told}\n")
                sys.stderr.flush()
        time.sleep(TICK_S)


if __name__ == "__main__":
    main()
