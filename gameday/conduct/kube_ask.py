# SPDX-License-Identifier: Apache-2.0
"""Ask clusters for what an inventory can have of them. Only reads.

Every request has its time, and all of a cluster's together have; a cluster that is not heard
within it is unknown. Clusters are asked at the same time, so that one that hangs costs no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from gameday import clock
from gameday.clock import NS_PER_S
from gameday.plan.clusters import IN_CLUSTER
from gameday.plan.kube_drift import Asked
from gameday.plan.kube_nodes import Answers, Cluster, Json, read_cluster
from gameday.probes.kube_client import ApiFailed, Client, same_cluster

TIMEOUT_S = 10.0
"""For all questions to one cluster; an answer takes milliseconds, a page of pods some tenths."""

PAGE = 500
"""Objects per answer, as kubectl asks for them."""

PAGES_MAX = 100
"""Fifty thousand pods; a larger cluster's are not compared."""

PARALLEL = 16

NODES = "/api/v1/nodes"
ETCD_PODS = "/api/v1/namespaces/kube-system/pods"
PODS = "/api/v1/pods"
CILIUM = "/apis/cilium.io/v2/ciliumnodes"


def ask(cluster: Mapping[str, Any], timeout_s: float = TIMEOUT_S, pods: bool = True) -> Cluster:
    """One cluster as it says it is.

    Args:
        cluster: as ``gameday.probes.kube_client`` describes it.
        timeout_s: for all of it. pods: also ask for pods, to compare pod networks with theirs.

    Raises:
        ApiFailed: where its nodes cannot be read; what else cannot be is a note.
    """
    until_ns = clock.mono_ns() + round(timeout_s * NS_PER_S)
    client = Client(cluster)
    try:
        nodes = _every(client, NODES, until_ns)
        if not pods:
            return read_cluster(Answers(nodes))
        etcd = _try(client, ETCD_PODS, until_ns, {"labelSelector": "component=etcd"})
        cilium = _try(client, CILIUM, until_ns, {})
        every = None if isinstance(cilium, list) and cilium else _try(client, PODS, until_ns, {})
        return read_cluster(Answers(nodes, etcd, every, cilium))
    finally:
        client.close()


def ask_all(
    clusters: Mapping[str, Mapping[str, Any]], timeout_s: float = TIMEOUT_S, pods: bool = True
) -> list[Asked]:
    """Every cluster of an inventory, each once however many sites it has.

    Args:
        clusters: by site.
    """
    together: list[tuple[list[str], Mapping[str, Any]]] = []
    for site, cluster in sorted(clusters.items()):
        own = next((sites for sites, other in together if same_cluster(other, cluster)), None)
        if own is None:
            together.append(([site], cluster))
        else:
            own.append(site)

    def one(pair: tuple[list[str], Mapping[str, Any]]) -> Asked:
        sites, cluster = pair
        try:
            return Asked(tuple(sites), name_of(cluster), ask(cluster, timeout_s, pods))
        except ApiFailed as error:
            return Asked(tuple(sites), name_of(cluster), None, str(error))

    if not together:
        return []
    with ThreadPoolExecutor(max_workers=min(PARALLEL, len(together))) as pool:
        return list(pool.map(one, together))


def name_of(cluster: Mapping[str, Any]) -> str:
    """What a cluster is called in messages."""
    return IN_CLUSTER if cluster.get("in_cluster") else str(cluster["context"])


def _try(client: Client, path: str, until_ns: int, query: Mapping[str, str]) -> list[Json] | str:
    """The objects, or why there are none to be had; what is not installed is an empty list."""
    try:
        return _every(client, path, until_ns, query)
    except ApiFailed as error:
        return [] if error.reason == "not-found" else error.reason


def _every(
    client: Client, path: str, until_ns: int, query: Mapping[str, str] | None = None
) -> list[Json]:
    found: list[Json] = []
    asked = {**(query or {}), "limit": str(PAGE)}
    for _ in range(PAGES_MAX):
        left_s = (until_ns - clock.mono_ns()) / NS_PER_S
        if left_s <= 0:
            raise ApiFailed(0, "timeout", f"{path}: not all of it was read in time")
        answer = client.request("GET", path, query=asked, timeout_s=left_s)
        found += answer.get("items") or []
        more = (answer.get("metadata") or {}).get("continue")
        if not more:
            return found
        asked["continue"] = more
    raise ApiFailed(0, "server", f"{path}: more than {PAGES_MAX * PAGE} objects")
