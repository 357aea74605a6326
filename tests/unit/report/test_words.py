# SPDX-License-Identifier: Apache-2.0
"""Sentences of a report that depend on who held the leases: nodes, or the controller's host."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gameday.measures.effect_nodes import check_nodes
from gameday.record import kinds
from gameday.record.record import Record
from gameday.report.words import clean_text
from tests.unit.synthetic import make_record

CASES = Path(__file__).resolve().parents[2] / "cases" / "faults"


@pytest.mark.parametrize(
    ("touched", "text"),
    [
        ([], "Nothing was armed, so nothing had to be removed."),
        (["controller"], "Proven clean: controller, which held every lease, was read back."),
        (["fra-1"], "Proven clean: fra-1, which held every lease, was read back."),
        (["a", "b"], "Proven clean: all 2 nodes with a lease were read back."),
        (["a", "controller"], "Proven clean: all 2 hosts with a lease were read back."),
    ],
)
def test_proven_clean(touched: list[str], text: str) -> None:
    assert clean_text({"proven": True, "touched": touched}) == text


def seen(kind: str, node: str, state: str) -> tuple[bool | None, str]:
    """What the gate says of one lease that was looked at once inside its window."""
    record = make_record()
    spec = json.loads((CASES / f"{kind}.json").read_text(encoding="utf-8"))["spec"]
    faults: list[dict[str, Any]] = [
        {"name": "f", "kind": kind, "leases": [{"id": "1a2b3c4d", "node": node, "spec": spec}]}
    ]
    look = {"state": state, "counters": {}}
    event = next(one for one in record.events if one.kind == kinds.STEP)
    data = {"node": node, "lease": "1a2b3c4d", "observation": look, "when": "active"}
    observed = type(event)(**{**vars(event), "kind": kinds.OBSERVED, "data": data})
    return check_nodes(Record({**record.plan, "faults": faults}, [observed], ()), "f")


def test_who_showed_an_effect() -> None:
    assert seen("kube-scale", "controller", "active") == (
        True, "in effect in frankfurt's cluster, by the API server's own objects",
    )  # fmt: skip
    assert seen("kube-scale", "controller", "foreign") == (
        False, "not in effect inside its window in frankfurt's cluster",
    )  # fmt: skip
    assert seen("process", "fra-1", "active") == (
        True, "in effect on fra-1, by their own kernels",
    )  # fmt: skip
