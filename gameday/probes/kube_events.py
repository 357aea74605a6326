# SPDX-License-Identifier: Apache-2.0
"""``kube-events``: the moment at which a cluster's Event is received. Nodes: Python 3.9 syntax."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Tuple

from gameday import clock
from gameday.probes.base import Emit, Failed, Listening, Value
from gameday.probes.deadline import Deadline
from gameday.probes.kube_client import ApiFailed
from gameday.probes.kube_collection import DELETED, Change, Collection, Feed
from gameday.probes.kube_watch import KubeKind, failure

EVENTS_MAX = 2000
"""More samples tell nothing new; what comes then is not recorded, and said so."""

PATIENCE_NS = 5 * clock.NS_PER_S
TEXT_MAX = 200


@dataclass(frozen=True)
class KubeEventsParams:
    """Parameters of ``kube-events``.

    Attributes:
        site: whose cluster is listened to.
        namespace: only Events of this one; of all of them where it is empty.
        type: Warning or Normal; both where it is empty.
        reasons: only Events with one of these reasons, as in NodeNotReady; all by default.
        cluster: how its API server is reached; the plan fills it in.
    """

    site: str
    namespace: str = ""
    type: str = "Warning"
    reasons: Tuple[str, ...] = ()
    cluster: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.type not in ("", "Warning", "Normal"):
            raise ValueError(f"type {self.type!r} is neither Warning nor Normal")


class KubeEvents(KubeKind):
    """Listens to the Events of a cluster."""

    kind = "kube-events"
    Params: type = KubeEventsParams
    summary = "the moment at which a Kubernetes Event is received"
    listens = True

    def listen(self, params: KubeEventsParams, emit: Emit) -> Listening:
        """Watch until closed; a sample for each Event, and each time one is counted again."""
        return EventsListening(params, emit)


class EventsListening:
    """Watches Events, and asks once a period for those that the watch did not tell."""

    def __init__(self, params: KubeEventsParams, emit: Emit) -> None:
        self._params, self._emit = params, emit
        self._lock = threading.RLock()
        place = f"namespaces/{params.namespace}/" if params.namespace else ""
        query = {"fieldSelector": f"type={params.type}"} if params.type else {}
        feed = Feed("events", (f"/api/v1/{place}events",), query, slim=True)
        self._collection = Collection(feed, params.cluster, self._lock, self._told, self._lost)
        self._since_ns = clock.mono_ns()
        self._count = 0

    def trouble(self) -> str:
        """Ask the API server for what is there; why that is not known, or empty."""
        deadline, began = Deadline(PATIENCE_NS), clock.mono_ns()
        try:
            self._collection.confirm(deadline.left_s)
        except ApiFailed as error:
            return failure(self._collection.feed, error).reason
        except TimeoutError:
            return deadline.word()
        except (KeyError, TypeError, ValueError) as error:
            return f"protocol: events: {type(error).__name__}: {error}"[:TEXT_MAX]
        with self._lock:
            self._since_ns = max(self._since_ns, began)
        return f"flood: {self._count} events" if self._count > EVENTS_MAX else ""

    def close(self) -> None:
        """Watch no more."""
        self._collection.close()

    def _told(self, changes: List[Change], watched: bool) -> None:
        for change in changes:
            # An Event that is gone has had its hour; that it went is no news.
            if change.kind == DELETED or not self._wanted(change.item.body):
                continue
            self._count += 1
            if self._count <= EVENTS_MAX:
                target, value = _said(change.item.body)
                self._emit(target, Value(value), self._since_ns)

    def _lost(self, why: str) -> None:
        self._emit("listener", Failed(f"gone: {why}"[:TEXT_MAX]), self._since_ns)

    def _wanted(self, body: Mapping[str, Any]) -> bool:
        return not self._params.reasons or body.get("reason") in self._params.reasons


def _said(body: Mapping[str, Any]) -> Tuple[str, Dict[str, Any]]:
    """An Event's reason, and what else it says, with labels as alerts have them."""
    reason = str(body.get("reason") or "Event")
    about = body.get("involvedObject") or {}
    labels = {
        "namespace": about.get("namespace"), "object": f"{about.get('kind')}/{about.get('name')}",
        "reason": reason, "type": body.get("type"),
    }  # fmt: skip
    value = {
        "labels": [f"{key}={text}"[:TEXT_MAX] for key, text in sorted(labels.items()) if text],
        "message": str(body.get("message") or "")[:TEXT_MAX],
        "count": int(body.get("count") or 1),
    }
    return reason, value


PROBE = KubeEvents()
