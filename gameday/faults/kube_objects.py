# SPDX-License-Identifier: Apache-2.0
"""Changing objects for a lease, and giving back what was there: only what is still ours.

A *target* is JSON: "path" (of the object), "what" (it, in words), "uid", "fields" (see
``kube_marks``), "scale" (whether they are set through the scale subresource) and, where the lease
makes the object, "body" and "collection". ``begin`` and ``end`` may be called again at any
moment, by another process, after any death: what they know is the target, the note on disk and
what stands in the cluster. Every write carries the ``resourceVersion`` that was read; where
somebody else was faster, it is read again.

This module travels to nodes: standard library only, Python 3.9 syntax.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, List, Mapping, Sequence, Tuple

from gameday.errors import ApiFailed, NodeError
from gameday.faults import kube_marks as marks
from gameday.faults.kube_api import Api
from gameday.record.types import Lease

CONFLICTS_MAX = 5
"""Writers that are faster than we that often in a row; the guard asks again a moment later."""

Target = Mapping[str, Any]
Save = Callable[[Mapping[str, Any]], None]
"""Puts what is known of one target on disk, before it is acted upon."""


@dataclass(frozen=True)
class Ended:
    """How one target was left.

    Attributes:
        done: what was done, for people; "" where nothing was.
        foreign: what others did to it, and what was left as it is for that.
    """

    done: str = ""
    foreign: Tuple[str, ...] = ()


def begin(api: Api, lease: Lease, target: Target, note: Mapping[str, Any], save: Save) -> None:
    """Bring a target's change about, if it was not yet.

    Args:
        note: what is kept of this target: {} at first. save: keeps more.

    Raises:
        NodeError, ApiFailed: where it cannot be done now.
    """
    for _ in range(CONFLICTS_MAX):
        try:
            if "body" in target:
                _make(api, lease, target, note, save)
            else:
                _change(api, lease, target, note, save)
            return
        except ApiFailed as error:
            if error.reason != "conflict":
                raise
    raise ApiFailed(409, "conflict", f"{target['what']} is written by others all the time")


def _change(
    api: Api, lease: Lease, target: Target, note: Mapping[str, Any], save: Save
) -> None:  # fmt: skip
    what = target["what"]
    found = api.get(target["path"])
    if found is None or marks.uid(found) != target["uid"]:
        raise NodeError(f"{what} {'is gone' if found is None else 'was replaced'} before its time")
    mark = marks.read(found)
    if mark is not None and mark.lease != lease.id:
        raise NodeError(f"{what} carries lease {mark.lease or '(unreadable)'} of another run")
    fields = list(mark.fields) if mark is not None else _now(found, target)
    if mark is None:
        # On disk before it is in the cluster: whoever ends this must know what was there.
        save({"fields": fields})
        own = marks.mark_of(lease, target["host"], fields, scale=target["scale"], own=False)
        body = {} if target["scale"] else marks.patch([(path, ours) for path, _, ours in fields])
        body["metadata"] = {**marks.marked(own), "resourceVersion": marks.version(found)}
        found = api.patch(target["path"], body)
    if target["scale"] and any(marks.value(found, path) != ours for path, _, ours in fields):
        _set_scale(api, target["path"], found, [(path, ours) for path, _, ours in fields])
    save({"fields": fields, "done": True})


def _now(found: marks.Object, target: Target) -> List[Any]:
    """The target's fields with what stands there now, which may not be what stood at arming."""
    fields = []
    for path, was, ours in target["fields"]:
        now = marks.value(found, path)
        if now != was and (isinstance(ours, list) or now == ours):
            raise NodeError(f"{target['what']}: {'.'.join(path)} was changed since it was armed")
        fields.append([path, now, ours])
    return fields


def _set_scale(
    api: Api, path: str, found: marks.Object, pairs: Sequence[Tuple[Sequence[str], Any]]
) -> None:
    body = {**marks.patch(pairs), "metadata": {"resourceVersion": marks.version(found)}}
    api.patch(f"{path}/scale", body)


def _make(api: Api, lease: Lease, target: Target, note: Mapping[str, Any], save: Save) -> None:
    own = marks.mark_of(lease, target["host"], (), scale=False, own=True)
    body = dict(target["body"])
    body["metadata"] = {**body["metadata"], **marks.marked(own)}
    save({"made": note.get("made", "")})
    try:
        made = api.create(target["collection"], body)
    except ApiFailed as error:
        if error.reason != "conflict":
            raise
        there = api.get(target["path"])
        mark = marks.read(there) if there is not None else None
        if there is None or mark is None or mark.lease != lease.id:
            raise NodeError(f"{target['what']} is there already, and is not this lease's") from None
        made = there
    save({"made": marks.uid(made), "done": True})


def end(api: Api, lease_id: str, target: Target, note: Mapping[str, Any], save: Save) -> Ended:
    """Give back what was there, where what stands there is still the lease's.

    Raises:
        ApiFailed: where it cannot be done now; it is to be asked again.
    """
    for _ in range(CONFLICTS_MAX):
        try:
            if "body" in target or target.get("own"):
                return _unmake(api, lease_id, target, note, save)
            return _give_back(api, lease_id, target, note, save)
        except ApiFailed as error:
            if error.reason != "conflict":
                raise
    raise ApiFailed(409, "conflict", f"{target['what']} is written by others all the time")


def _give_back(
    api: Api, lease_id: str, target: Target, note: Mapping[str, Any], save: Save
) -> Ended:
    what, undoing = target["what"], bool(note.get("undoing"))
    found = api.get(target["path"])
    if found is None:
        return Ended("", (f"{what} is gone: somebody deleted it, and nothing is given back",))
    mark = marks.read(found)
    ours = mark is not None and mark.lease == lease_id
    if marks.uid(found) != target["uid"]:
        if not ours:
            return Ended("", (f"{what} was replaced by another of its name, which is left alone",))
    elif mark is not None and not ours:
        return Ended("", (f"{what} carries lease {mark.lease} of another run, and is left to it",))
    if not ours and not note.get("done"):
        # It was never begun, or a writer was faster at the very moment: nothing of ours is there.
        return Ended()
    fields = note.get("fields") or (mark.fields if mark is not None else ())
    back, foreign = _still_ours(found, what, fields, undoing)
    if not undoing:
        # Whoever goes on after a death must not take what was given back for somebody's change.
        save({**note, "fields": list(fields), "undoing": True})
    if back and target["scale"]:
        _set_scale(api, target["path"], found, back)
        found = api.get(target["path"]) or found
        back = []
    if back or ours:
        meta = {**(marks.UNMARKED if ours else {}), "resourceVersion": marks.version(found)}
        api.patch(target["path"], {**marks.patch(back), "metadata": meta})
    if not ours and not undoing:
        foreign.append(f"{what}: somebody took gameday's mark off it")
    told = ", ".join(
        f"{'.'.join(path)} back to {shown(was)}" for path, was, _ in fields
        if not any(".".join(path) in one for one in foreign)
    )  # fmt: skip
    return Ended(f"{what}: {told}" if told else "", tuple(foreign))


def _still_ours(
    found: marks.Object, what: str, fields: Sequence[Any], undoing: bool
) -> Tuple[List[Tuple[Sequence[str], Any]], List[str]]:
    """Fields to give back with their values, and what others made of the rest."""
    back: List[Tuple[Sequence[str], Any]] = []
    foreign: List[str] = []
    for path, was, ours in fields:
        now = marks.value(found, path)
        if now == ours:
            back.append((path, was))
        elif not (undoing and now == was):
            by = marks.changed_by(found, path)
            foreign.append(
                f"{what}: {'.'.join(path)} is {shown(now)}, not {shown(ours)} as the lease set it: "
                f"changed by {by or 'somebody'}, and left as it is"
            )
    return back, foreign


def _unmake(api: Api, lease_id: str, target: Target, note: Mapping[str, Any], save: Save) -> Ended:
    what = target["what"]
    found = api.get(target["path"])
    if found is None:
        gone = f"{what} is gone: somebody deleted it before its time"
        return Ended("", (gone,) if note.get("done") and not note.get("undoing") else ())
    mark = marks.read(found)
    if marks.uid(found) != note.get("made") and (mark is None or mark.lease != lease_id):
        return Ended("", (f"{what} is not the one that the lease made, and is left alone",))
    foreign = []
    body = target.get("body")
    if body is not None and not _as_made(found, body):
        by = marks.changed_by(found, ("spec",))
        foreign.append(f"{what} was changed by {by or 'somebody'}; it is the lease's own, and gone")
    if not note.get("undoing"):
        save({**note, "undoing": True})
    api.delete(target["path"], marks.uid(found), marks.version(found))
    return Ended(f"{what}: deleted", tuple(foreign))


def _as_made(found: marks.Object, body: Mapping[str, Any]) -> bool:
    """Whether an own object still says what the lease said, and nothing more."""
    spec = found.get("spec") or {}
    return {key: text for key, text in spec.items() if text} == {
        key: text for key, text in body["spec"].items() if text
    }


def look(api: Api, lease_id: str, target: Target, note: Mapping[str, Any]) -> Tuple[bool, str]:
    """(whether the change is whole, what is there of it in words or ""). Changes nothing."""
    found = api.get(target["path"])
    if found is None:
        return False, ""
    mark = marks.read(found)
    ours = mark is not None and mark.lease == lease_id
    if "body" in target:
        there = ours or (marks.uid(found) == note.get("made") and bool(note.get("made")))
        return there and _as_made(found, target["body"]), target["what"] if there else ""
    fields = note.get("fields") or ()
    held = [path for path, _, set_ in fields if marks.value(found, path) == set_]
    if not ours and not (held and note.get("done") and marks.uid(found) == target["uid"]):
        return False, ""
    return ours and len(held) == len(fields), target["what"]


def shown(value: Any) -> str:
    """A value for people."""
    if value is None:
        return "absent"
    text = f"{value}".lower() if isinstance(value, bool) else f"{value}"
    return text if len(text) <= 60 else text[:57] + "..."


def answer_for(error: NodeError) -> bool:
    """Whether an API server answered at all; where not, there is no use in asking it for more."""
    return not (isinstance(error, ApiFailed) and error.status == 0)
