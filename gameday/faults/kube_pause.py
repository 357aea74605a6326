# SPDX-License-Identifier: Apache-2.0
"""``kube-pause``: Rancher Fleet, Argo CD or Open Cluster Management stop applying, and go on again.

By what each tool documents for it: Fleet's ``spec.paused``; in Argo CD the Application's automated
sync is taken away; in Open Cluster Management every manifest of a ManifestWork gets the update
strategy ``CreateOnly``. ``hubAcceptsClient: false`` is not used: the hub then deletes the managed
cluster's namespace, and all that was deployed through it.

This module travels to nodes: standard library only, Python 3.9 syntax.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Literal, Mapping, Optional, Tuple

from gameday.errors import InvalidInput, NodeError
from gameday.faults import kube_marks as marks
from gameday.faults.base import CONTROLLER, Estate
from gameday.faults.hosts import Host
from gameday.faults.kube_api import Api, Permission, where
from gameday.faults.kube_kept import TARGETS_MAX, KubeKept, check_names, cluster_of, free
from gameday.record.types import Lease

TOOLS: Mapping[str, Mapping[str, str]] = {
    "fleet": {"Cluster": "fleet.cattle.io/v1alpha1/clusters",
              "GitRepo": "fleet.cattle.io/v1alpha1/gitrepos",
              "Bundle": "fleet.cattle.io/v1alpha1/bundles"},
    "argocd": {"Application": "argoproj.io/v1alpha1/applications"},
    "ocm": {"ManifestWork": "work.open-cluster-management.io/v1/manifestworks"},
}  # fmt: skip
"""Kinds that can be paused by tool, the usual one first, as group/version/plural."""

FIELDS: Mapping[str, Tuple[str, ...]] = {
    "fleet": ("spec", "paused"),
    "argocd": ("spec", "syncPolicy", "automated"),
    "ocm": ("spec", "manifestConfigs"),
}
WORDS: Mapping[str, str] = {
    "fleet": '{"spec":{"paused":true}}',
    "argocd": '{"spec":{"syncPolicy":{"automated":null}}}',
    "ocm": '{"spec":{"manifestConfigs":[each manifest with updateStrategy CreateOnly]}}',
}
CREATE_ONLY = {"type": "CreateOnly"}


@dataclass(frozen=True)
class KubePauseParams:
    """Parameters of ``kube-pause``.

    Attributes:
        site: whose cluster has the tool's objects: the hub, where there is one.
        tool: Rancher Fleet, Argo CD or Open Cluster Management.
        namespace: of the tool's objects; for ocm the managed cluster's name.
        names: of the objects; all of the namespace without any.
        objects: what of Fleet is paused: Cluster (all that is deployed to one), GitRepo or Bundle.
        destination: for argocd, only Applications that are deployed to this cluster, by the name
            or URL that they give.
    """

    site: str
    tool: Literal["fleet", "argocd", "ocm"]
    namespace: str
    names: Tuple[str, ...] = ()
    objects: Literal["Cluster", "GitRepo", "Bundle", "Application", "ManifestWork", ""] = ""
    destination: str = ""


class KubePause(KubeKept):
    """GitOps that stands still."""

    kind = "kube-pause"
    Params: type = KubePauseParams
    summary = "Rancher Fleet, Argo CD or Open Cluster Management is paused for a site, and resumed"

    def spread(self, params: KubePauseParams, estate: Estate) -> Dict[str, Dict[str, Any]]:
        """One spec for the controller's host.

        Raises:
            InvalidInput: where the site has no cluster, or the tool no such objects.
        """
        known = TOOLS[params.tool]
        kind: str = params.objects or next(iter(known))
        if kind not in known:
            raise InvalidInput(f"objects cannot be {kind} where the tool is {params.tool}",
                               f"write one of: {', '.join(known)}")  # fmt: skip
        if params.destination and params.tool != "argocd":
            raise InvalidInput("destination is of Applications only", "leave it out, or use names")
        if len(params.names) > TARGETS_MAX:
            raise InvalidInput(f"names {len(params.names)} objects; at most {TARGETS_MAX}")
        check_names(namespace=params.namespace)
        for name in params.names:
            check_names(names=name)
        return {CONTROLLER: {
            **cluster_of(estate, params.site), "tool": params.tool, "kind": kind,
            "resource": known[kind], "namespace": params.namespace, "names": list(params.names),
            "destination": params.destination,
        }}  # fmt: skip

    def permissions(self, spec: Mapping[str, Any]) -> List[Permission]:
        """See ``KubeKept``."""
        group, _, plural = spec["resource"].split("/")
        return [Permission(verb, group, plural, spec["namespace"])
                for verb in ("list", "get", "patch")]  # fmt: skip

    def serves(self, spec: Mapping[str, Any]) -> List[str]:
        """See ``KubeKept``."""
        return [spec["resource"]]

    def claims(self, spec: Mapping[str, Any]) -> Tuple[str, ...]:
        """What is paused."""
        names = spec["names"] or ["all"]
        return tuple(f"pause of {spec['kind']} {spec['namespace']}/{name} of {where(spec)}"
                     for name in names)  # fmt: skip

    def explain(self, lease: Lease) -> Tuple[List[str], List[str]]:
        """The requests, and the undo."""
        spec = lease.spec
        field = ".".join(FIELDS[spec["tool"]])
        names = spec["names"] or [f"<every {spec['kind']}{_narrowed(spec)}>"]
        rules = [f"{where(spec)}: PATCH {_collection(spec)}/{name} {WORDS[spec['tool']]}"
                 for name in names]  # fmt: skip
        rules.append("each with the annotation and the label gameday.io/lease")
        undo = [
            f"{where(spec)}: PATCH {_collection(spec)}/{name} with the {field} that was there, if "
            "it still holds what the lease set" for name in names
        ]  # fmt: skip
        undo.append("what was changed at the source meanwhile is applied then, by the tool")
        return rules, undo

    def find(self, spec: Mapping[str, Any], api: Api, host: Host) -> Dict[str, Any]:
        """See ``KubeKept``.

        Raises:
            NodeError: where an object is not there, or none is to be paused.
        """
        there = {str(one["metadata"]["name"]): one for one in api.items(_collection(spec))
                 if _is_meant(one, spec)}  # fmt: skip
        missing = sorted(set(spec["names"]) - set(there))
        if missing:
            raise NodeError(f"{where(spec)} has no {spec['kind']} {spec['namespace']}/"
                            f"{', '.join(missing)}")  # fmt: skip
        targets, said = [], []
        for name in spec["names"] or sorted(there):
            found, what = there[name], f"{spec['kind']} {spec['namespace']}/{name}"
            free(found, what)
            was = marks.value(found, FIELDS[spec["tool"]])
            ours = _paused(spec["tool"], found, what)
            if was == ours or (spec["tool"] == "argocd" and was is None):
                said.append(f"{what} is paused already, and is left so at the end")
                continue
            said += _fights(found, what)
            targets.append({"path": f"{_collection(spec)}/{name}", "what": what,
                            "uid": found["metadata"]["uid"],
                            "fields": [[list(FIELDS[spec["tool"]]), was, ours]]})  # fmt: skip
        if not targets:
            raise NodeError(f"{where(spec)} has no {spec['kind']}{_narrowed(spec)} in "
                            f"{spec['namespace']} that is not paused already")  # fmt: skip
        return {"targets": targets, "said": said}


def _collection(spec: Mapping[str, Any]) -> str:
    version, _, plural = spec["resource"].rpartition("/")
    return f"/apis/{version}/namespaces/{spec['namespace']}/{plural}"


def _narrowed(spec: Mapping[str, Any]) -> str:
    return f" for {spec['destination']}" if spec["destination"] else ""


def _is_meant(found: Mapping[str, Any], spec: Mapping[str, Any]) -> bool:
    aim = marks.value(found, ("spec", "destination")) or {}
    return not spec["destination"] or spec["destination"] in (aim.get("name"), aim.get("server"))


def _paused(tool: str, found: Mapping[str, Any], what: str) -> Any:
    """What the tool's field holds while it is paused."""
    if tool == "fleet":
        return True
    return None if tool == "argocd" else _create_only(found, what)


def _create_only(found: Mapping[str, Any], what: str) -> List[Dict[str, Any]]:
    """A ManifestWork's configurations, with every manifest left alone once it is there.

    Raises:
        NodeError: where the agent has not told yet which resources the manifests are.
    """
    applied = marks.value(found, ("status", "resourceStatus", "manifests")) or []
    wanted = len(marks.value(found, ("spec", "workload", "manifests")) or [])
    names = [_identifier(one.get("resourceMeta") or {}) for one in applied]
    whole = [one for one in names if one is not None]
    if not wanted or len(whole) < wanted:
        raise NodeError(f"{what} tells of {len(whole)} of its {wanted} manifests in its status: it "
                        "is not applied yet, and cannot be paused")  # fmt: skip
    was = {_key(one["resourceIdentifier"]): one
           for one in marks.value(found, ("spec", "manifestConfigs")) or []}  # fmt: skip
    configs = {_key(one): {**was.get(_key(one), {}), "resourceIdentifier": one,
                           "updateStrategy": dict(CREATE_ONLY)} for one in whole}  # fmt: skip
    return [*configs.values(), *(one for key, one in was.items() if key not in configs)]


def _identifier(meta: Mapping[str, Any]) -> Optional[Dict[str, str]]:
    if not meta.get("resource") or not meta.get("name"):
        return None
    names = ("group", "resource", "namespace", "name")
    return {name: str(meta[name]) for name in names if meta.get(name)}


def _key(identifier: Mapping[str, Any]) -> Tuple[str, ...]:
    return tuple(str(identifier.get(x) or "") for x in ("group", "resource", "namespace", "name"))


def _fights(found: Mapping[str, Any], what: str) -> List[str]:
    owners = marks.metadata(found).get("ownerReferences") or ()
    owner = next((one for one in owners if one.get("controller")), None)
    if owner is None:
        return []
    return [f"{what} is made by {owner.get('kind')} {owner.get('name')}, which may set it back"]


FAULT = KubePause()
