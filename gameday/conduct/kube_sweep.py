# SPDX-License-Identifier: Apache-2.0
"""End what a gone controller's host left in clusters, by the marks on the objects alone.

A Kubernetes lease is ended by the host that holds it. Where that host is gone for good, nobody has
its ledger; but every object that it changed says until when, and what was there before. What is
not over yet belongs to a run, and is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gameday import clock
from gameday.agent.system.kube import RealKube
from gameday.clock import NS_PER_S
from gameday.conduct.kube_ask import name_of
from gameday.conduct.sweep import Swept
from gameday.errors import ApiFailed, NodeError
from gameday.faults import kube_marks as marks
from gameday.faults.kube_api import Api
from gameday.faults.kube_objects import end
from gameday.probes.kube_client import same_cluster

GRACE_NS = 120 * NS_PER_S
"""After a lease's end, for its own host to end it, and for two clocks that differ."""

COLLECTIONS = (
    "/api/v1/nodes",
    "/apis/apps/v1/deployments", "/apis/apps/v1/statefulsets", "/apis/apps/v1/replicasets",
    "/apis/networking.k8s.io/v1/networkpolicies",
    "/apis/fleet.cattle.io/v1alpha1/clusters", "/apis/fleet.cattle.io/v1alpha1/gitrepos",
    "/apis/fleet.cattle.io/v1alpha1/bundles",
    "/apis/argoproj.io/v1alpha1/applications",
    "/apis/work.open-cluster-management.io/v1/manifestworks",
)  # fmt: skip
"""Everything that a kind of fault may mark; a test compares."""


@dataclass(frozen=True)
class Marked:
    """An object that a lease changed.

    Attributes:
        path: of it. what: it, in words. found: as it was read.
    """

    path: str
    what: str
    found: Mapping[str, Any]
    mark: marks.Mark

    @property
    def readable(self) -> bool:
        """Whether the mark says what was there before."""
        return bool(self.mark.kind)

    def over(self, now_ns: int) -> bool:
        """Whether its lease should long have ended."""
        return self.mark.overdue(now_ns - GRACE_NS)


def sweep(
    clusters: Mapping[str, Mapping[str, Any]], look: bool, force: bool = False
) -> list[Swept]:
    """Ask every cluster of an inventory, each once.

    Args:
        clusters: by site. look: change nothing; "left" is then what would be ended.
        force: also end leases whose window is not over.
    """
    together: list[tuple[list[str], Mapping[str, Any]]] = []
    for site, cluster in sorted(clusters.items()):
        own = next((sites for sites, other in together if same_cluster(other, cluster)), None)
        if own is None:
            together.append(([site], cluster))
        else:
            own.append(site)
    return [_of_cluster("/".join(sites), cluster, look, force) for sites, cluster in together]


def _of_cluster(sites: str, cluster: Mapping[str, Any], look: bool, force: bool) -> Swept:
    name = f"cluster {name_of(cluster)} of {sites}"
    done: list[str] = []
    trouble: list[str] = []
    try:
        with RealKube().opened(cluster) as asked:
            api = Api(asked)
            if not look:
                for one in _marked(api):
                    if one.readable and (force or one.over(clock.wall_ns())):
                        _end(api, one, done, trouble)
            # Read again, whatever was said of it: what counts is what is there.
            return _told(name, _marked(api), force, done, trouble)
    except NodeError as error:
        left = (f"not read back: {error.message}",)
        return Swept(name, False, tuple(done), (), left, tuple(trouble))


def _marked(api: Api) -> list[Marked]:
    found = []
    for collection in COLLECTIONS:
        try:
            items = api.items(collection, {"labelSelector": marks.KEY})
        except ApiFailed as error:
            if error.reason == "not-found":
                # Nobody installed that there.
                continue
            raise
        for one in items:
            mark = marks.read(one) or marks.Mark(str(one["metadata"]["labels"][marks.KEY]), "", "",
                                                 "", "")  # fmt: skip
            path = _path(collection, one["metadata"])
            what = " ".join(path.split("/")[-2:])
            space = one["metadata"].get("namespace")
            found.append(Marked(path, f"{what} in {space}" if space else what, one, mark))
    return found


def _path(collection: str, meta: Mapping[str, Any]) -> str:
    base, _, plural = collection.rpartition("/")
    space = f"/namespaces/{meta['namespace']}" if meta.get("namespace") else ""
    return f"{base}{space}/{plural}/{meta['name']}"


def _end(api: Api, one: Marked, done: list[str], trouble: list[str]) -> None:
    """Give one object back what stood there; what others changed stays, and is said."""
    target = {
        "path": one.path, "what": one.what, "uid": marks.uid(one.found), "own": one.mark.own,
        "fields": list(one.mark.fields), "scale": one.mark.scale,
    }  # fmt: skip
    try:
        # The mark is all that is known, and goes with the last write: nothing is kept beside it.
        ended = end(api, one.mark.lease, target, {"done": True}, lambda _: None)
    except NodeError as error:
        trouble.append(f"{one.what}: {error.message}")
        return
    done += [f"lease {one.mark.lease} of {one.mark.run}: {ended.done}"] if ended.done else []
    trouble += ended.foreign


def _told(
    name: str, found: Iterable[Marked], force: bool, done: list[str], trouble: list[str]
) -> Swept:
    spared, left = [], []
    for one in found:
        if not one.readable:
            left.append(f"{one.what} carries a mark that cannot be read: see its annotation "
                        f"{marks.KEY}, and take it off by hand")  # fmt: skip
        elif force or one.over(clock.wall_ns()):
            left.append(f"{one.what} is held by lease {one.mark.lease} ({one.mark.kind}) of "
                        f"{one.mark.run}, which ended {one.mark.expires}")  # fmt: skip
        else:
            spared.append(f"{one.what} is held by lease {one.mark.lease} of {one.mark.run} until "
                          f"{one.mark.expires}")  # fmt: skip
    return Swept(name, True, tuple(done), tuple(spared), tuple(left), tuple(trouble))
