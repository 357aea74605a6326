# SPDX-License-Identifier: Apache-2.0
"""What all kinds have in common that change objects of a Kubernetes cluster.

The lease is held by the controller's own host, as of ``power`` by Redfish. A kind only says what
is to be changed (``find``), what it asks for (``permissions``, ``serves``) and how people would do
it; beginning, looking and ending are here. Where the API server gives no answer, the guards ask
again for as long as any of them lives: nobody else can end what stands in a cluster.

This module travels to nodes: standard library only, Python 3.9 syntax.
"""

from __future__ import annotations

import re
import socket
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from gameday.clock import NS_PER_S
from gameday.errors import ApiFailed, InvalidInput, NodeError, Untouched
from gameday.faults import kube_marks as marks
from gameday.faults.base import CONTROLLER, Estate, Facts, ProcessKept, Selector
from gameday.faults.elsewhere import Elsewhere, in_cluster
from gameday.faults.hosts import Host
from gameday.faults.kube_api import Api, Permission, kubectl, not_allowed, not_served, where
from gameday.faults.kube_objects import answer_for, begin, end, look
from gameday.record.types import Lease, Observation, to_json

TARGETS_MAX = 64
"""Objects of one lease, a site's nodes or a tool's: each is a write at the window's start."""

POLL_NS = 2 * NS_PER_S
"""Between two rounds where a kind has more to do inside the window."""

NAME = re.compile(r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")
"""Names of Kubernetes objects (RFC 1123 subdomains)."""


class KubeKept(ProcessKept):
    """A lease that changes objects of one cluster."""

    kind = ""
    apart = True
    imports: Tuple[str, ...] = ("gameday.agent.system.kube_library",)

    def permissions(self, spec: Mapping[str, Any]) -> List[Permission]:
        """Every verb and resource that the lease needs, and nothing more. Pure."""
        raise NotImplementedError

    def serves(self, spec: Mapping[str, Any]) -> List[str]:
        """What the API server must have, as group/version/plural, beside its core. Pure."""
        return []

    def find(self, spec: Mapping[str, Any], api: Api, host: Host) -> Dict[str, Any]:
        """Targets ("targets", see ``kube_objects``) and what people should know ("said").

        Raises NodeError where the lease cannot be had, with what helps.
        """
        raise NotImplementedError

    def more(
        self, lease: Lease, before: Mapping[str, Any], api: Api, note: Dict[str, Any]
    ) -> Optional[int]:
        """What is still to be done in the window; nanoseconds until the next time, or ``None``."""
        return None

    def elsewhere(self, spec: Mapping[str, Any]) -> Optional[Elsewhere]:
        """In the site's cluster; what stands on its objects says how to give them back."""
        return in_cluster(spec["site"])

    def available(self, facts: Facts) -> Optional[str]:
        """Only on the controller's host, with the library."""
        return facts.missing.get("kubernetes")

    def able(self, spec: Mapping[str, Any], host: Host) -> List[str]:
        """Why the cluster would not do it, everything at once; changes nothing."""
        try:
            with host.kube.opened(spec["cluster"]) as asked:
                api = Api(asked)
                return _unable(self, spec, api)
        except ApiFailed as error:
            return [f"{where(spec)} cannot be asked: {error.message}"]

    def before(self, lease: Lease, host: Host) -> Dict[str, Any]:
        """What stands in the cluster now.

        Raises:
            NodeError: where a permission or a resource is missing, an object is not there, or
                another lease has it.
        """
        spec = lease.spec
        with host.kube.opened(spec["cluster"]) as asked:
            api = Api(asked)
            problems = _unable(self, spec, api)
            if problems:
                raise NodeError("; ".join(problems))
            found = self.find(spec, api, host)
            name = socket.gethostname()
            found["targets"] = [{"host": name, "scale": False, **one} for one in found["targets"]]
            if len(found["targets"]) > TARGETS_MAX:
                raise NodeError(f"{len(found['targets'])} objects; at most {TARGETS_MAX} at once")
            return found

    def drive(
        self, lease: Lease, before: Mapping[str, Any], host: Host, since_ns: int
    ) -> Optional[int]:
        """Change what is not changed yet; what somebody changes back meanwhile is left so."""
        note = _note(host, lease) or {"targets": {}}
        wrong: List[str] = []
        with host.kube.opened(lease.spec["cluster"]) as asked:
            api = Api(asked)
            for target in before["targets"]:
                own = note["targets"].get(target["path"], {})
                if own.get("done"):
                    continue
                try:
                    begin(api, lease, target, own, _saver(host, lease, before, note, target))
                except NodeError as error:
                    wrong.append(error.message)
                    if not answer_for(error):
                        break
            if wrong:
                raise (NodeError if api.wrote else Untouched)("; ".join(wrong))
            again = self.more(lease, before, api, note)
            _keep(host, lease, before, note)
        return None if again is None else since_ns + again

    def observe(self, lease: Lease, before: Mapping[str, Any], host: Host) -> Observation:
        """Active while every object holds the lease's values; foreign where some do not."""
        note = _note(host, lease)
        said = tuple(before.get("said", ()))
        if note is None:
            return Observation("absent", (), {}, (), said=said)
        foreign = tuple(note.get("foreign", ()))
        counters = {name: int(n) for name, n in note.get("counters", {}).items()}
        if note.get("ended"):
            return Observation("absent", (), counters, foreign)
        left, whole, there = [], 0, 0
        try:
            with host.kube.opened(lease.spec["cluster"]) as asked:
                api = Api(asked)
                for target in before["targets"]:
                    own = note["targets"].get(target["path"], {})
                    is_whole, what = (False, "") if own.get("ended") else look(
                        api, lease.id, target, own
                    )  # fmt: skip
                    whole, there = whole + is_whole, there + bool(what)
                    if what:
                        left.append(f"{what}: {self.by_hand(lease, target)}")
        except ApiFailed as error:
            # Nobody knows: it is neither called there nor gone.
            left = [f"{where(lease.spec)} cannot be read ({error.message}): `{kubectl(lease.spec)} "
                    f"get --raw /readyz` shows whether it is back"]  # fmt: skip
            return Observation("foreign", tuple(left), counters, foreign, said=said, unread=True)
        counters = {"objects": there, **counters}
        if not there and not _pending(note):
            return Observation("absent", (), counters, foreign, said=said)
        inside = host.wall_ns() < lease.expire_at_ns
        state = "active" if inside and whole == len(before["targets"]) else "foreign"
        return Observation(state, tuple(left), counters, foreign, said=said)

    def disarm(self, lease: Lease, before: Mapping[str, Any], host: Host) -> List[str]:
        """Give back what is still the lease's; what others changed is left, and told."""
        note = _note(host, lease)
        if note is None or note.get("ended"):
            return []
        done: List[str] = []
        wrong: List[NodeError] = []
        with host.kube.opened(lease.spec["cluster"]) as asked:
            api = Api(asked)
            for target in before["targets"]:
                own = note["targets"].get(target["path"])
                if own is None or own.get("ended"):
                    continue
                save = _saver(host, lease, before, note, target)
                try:
                    ended = end(api, lease.id, target, own, save)
                except NodeError as error:
                    wrong.append(error)
                    if not answer_for(error):
                        break
                    continue
                done += [ended.done] if ended.done else []
                note["foreign"] = [*note.get("foreign", ()), *ended.foreign]
                save({**note["targets"][target["path"]], "ended": True})
        if wrong:
            raise (NodeError if api.wrote else Untouched)("; ".join(e.message for e in wrong))
        _keep(host, lease, before, {**note, "ended": True})
        return done

    def by_hand(self, lease: Lease, target: Mapping[str, Any]) -> str:
        """How people undo one target, with the command in back quotes."""
        fields = target.get("fields", ())
        verb, resource = kubectl(lease.spec), target["path"].rsplit("/", 2)
        space = target["path"].split("/namespaces/")
        inside = f" -n {space[1].split('/')[0]}" if len(space) > 1 else ""
        name = f"{resource[-2]} {resource[-1]}"
        if "body" in target:
            return f"`{verb}{inside} delete {name}`"
        patch = marks.patch([(path, was) for path, was, _ in fields])
        patch["metadata"] = dict(marks.UNMARKED)
        return f"`{verb}{inside} patch {name} --type merge -p '{_compact(patch)}'`"


def _compact(value: Any) -> str:
    import json

    return json.dumps(value, separators=(",", ":"))


def _unable(kind: KubeKept, spec: Mapping[str, Any], api: Api) -> List[str]:
    missing = not_served(api, kind.serves(spec))
    problems = [
        f"{where(spec)} serves no {one.rpartition('/')[2]} of {one.rpartition('/')[0]}: is "
        f"{spec.get('tool', 'its CustomResourceDefinition')} installed there?"
        for one in missing
    ]
    gone = {one.rpartition("/")[2] for one in missing}
    wanted = [p for p in kind.permissions(spec) if p.resource.split("/")[0] not in gone]
    return problems + [
        f"{where(spec)} does not let gameday {one}: grant it (playbooks/kubernetes)"
        for one in not_allowed(api, wanted)
    ]


def _note(host: Host, lease: Lease) -> Optional[Dict[str, Any]]:
    return host.processes.kept(lease.id, across_boots=True)


def _keep(
    host: Host, lease: Lease, before: Mapping[str, Any], note: Mapping[str, Any]
) -> None:  # fmt: skip
    own = {"lease": to_json(lease), "before": dict(before)}
    host.processes.keep(lease.id, {**note, **own})


def _saver(
    host: Host, lease: Lease, before: Mapping[str, Any], note: Dict[str, Any],
    target: Mapping[str, Any],
) -> Callable[[Mapping[str, Any]], None]:  # fmt: skip
    def save(known: Mapping[str, Any]) -> None:
        note["targets"][target["path"]] = dict(known)
        _keep(host, lease, before, note)

    return save


def _pending(note: Mapping[str, Any]) -> bool:
    """Whether any target was changed, and that it was given back is not written down."""
    return any(own.get("done") and not own.get("ended") for own in note["targets"].values())


def cluster_of(estate: Estate, site: str) -> Dict[str, Any]:
    """The beginning of a spec: the site and its cluster.

    Raises:
        InvalidInput: where the inventory names none.
    """
    cluster = estate.cluster(site)
    if cluster is None:
        known = estate.select(Selector(site=(site,)))
        what = f"site {site} {'has no cluster in' if known else 'is not in'} the inventory"
        raise InvalidInput(what, "set gameday_kubeconfig and gameday_context on it")
    if estate.select(Selector(node=(CONTROLLER,))):
        raise InvalidInput(
            f"site cannot be asked: a node is called {CONTROLLER}, as the controller's host is",
            "give it another name in the inventory",
        )
    return {"site": site, "cluster": dict(cluster)}


def check_names(**names: str) -> None:
    """Refuse what is no name of a Kubernetes object.

    Raises:
        InvalidInput: with the parameter.
    """
    for parameter, name in names.items():
        if not NAME.match(name):
            raise InvalidInput(
                f"{parameter} {name} is no name of a Kubernetes object",
                "use lower-case letters, digits, dots and dashes",
            )


def required(api: Api, path: str, what: str) -> Dict[str, Any]:
    """An object that must be there, and that no lease has.

    Raises:
        NodeError: where it is not, or one has.
    """
    found = api.get(path)
    if found is None:
        raise NodeError(f"{what} is not there")
    free(found, what)
    return found


def free(found: Mapping[str, Any], what: str) -> None:
    """Refuse an object that carries a lease's mark.

    Raises:
        NodeError: with whose it is.
    """
    mark = marks.read(found)
    if mark is not None:
        raise NodeError(
            f"{what} carries lease {mark.lease or '(unreadable)'} of {mark.run or 'some run'}, "
            f"which ends {mark.expires or 'at an unknown time'}: gameday sweep ends it"
        )


def gitops(found: Mapping[str, Any]) -> str:
    """Which GitOps tool says that it applies an object, by the marks that it leaves; or ""."""
    meta = marks.metadata(found)
    annotations, labels = meta.get("annotations") or {}, meta.get("labels") or {}
    if "argocd.argoproj.io/tracking-id" in annotations:
        return "Argo CD"
    if "objectset.rio.cattle.io/id" in annotations or "objectset.rio.cattle.io/hash" in labels:
        return "Rancher Fleet"
    owners = [str(one.get("kind")) for one in meta.get("ownerReferences") or ()]
    return "Open Cluster Management" if "AppliedManifestWork" in owners else ""
