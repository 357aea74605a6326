# SPDX-License-Identifier: Apache-2.0
"""``kube-api``: whether a site's API server answers, and how fast. Nodes: Python 3.9 syntax."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any, Callable, Mapping

from gameday.probes.base import Failed, Outcome, Schedule, Target, Value
from gameday.probes.deadline import Deadline
from gameday.probes.kube_client import ApiFailed, Client
from gameday.probes.kube_watch import TEXT_MAX, KubeKind


@dataclass(frozen=True)
class KubeApiParams:
    """Parameters of ``kube-api``.

    Attributes:
        site: whose API server is asked.
        path: what is listed, one object of it at most: so the server has to ask etcd.
        cluster: how its API server is reached; the plan fills it in.
    """

    site: str
    path: str = "/api/v1/namespaces"
    cluster: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.path.startswith(("/api/", "/apis/")):
            raise ValueError(f"path {self.path!r} begins with neither /api/ nor /apis/")


class KubeApi(KubeKind):
    """A small list that needs a quorum of the site's etcd."""

    kind = "kube-api"
    Params: type = KubeApiParams
    summary = "whether a site's API server answers a list of one object, and how fast"

    def sampler(
        self, params: KubeApiParams, node: str, target: Target, schedule: Schedule
    ) -> Callable[[], Outcome]:
        """Each look is one question over a connection that is kept, as clients of the API do."""
        own = threading.local()

        def look() -> Outcome:
            deadline = Deadline(schedule.timeout_ns)
            if not hasattr(own, "client"):
                own.client = Client(params.cluster)
            try:
                found = own.client.request(
                    "GET", params.path, query={"limit": "1"}, timeout_s=deadline.left_s()
                )
                deadline.left_s()
            except ApiFailed as error:
                return Failed(f"{error.reason}: {error.detail}"[:TEXT_MAX])
            except TimeoutError:
                return Failed(deadline.word())
            return Value({"kind": str(found.get("kind", ""))})

        return look


PROBE = KubeApi()
