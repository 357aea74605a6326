# SPDX-License-Identifier: Apache-2.0
"""What became of each lease and of each node, from the journal. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gameday.measures.words import names
from gameday.record import kinds
from gameday.record.record import Record


def lease_table(record: Record) -> list[dict[str, Any]]:
    """One row per lease that was armed or meant to be, in the order of arming."""
    rows: dict[str, dict[str, Any]] = {}
    for event in record.of_kind(kinds.ARM_INTENT):
        rows[event.data["lease"]["id"]] = _row(event.data["lease"])
    for event in record.of_kind(kinds.ARMED):
        lease = event.data["lease"]
        row = rows.setdefault(lease["id"], _row(lease))
        row["armed"] = True
        row["armed_at_ns"] = event.at_ns
    for event in record.of_kind(kinds.OBSERVED):
        if event.data["lease"] in rows:
            state = event.data["observation"]["state"]
            rows[event.data["lease"]]["observed"][event.data["when"]] = state
    for event in record.of_kind(kinds.EXEMPT):
        if event.data["lease"] in rows:
            rows[event.data["lease"]]["management_exempt"] = bool(event.data["held"])
    for event in record.of_kind(kinds.DISARMED):
        if event.data["lease"] in rows:
            row = rows[event.data["lease"]]
            row["disarmed"] = True
            row["removed"] = sorted({*row["removed"], *event.data["done"]})
    cleaned = node_table(record)
    for row in rows.values():
        row["clean"] = bool(cleaned.get(row["node"], {}).get("clean", False))
    return list(rows.values())


def _row(lease: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": lease["id"],
        "node": lease["node"],
        "fault": lease["fault"],
        "kind": lease["kind"],
        "fire_at_ns": lease["fire_at_ns"],
        "expire_at_ns": lease["expire_at_ns"],
        "armed": False,
        "armed_at_ns": None,
        "observed": {},
        "management_exempt": None,
        "disarmed": False,
        "removed": [],
        "clean": False,
    }


def node_table(record: Record) -> dict[str, dict[str, Any]]:
    """Per node, what the last read-back found: clean, what is left, what others changed."""
    found: dict[str, dict[str, Any]] = {}
    for event in record.of_kind(kinds.CLEAN):
        found[event.data["node"]] = {
            "clean": bool(event.data["clean"]),
            "left": list(event.data["left"]),
            "foreign_changed": list(event.data["foreign_changed"]),
        }
    return found


def clean_state(record: Record) -> dict[str, Any]:
    """Whether every node that may hold a lease was read back and found clean.

    A node without a read-back is not clean; a run that never meant to arm anything is.
    """
    touched = sorted(
        {e.data["node"] for kind in (kinds.ARM_INTENT, kinds.ARMED) for e in record.of_kind(kind)}
    )
    nodes = node_table(record)
    dirty = [n for n in sorted(nodes) if not nodes[n]["clean"]]
    unread = [n for n in touched if n not in nodes]
    return {
        "proven": not dirty and not unread,
        "touched": touched,
        "left": {n: nodes[n]["left"] for n in dirty},
        "not_read_back": unread,
        "foreign_changed": {
            n: nodes[n]["foreign_changed"] for n in sorted(nodes) if nodes[n]["foreign_changed"]
        },
    }


def unclean(clean: Mapping[str, Any]) -> str:
    """What ``clean_state`` could not prove clean, in one sentence; empty where all is."""
    texts = []
    if clean["left"]:
        texts.append(f"something is left on {names(sorted(clean['left']))}")
    if clean["not_read_back"]:
        texts.append(f"{names(clean['not_read_back'])} could not be read back")
    return "; ".join(texts)
