# SPDX-License-Identifier: Apache-2.0
"""What a lease writes onto every object that it changes, so that anybody can find and undo it.

The annotation ``gameday.io/lease`` holds the lease's id, its run, when it ends and, field by
field, what was there before and what was set; the label of the same name holds the id, so that
one question finds all of them: ``kubectl get nodes,deployments -A -l gameday.io/lease``.

A *field* is JSON: [path of keys, value before, value set]; ``None`` stands for absent. Pure.

This module travels to nodes: standard library only, Python 3.9 syntax.
"""

from __future__ import annotations

import calendar
import json
import time
from dataclasses import asdict, dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from gameday.clock import NS_PER_S
from gameday.record.types import Lease, from_json

KEY = "gameday.io/lease"

UTC = "%Y-%m-%dT%H:%M:%SZ"

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Mark:
    """The annotation's content.

    Attributes:
        lease, run, kind: of the lease. host: that holds it. expires: in UTC.
        fields: what was changed; empty where the whole object is the lease's own.
        scale: whether the fields are set through the scale subresource.
        own: whether the lease made the object.
    """

    lease: str
    run: str
    kind: str
    host: str
    expires: str
    fields: Tuple[Any, ...] = ()
    scale: bool = False
    own: bool = False

    def text(self) -> str:
        """As it stands in the annotation."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    def overdue(self, now_ns: int) -> bool:
        """Whether the lease should have ended, by a wall clock; what cannot be read has."""
        try:
            ends_s = calendar.timegm(time.strptime(self.expires, UTC))
        except ValueError:
            return True
        return now_ns >= ends_s * NS_PER_S


def mark_of(lease: Lease, host: str, fields: Sequence[Any], *, scale: bool, own: bool) -> Mark:
    """What a lease writes onto an object."""
    expires = time.strftime(UTC, time.gmtime(lease.expire_at_ns // NS_PER_S))
    return Mark(lease.id, lease.run, lease.kind, host, expires, tuple(fields), scale, own)


def read(found: Object) -> Optional[Mark]:
    """The mark on an object; ``None`` where there is none.

    One that cannot be read is still somebody's: it comes back with empty words.
    """
    text = (metadata(found).get("annotations") or {}).get(KEY)
    if text is None:
        return None
    try:
        return from_json(Mark, json.loads(text))
    except (ValueError, TypeError, AttributeError):
        label = str((metadata(found).get("labels") or {}).get(KEY, ""))
        return Mark(label, "", "", "", "")


def marked(mark: Mark) -> Dict[str, Any]:
    """The part of ``metadata`` that puts a mark onto an object."""
    return {"annotations": {KEY: mark.text()}, "labels": {KEY: mark.lease}}


UNMARKED: Mapping[str, Any] = {"annotations": {KEY: None}, "labels": {KEY: None}}
"""The part of a merge patch's ``metadata`` that takes it off again."""


def metadata(found: Object) -> Dict[str, Any]:
    """An object's metadata."""
    part: Dict[str, Any] = found.get("metadata") or {}
    return part


def version(found: Object) -> str:
    """What an optimistic lock compares."""
    return str(metadata(found).get("resourceVersion", ""))


def uid(found: Object) -> str:
    """An object's identity: another one of the same name has another."""
    return str(metadata(found).get("uid", ""))


def value(found: Object, path: Sequence[str]) -> Any:
    """What stands at a path; ``None`` where nothing does."""
    here: Any = found
    for key in path:
        if not isinstance(here, Mapping):
            return None
        here = here.get(key)
    return here


def patch(pairs: Sequence[Tuple[Sequence[str], Any]]) -> Dict[str, Any]:
    """A merge patch that sets each path to its value; ``None`` removes it."""
    whole: Dict[str, Any] = {}
    for path, new in pairs:
        here = whole
        for key in path[:-1]:
            here = here.setdefault(key, {})
        here[path[-1]] = new
    return whole


def changed_by(found: Object, path: Sequence[str]) -> str:
    """Who wrote a field last, as the API server noted it; "" where it did not.

    Of a field that was removed it notes nobody.
    """
    entries: List[Mapping[str, Any]] = [
        one for one in metadata(found).get("managedFields") or ()
        if one.get("manager") != "gameday"
    ]  # fmt: skip
    own = [one for one in entries if _owns(one.get("fieldsV1") or {}, path)]
    if not own:
        return ""
    last = max(own, key=lambda one: str(one.get("time", "")))
    return f"{last.get('manager', 'somebody')} at {last.get('time', 'an unknown time')}"


def _owns(fields: Mapping[str, Any], path: Sequence[str]) -> bool:
    here: Any = fields
    for key in path:
        here = here.get(f"f:{key}") if isinstance(here, Mapping) else None
        if here is None:
            return False
    return True
