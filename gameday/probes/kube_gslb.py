# SPDX-License-Identifier: Apache-2.0
"""``kube-gslb``: what k8gb says of a Gslb's hosts in its status. Nodes: Python 3.9 syntax."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping, Sequence

from gameday.probes.base import Failed, Outcome, Value
from gameday.probes.kube_collection import Feed
from gameday.probes.kube_watch import Items, Judge, KubeWatch

GSLBS = "gslbs"
HEALTHY = "Healthy"


@dataclass(frozen=True)
class KubeGslbParams:
    """Parameters of ``kube-gslb``.

    Attributes:
        site: whose cluster is asked.
        namespace: of the Gslb.
        name: of the Gslb.
        host: the one host of it that counts; all of them where it is empty.
        cluster: how its API server is reached; the plan fills it in.
    """

    site: str
    namespace: str
    name: str
    host: str = ""
    cluster: Mapping[str, Any] = field(default_factory=dict)


class KubeGslb(KubeWatch):
    """One Gslb's status."""

    kind = "kube-gslb"
    Params: type = KubeGslbParams
    summary = "which hosts k8gb's status holds for healthy, and the addresses it says it serves"

    def feeds(self, params: KubeGslbParams) -> Sequence[Feed]:
        """The Gslb itself."""
        path = f"/apis/k8gb.absa.oss/v1beta1/namespaces/{params.namespace}/gslbs"
        return (Feed(GSLBS, (path,), {"fieldSelector": f"metadata.name={params.name}"}),)

    def judge(self, params: KubeGslbParams) -> Judge:
        """Healthy where every host that counts is; a status that nobody wrote says nothing."""

        def judge(items: Items, now_ns: int) -> Outcome:
            body = next((item.body for item in items[GSLBS].values()), None)
            if body is None:
                return Value({"healthy": False, "hosts": [], "addresses": [], "geo_tag": ""})
            status = body.get("status") or {}
            health = status.get("serviceHealth")
            if health is None:
                return Failed(f"no-status: nobody has written serviceHealth of {params.name} yet")
            wanted = [params.host] if params.host else sorted(health)
            records = status.get("healthyRecords") or {}
            addresses = {str(a) for host in wanted for a in records.get(host) or ()}
            return Value({
                "healthy": bool(wanted) and all(health.get(host) == HEALTHY for host in wanted),
                "hosts": [f"{host}: {health.get(host, 'absent')}" for host in wanted],
                "addresses": sorted(addresses),
                "geo_tag": str(status.get("geoTag", "")),
            })  # fmt: skip

        return judge


PROBE = KubeGslb()
