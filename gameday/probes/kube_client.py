# SPDX-License-Identifier: Apache-2.0
"""One cluster's Kubernetes API, as JSON by paths; built-in and custom resources alike.

The library behind it, ``kubernetes``, is an extra and is imported on first use: it knows
kubeconfigs, service accounts, client certificates and exec plugins. Only the controller's own host
has it, so probes and faults that ask an API server run there.

A *cluster* is JSON: "kubeconfig" (a path, or ""), "context" (its name there) and "in_cluster"
(whether the pod's own service account is used). Never a credential: those are read where they
are used, and neither errors nor logs hold one.

This module travels to nodes: standard library only at import time, Python 3.9 syntax.
"""

from __future__ import annotations

import contextlib
import json
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple
from urllib.parse import urlencode
from weakref import WeakSet

from gameday.errors import NodeError

TIMEOUT_S = 5.0
"""An API server answers in milliseconds; one that takes longer is no use to a lease's end."""

CONNECT_S = 3.0
"""For TCP and TLS; a server behind a cut path is known to be one sooner than its answer is due."""

DETAIL_MAX = 300
LINE_BYTES_MAX = 8 * 1024 * 1024
"""etcd takes 1.5 MB for one object; a line of a watch that is longer is no event."""

JSON_TYPE = "application/json"
MERGE_PATCH = "application/merge-patch+json"

REASONS: Mapping[int, str] = {
    401: "unauthorized", 403: "forbidden", 404: "not-found", 409: "conflict", 410: "gone",
}  # fmt: skip
"""What an API server's status is called; any other is "server"."""

MISSING = "the library kubernetes is not installed on this host; install gameday[kubernetes]"


_OPEN: WeakSet[Client] = WeakSet()
"""Clients of this process that are open: with the last one go the files that the library made of
a kubeconfig's certificates and keys."""


class ApiFailed(NodeError):
    """An API server did not do what it was asked, or could not be asked.

    Attributes:
        status: HTTP's; 0 where no answer came.
        reason: one of refused, timeout, tls, unauthorized, forbidden, not-found, conflict, gone,
            server, no-library, config.
        detail: what was said of it; no secrets.
    """

    def __init__(self, status: int, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.status, self.reason, self.detail = status, reason, detail


class Client:
    """Asks one cluster; not for several threads at once, but for one watch beside requests."""

    def __init__(self, cluster: Mapping[str, Any]) -> None:
        self._cluster = dict(cluster)
        self._api: Any = None

    def request(
        self, method: str, path: str, body: Any = None, query: Optional[Mapping[str, Any]] = None,
        *, timeout_s: float = TIMEOUT_S, content_type: str = JSON_TYPE,
    ) -> Dict[str, Any]:  # fmt: skip
        """Ask once, twice where the credentials had expired.

        Args:
            method: as in HTTP. path: as in ``/api/v1/nodes``. body: JSON. query: of the URL.
            timeout_s: seconds that the whole answer may be awaited between two pieces of it.
            content_type: of the body; ``MERGE_PATCH`` for a merge patch.

        Raises:
            ApiFailed: where it is refused, or no answer comes.
        """
        answer = self._ask(
            method, path, body, query, timeout_s=timeout_s, content_type=content_type
        )
        with _closing(answer):
            data = _read(answer, path)
        if not data:
            return {}
        try:
            found = json.loads(data)
        except ValueError:
            raise ApiFailed(answer.status, "server", f"{path}: the answer is no JSON") from None
        if not isinstance(found, dict):
            raise ApiFailed(answer.status, "server", f"{path}: the answer is no JSON object")
        return found

    def stream(
        self, path: str, query: Optional[Mapping[str, Any]] = None, timeout_s: float = 30.0
    ) -> Iterator[Dict[str, Any]]:
        """Events of a watch, each with "type" and "object", until the server ends it.

        Args:
            path: of the collection. query: ``watch`` is added. timeout_s: seconds without a byte
                after which the watch counts as hung; ask for bookmarks, or bound the watch by
                ``timeoutSeconds`` below it, where nothing may happen for longer.

        Raises:
            ApiFailed: where it is refused, breaks or hangs; an ``ERROR`` event too, with its code
                (410, "gone": list again).
        """
        asked = {"watch": "true", **(query or {})}
        answer = self._ask("GET", path, None, asked, timeout_s=timeout_s, content_type=JSON_TYPE)
        with _closing(answer):
            for line in _lines(answer, path):
                event = _event(line, path)
                if event["type"] == "ERROR":
                    raise _said(int(event["object"].get("code") or 0), event["object"], path)
                yield event

    def close(self) -> None:
        """Close the connections; the next request opens others."""
        if self._api is None:
            return
        self._api.rest_client.pool_manager.clear()
        self._api = None
        _OPEN.discard(self)
        if not _OPEN:
            _remove_files()

    def _ask(self, method: str, path: str, body: Any, query: Optional[Mapping[str, Any]],
             *, timeout_s: float, content_type: str) -> Any:  # fmt: skip
        """The answer, not read yet, of a status below 300."""
        for attempt in (1, 2):
            answer = self._send(
                method, path, body, query, timeout_s=timeout_s, content_type=content_type
            )
            if answer.status < 300:
                return answer
            with _closing(answer):
                data = _read(answer, path)
            if answer.status != 401 or attempt == 2:
                raise _said(answer.status, _object(data), path)
            # A token has its time, and whoever renews it writes the same file again.
            self.close()
        raise ApiFailed(0, "config", "nothing was asked")

    def _send(self, method: str, path: str, body: Any, query: Optional[Mapping[str, Any]],
              *, timeout_s: float, content_type: str) -> Any:  # fmt: skip
        api = self._opened()
        import urllib3
        from urllib3.util import Timeout

        headers = {"Accept": JSON_TYPE, "Content-Type": content_type, "User-Agent": "gameday"}
        url = api.configuration.host.rstrip("/") + path + (f"?{urlencode(query)}" if query else "")
        try:
            # Exec plugins and service accounts renew their token here.
            bearer = api.configuration.auth_settings().get("BearerToken")
            if bearer and bearer["value"]:
                headers["Authorization"] = bearer["value"].strip()
            return api.rest_client.pool_manager.request(
                method, url, body=None if body is None else json.dumps(body).encode(),
                headers=headers, timeout=Timeout(connect=min(CONNECT_S, timeout_s), read=timeout_s),
                preload_content=False, retries=False, redirect=False,
            )  # fmt: skip
        except urllib3.exceptions.HTTPError as error:
            raise _no_answer(error, path) from None
        except Exception as error:  # noqa: BLE001 - what a plugin or a header says may be secret
            raise ApiFailed(0, "config", _config_trouble(self._cluster, error)) from None

    def _opened(self) -> Any:
        if self._api is None:
            library()
            try:
                self._api = _api_client(self._cluster)
                _OPEN.add(self)
            except ApiFailed:
                raise
            except Exception as error:  # noqa: BLE001 - the library raises whatever YAML and TLS do
                raise ApiFailed(0, "config", _config_trouble(self._cluster, error)) from None
        return self._api


def library() -> Any:
    """The library, also where this interpreter began without its site-packages.

    Raises:
        ApiFailed: where it is not installed.
    """
    try:
        import kubernetes
    except ImportError:
        import site

        # The agent runs with -I -S, so that nothing of a node's changes what it does.
        site.main()
        try:
            import kubernetes
        except ImportError:
            raise ApiFailed(0, "no-library", MISSING) from None
    return kubernetes


def _api_client(cluster: Mapping[str, Any]) -> Any:
    from kubernetes import client, config

    settings = client.Configuration()
    if cluster.get("in_cluster"):
        config.load_incluster_config(client_configuration=settings)
    else:
        config.load_kube_config(
            config_file=str(cluster["kubeconfig"]), context=str(cluster["context"]),
            client_configuration=settings, persist_config=False,
        )  # fmt: skip
    return client.ApiClient(settings)


def _remove_files() -> None:
    """Remove the files that the library made; it does so itself only where Python ends."""
    from kubernetes.config import kube_config

    remove = getattr(kube_config, "_cleanup_temp_files", None)
    if remove is not None:
        remove()


def _config_trouble(cluster: Mapping[str, Any], error: Exception) -> str:
    """What is wrong with a cluster's configuration, without anything that the file holds."""
    if cluster.get("in_cluster"):
        return "this is no pod with a service account: gameday_kubernetes: in-cluster needs one"
    path, name = cluster.get("kubeconfig"), type(error).__name__
    text = str(error)
    # The library's own words are names of what is missing; a parser's quote the file.
    told = f": {text[:DETAIL_MAX]}" if name == "ConfigException" and "\n" not in text else ""
    return f"{path} with context {cluster.get('context')} cannot be used ({name}{told})"


def _no_answer(error: Exception, path: str) -> ApiFailed:
    """Why no answer came, in one stable word."""
    from urllib3 import exceptions

    inner = getattr(error, "reason", None)
    cause = inner if isinstance(inner, Exception) else error
    if isinstance(cause, exceptions.SSLError):
        return ApiFailed(0, "tls", f"{path}: {cause}"[:DETAIL_MAX])
    # NewConnectionError is a ConnectTimeoutError by its family, and no time-out.
    if isinstance(cause, exceptions.TimeoutError) and not isinstance(
        cause, exceptions.NewConnectionError
    ):
        return ApiFailed(0, "timeout", f"{path}: no answer in time")
    return ApiFailed(0, "refused", f"{path}: {type(cause).__name__}")


def _said(status: int, told: Mapping[str, Any], path: str) -> ApiFailed:
    """What an API server said, from its ``Status`` object."""
    detail = str(told.get("message") or told.get("reason") or f"HTTP {status}")
    return ApiFailed(status, REASONS.get(status, "server"), f"{path}: {detail}"[:DETAIL_MAX])


def _object(data: bytes) -> Dict[str, Any]:
    with contextlib.suppress(ValueError):
        found = json.loads(data)
        if isinstance(found, dict):
            return found
    return {}


def _event(line: bytes, path: str) -> Dict[str, Any]:
    event = _object(line)
    if not isinstance(event.get("type"), str) or not isinstance(event.get("object"), dict):
        raise ApiFailed(200, "server", f"{path}: the watch sent what is no event")
    return event


def _read(answer: Any, path: str) -> bytes:
    from urllib3.exceptions import HTTPError

    try:
        return bytes(answer.read())
    except HTTPError as error:
        raise _no_answer(error, path) from None


def _lines(answer: Any, path: str) -> Iterator[bytes]:
    """Whole lines as they come."""
    from urllib3.exceptions import HTTPError

    rest: List[bytes] = []
    size = 0
    try:
        for piece in answer.stream(amt=None, decode_content=True):
            first, *others = piece.split(b"\n")
            rest.append(first)
            size += len(first)
            for other in others:
                yield b"".join(rest)
                rest, size = [other], len(other)
            if size > LINE_BYTES_MAX:
                raise ApiFailed(200, "server", f"{path}: a line of the watch has no end")
    except HTTPError as error:
        raise _no_answer(error, path) from None


@contextlib.contextmanager
def _closing(answer: Any) -> Iterator[None]:
    """Give the connection back where all was read, else end it."""
    try:
        yield
    finally:
        answer.close()
        answer.release_conn()


def same_cluster(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two sites name the same API server."""
    return _key(one) == _key(other)


def _key(cluster: Mapping[str, Any]) -> Tuple[bool, str, str]:
    if cluster.get("in_cluster"):
        return True, "", ""
    return False, str(cluster.get("kubeconfig")), str(cluster.get("context"))
