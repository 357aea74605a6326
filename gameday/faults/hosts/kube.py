# SPDX-License-Identifier: Apache-2.0
"""API servers of Kubernetes clusters, asked by paths.

A *cluster* is JSON, as the inventory names it: "kubeconfig", "context", "in_cluster". Never a
credential.
"""

from __future__ import annotations

from typing import Any, ContextManager, Dict, Mapping, Optional, Protocol

Cluster = Mapping[str, Any]


class Asked(Protocol):
    """One cluster, for as long as a connection to it is open."""

    def request(
        self, method: str, path: str, body: Any = None, query: Optional[Mapping[str, Any]] = None
    ) -> Dict[str, Any]:
        """JSON of the answer; the body of a ``PATCH`` is a merge patch.

        Raises ApiFailed where it is refused, or no answer comes.
        """


class Kube(Protocol):
    """All clusters that this host reaches."""

    def opened(self, cluster: Cluster) -> ContextManager[Asked]:
        """A cluster to ask; its connections and what they needed on disk go at the end."""

    def own_pod(self) -> str:
        """The name of the pod that this is; "" where it is none."""
