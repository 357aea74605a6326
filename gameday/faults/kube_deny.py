# SPDX-License-Identifier: Apache-2.0
"""``kube-deny``: selected pods of a namespace get no traffic, or send none: a NetworkPolicy.

The policy is the lease's own object, made at the window's start and deleted at its end. Its name
and label are the lease's. It is the cluster's network that enforces it, or does not.

This module travels to nodes: standard library only, Python 3.9 syntax.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from typing import Any, Dict, List, Literal, Mapping, Tuple

from gameday.errors import ApiFailed, InvalidInput, NodeError
from gameday.faults.base import CONTROLLER, Estate
from gameday.faults.hosts import Host
from gameday.faults.kube_api import Api, Permission, kubectl, where
from gameday.faults.kube_kept import KubeKept, check_names, cluster_of
from gameday.record.types import Lease

GROUP = "networking.k8s.io"
TYPES: Mapping[str, Tuple[str, ...]] = {
    "ingress": ("Ingress",), "egress": ("Egress",), "both": ("Ingress", "Egress"),
}  # fmt: skip

LABEL = re.compile(r"^([a-z0-9.-]+/)?[A-Za-z0-9]([A-Za-z0-9._-]*)=[A-Za-z0-9._-]*$")

NAME = "gameday"


@dataclass(frozen=True)
class KubeDenyParams:
    """Parameters of ``kube-deny``.

    Attributes:
        site: whose cluster it is.
        namespace: of the pods.
        pods: labels of the pods, each as in app=web; all pods of the namespace without any.
        direction: what is denied.
    """

    site: str
    namespace: str
    pods: Tuple[str, ...] = ()
    direction: Literal["ingress", "egress", "both"] = "both"


class KubeDeny(KubeKept):
    """Pods that nobody reaches."""

    kind = "kube-deny"
    Params: type = KubeDenyParams
    summary = "pods of a namespace are cut off by a NetworkPolicy of the lease's own"

    def spread(self, params: KubeDenyParams, estate: Estate) -> Dict[str, Dict[str, Any]]:
        """One spec for the controller's host.

        Raises:
            InvalidInput: where the site has no cluster, or a name or label cannot be one.
        """
        check_names(namespace=params.namespace)
        for label in params.pods:
            if not LABEL.match(label):
                raise InvalidInput(f"pods {label} is no label", "write it as in app=web")
        labels = dict(sorted(label.split("=", 1) for label in params.pods))
        return {CONTROLLER: {
            **cluster_of(estate, params.site), "namespace": params.namespace, "pods": labels,
            "types": list(TYPES[params.direction]),
        }}  # fmt: skip

    def permissions(self, spec: Mapping[str, Any]) -> List[Permission]:
        """See ``KubeKept``."""
        return [Permission(verb, GROUP, "networkpolicies", spec["namespace"])
                for verb in ("list", "get", "create", "delete")]  # fmt: skip

    def claims(self, spec: Mapping[str, Any]) -> Tuple[str, ...]:
        """What is denied to which pods."""
        pods = ",".join(f"{key}={text}" for key, text in spec["pods"].items()) or "all pods"
        return tuple(f"{one} of {pods} in {spec['namespace']} of {where(spec)}"
                     for one in spec["types"])  # fmt: skip

    def explain(self, lease: Lease) -> Tuple[List[str], List[str]]:
        """The request, and the undo."""
        import json

        spec, path = lease.spec, _collection(lease.spec)
        policy = json.dumps(_policy(spec)["spec"], sort_keys=True, separators=(",", ":"))
        rules = [
            f"{where(spec)}: POST {path} gameday-{lease.id} {policy}",
            "with the annotation and the label gameday.io/lease; NetworkPolicies only add up: what "
            "another one allows these pods stays allowed (found out when it is armed), and a "
            "network that does not enforce them lets everything pass",
        ]
        undo = [
            f"{where(spec)}: DELETE {path}/gameday-{lease.id}, which is the lease's own",
            f"by hand: {kubectl(spec)} -n {spec['namespace']} delete networkpolicies "
            "-l gameday.io/lease",
        ]
        return rules, undo

    def find(self, spec: Mapping[str, Any], api: Api, host: Host) -> Dict[str, Any]:
        """See ``KubeKept``; the policy itself is added where the lease's id is known."""
        collection = _collection(spec)
        said = [
            f"NetworkPolicy {one['metadata']['name']} allows some of it: NetworkPolicies only add "
            "up, so that much stays allowed"
            for one in api.items(collection) if _allows(one.get("spec") or {}, spec)
        ]  # fmt: skip
        return {"collection": collection, "targets": [], "said": said}

    def before(self, lease: Lease, host: Host) -> Dict[str, Any]:
        """See ``KubeKept``; the policy's name has the lease's id.

        Raises:
            NodeError: as there, or where the API server would not take the policy.
        """
        found = super().before(lease, host)
        name, body = f"{NAME}-{lease.id}", _policy(lease.spec)
        body["metadata"] = {"name": name, "namespace": lease.spec["namespace"]}
        what = f"NetworkPolicy {lease.spec['namespace']}/{name}"
        with host.kube.opened(lease.spec["cluster"]) as asked:
            try:
                # A missing namespace, a quota or a webhook shall be heard of before the window.
                Api(asked).try_create(found["collection"], body)
            except ApiFailed as error:
                raise NodeError(f"{where(lease.spec)} would not take {what}: {error}") from error
        found["targets"] = [{
            "path": f"{found['collection']}/{name}", "collection": found["collection"],
            "body": body, "what": what, "uid": "", "fields": [], "scale": False,
            "host": socket.gethostname(),
        }]  # fmt: skip
        return found


def _collection(spec: Mapping[str, Any]) -> str:
    return f"/apis/{GROUP}/v1/namespaces/{spec['namespace']}/networkpolicies"


def _policy(spec: Mapping[str, Any]) -> Dict[str, Any]:
    """A policy that selects pods and allows nothing."""
    selector = {"matchLabels": dict(spec["pods"])} if spec["pods"] else {}
    return {
        "apiVersion": f"{GROUP}/v1", "kind": "NetworkPolicy",
        "spec": {"podSelector": selector, "policyTypes": list(spec["types"])},
    }  # fmt: skip


def _allows(policy: Mapping[str, Any], spec: Mapping[str, Any]) -> bool:
    """Whether another policy may allow what the lease denies: its labels do not rule it out."""
    labels = (policy.get("podSelector") or {}).get("matchLabels") or {}
    apart = any(spec["pods"].get(key, text) != text for key, text in labels.items())
    return not apart and any(policy.get(one.lower()) for one in spec["types"])


FAULT = KubeDeny()
