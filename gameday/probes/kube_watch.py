# SPDX-License-Identifier: Apache-2.0
"""What the kinds share that watch a cluster: from collections to samples of one state.

A look asks the API server for all collections and writes one sample: it saw the state at some
moment between its question and the answer. Between looks the watches tell: what changes is a sample
at once, which begins where the last one ended. A look that is not answered is a failed sample, and
until the next one that is, nothing the watches tell counts: then nobody knows whether it is all.

Nodes: Python 3.9 syntax.
"""

from __future__ import annotations

import dataclasses
import threading
from typing import Any, Callable, Dict, List, Mapping, Optional, Protocol, Sequence, TypeVar

from gameday import clock
from gameday.errors import InvalidInput
from gameday.faults.base import CONTROLLER
from gameday.probes.base import Emit, Failed, Outcome, Schedule, Value
from gameday.probes.deadline import Deadline
from gameday.probes.kube_client import ApiFailed
from gameday.probes.kube_collection import Change, Collection, Feed, Item

TEXT_MAX = 300
NAMES_MAX = 64
"""So many names of a kind are in a sample; counts beside them are of all."""

Items = Mapping[str, Mapping[str, Item]]
"""By feed and by "namespace/name"."""

Judge = Callable[[Items, int], Outcome]
"""What the objects say, at a moment (monotonic, ns)."""

P = TypeVar("P")


class Clusters(Protocol):
    """What is asked of the estate."""

    @property
    def sites(self) -> Mapping[str, Any]:
        """Sites by their names."""

    def cluster(self, site: str) -> Optional[Mapping[str, Any]]:
        """How a site's API server is reached; ``None`` where it has none."""


def resolve(params: P, estate: Clusters) -> P:
    """The parameters with the site's cluster in them.

    Raises:
        InvalidInput: where the site has none, with what to set.
    """
    given: Any = params
    if given.cluster:
        raise InvalidInput("cluster is for the plan to fill in", "name the site, and no cluster")
    if given.site not in estate.sites:
        known = ", ".join(sorted(estate.sites))
        raise InvalidInput(f"{given.site} is no site of the inventory", f"its sites: {known}")
    found = estate.cluster(given.site)
    if found is None:
        raise InvalidInput(
            f"site {given.site} has no Kubernetes cluster in the inventory",
            f"set gameday_kubeconfig (and gameday_context) for the group {given.site}, "
            "or gameday_kubernetes: in-cluster",
        )
    filled: P = dataclasses.replace(given, cluster=dict(found))
    return filled


class KubeKind:
    """What every kind has that asks an API server."""

    fan_out = "none"
    listens = False
    only_from = CONTROLLER
    needs = "kubernetes"
    resolve = staticmethod(resolve)


class KubeWatch(KubeKind):
    """A kind whose samples are the state of some objects.

    A subclass has ``kind``, ``Params``, ``summary``, ``feeds(params)`` and ``judge(params)``.
    """

    watches = True

    def feeds(self, params: Any) -> Sequence[Feed]:
        """What to watch."""
        raise NotImplementedError

    def judge(self, params: Any) -> Judge:
        """What is made of it."""
        raise NotImplementedError

    def watch(self, params: Any, target: str, schedule: Schedule, emit: Emit) -> StateWatch:
        """Nothing is asked before its first look."""
        return StateWatch(
            params.cluster, self.feeds(params), self.judge(params), (target, emit), schedule
        )


class StateWatch:
    """Some collections of one cluster, as samples of one stream."""

    def __init__(
        self, cluster: Mapping[str, Any], feeds: Sequence[Feed], judge: Judge,
        to: tuple[str, Emit], schedule: Schedule,
    ) -> None:  # fmt: skip
        self._judge, (self._target, self._emit) = judge, to
        # A look that outlasts its period would be in the next one's way.
        self._patience_ns = min(schedule.timeout_ns, schedule.period_ns)
        self._lock = threading.RLock()
        self._collections = [
            Collection(feed, cluster, self._lock, self._told, self._lost) for feed in feeds
        ]
        self._proven = False
        self._last: Optional[Outcome] = None
        self._last_ns = clock.mono_ns()

    def look(self) -> None:
        """Ask for everything, and write what it says, or why nothing is known."""
        began = clock.mono_ns()
        failed = self._confirm(Deadline(self._patience_ns))
        with self._lock:
            outcome = failed or self._judged()
            self._proven = not failed
            self._write(outcome, began)

    def close(self) -> None:
        """Watch no more."""
        for collection in self._collections:
            collection.close()

    def _confirm(self, deadline: Deadline) -> Optional[Failed]:
        for collection in self._collections:
            try:
                collection.confirm(deadline.left_s)
            except ApiFailed as error:
                return failure(collection.feed, error)
            except TimeoutError:
                return Failed(deadline.word())
            except (KeyError, TypeError, ValueError) as error:
                what = f"protocol: {collection.feed.name}: {type(error).__name__}: {error}"
                return Failed(what[:TEXT_MAX])
        return None

    def _judged(self) -> Outcome:
        items = {collection.feed.name: collection.items for collection in self._collections}
        outcome = self._judge(items, clock.mono_ns())
        if isinstance(outcome, Failed):
            return outcome
        words = [f"{c.feed.name}: {c.trouble()}" for c in self._collections if c.trouble()]
        return Value({**outcome.value, "watch": ", ".join(words)})

    def _told(self, changes: List[Change], watched: bool) -> None:
        """What a list tells, the look writes."""
        if not watched or not self._proven:
            return
        outcome = self._judged()
        if _state(outcome) != _state(self._last):
            self._write(outcome, self._last_ns)

    def _lost(self, why: str) -> None:
        """A hole: what happened in it may be seen, and when it happened is not."""
        self._proven = False
        self._write(Failed(f"gone: {why}"[:TEXT_MAX]), self._last_ns)

    def _write(self, outcome: Outcome, since_ns: int) -> None:
        self._emit(self._target, outcome, since_ns)
        self._last, self._last_ns = outcome, clock.mono_ns()


def failure(feed: Feed, error: ApiFailed) -> Failed:
    """An API's refusal as a reason: its stable word, then what was asked for."""
    detail = f"{feed.name}: {error.detail}"
    if error.reason == "not-found":
        detail += " (is what defines it installed in this cluster?)"
    return Failed(f"{error.reason}: {detail}"[:TEXT_MAX])


def condition(body: Mapping[str, Any], kind: str) -> str:
    """Status of an object's condition: True, False or Unknown; empty where it has none."""
    for one in (body.get("status") or {}).get("conditions") or ():
        if one.get("type") == kind:
            return str(one.get("status", ""))
    return ""


def short(names: Sequence[str]) -> List[str]:
    """Names for a sample, in order, so many and no more."""
    return sorted(names)[:NAMES_MAX]


AGEING = ("watch", "lease_age_s")
"""What differs from look to look without being another state."""


def _state(outcome: Optional[Outcome]) -> Dict[str, Any]:
    if isinstance(outcome, Value):
        return {key: value for key, value in outcome.value.items() if key not in AGEING}
    return {"failed": outcome.reason if outcome is not None else ""}
