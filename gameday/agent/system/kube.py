# SPDX-License-Identifier: Apache-2.0
"""The real ``Kube`` of ``gameday.faults.hosts.kube``.

API servers are asked from the controller's host only, where the library is installed.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
from typing import Any, Dict, Iterator, Mapping, Optional, Tuple

from gameday.agent import vigil
from gameday.agent.system.command import Check
from gameday.agent.system.power import use_site_packages
from gameday.errors import NodeError
from gameday.faults.hosts.kube import Cluster
from gameday.probes.kube_client import MERGE_PATCH, Client


def _look_for_library() -> None:
    if not vigil.LOCAL:
        raise NodeError("API servers are asked from the controller's host, not from nodes")
    use_site_packages()
    if importlib.util.find_spec("kubernetes") is None:
        raise NodeError("the library kubernetes is not installed")


CHECKS: Tuple[Check, ...] = (
    Check("kubernetes", _look_for_library, "install gameday with the extra: gameday[kubernetes]"),
)


class _Asked:
    def __init__(self, client: Client) -> None:
        self._client = client

    def request(
        self, method: str, path: str, body: Any = None, query: Optional[Mapping[str, Any]] = None
    ) -> Dict[str, Any]:
        """See ``Asked``."""
        if method == "PATCH":
            return self._client.request(method, path, body, query, content_type=MERGE_PATCH)
        return self._client.request(method, path, body, query)


class RealKube:
    """Clusters as the inventory names them."""

    @contextlib.contextmanager
    def opened(self, cluster: Cluster) -> Iterator[_Asked]:
        """See ``Kube``."""
        client = Client(cluster)
        try:
            yield _Asked(client)
        finally:
            client.close()

    def own_pod(self) -> str:
        """See ``Kube``: a pod's host name is its own."""
        return socket.gethostname() if "KUBERNETES_SERVICE_HOST" in os.environ else ""
