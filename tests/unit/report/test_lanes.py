# SPDX-License-Identifier: Apache-2.0
"""Lanes of routes, states and sessions: another answer than the first shows as such."""

from __future__ import annotations

from typing import Any

import pytest

from gameday.report.lanes import lanes, ticks
from tests.unit.synthetic import MS, S, make_record
from tests.unit.synthetic_streams import with_streams


@pytest.mark.parametrize(
    ("kind", "first", "other"),
    [
        ("bgp", {"paths": ["cli_rtr: 65040 65010"]}, {"paths": ["cli_rtr: 65040 65020"]}),
        ("gslb-state", {"up": ["a/web", "b/web"]}, {"up": ["b/web"]}),
        ("tcp-session", {"session": 1}, {"session": 2}),
    ],
)
def test_another_answer_is_drawn_as_one(
    kind: str, first: dict[str, Any], other: dict[str, Any]
) -> None:
    states = [[-9000, True, first], [4000, True, other], [8000, False, {}, "timeout: 250 ms"]]
    stream = {"probe": "added", "kind": kind, "node": "mon-1", "states": states}
    record = with_streams(make_record(), [stream])
    onset = record.window().onset.lo
    (lane,) = [x for x in lanes(record, onset - S, onset + 10 * S, MS) if "added" in x.label]
    assert lane.group == "clients"
    assert [span.state for span in lane.spans] == ["ok", "changed", "failed"]


@pytest.mark.parametrize(
    ("kind", "first", "other"),
    [
        ("kube-nodes", {"cordoned": []}, {"cordoned": ["fra-1"]}),
        ("kube-pods", {"ready": 2}, {"ready": 1}),
        ("kube-gslb", {"addresses": ["a", "b"]}, {"addresses": ["b"]}),
        ("kube-delivery", {"paused": []}, {"paused": ["Cluster/frankfurt"]}),
    ],
)
def test_a_cluster_that_does_not_answer_is_no_data_and_not_a_failure(
    kind: str, first: dict[str, Any], other: dict[str, Any]
) -> None:
    states = [
        [-9000, True, {"healthy": True, **first}], [2000, True, {"healthy": True, **other}],
        [4000, True, {"healthy": False, **other}], [6000, False, {}, "timeout: 250 ms"],
    ]  # fmt: skip
    stream = {"probe": "added", "kind": kind, "node": "mon-1", "target": "frankfurt",
              "params": {"site": "frankfurt"}, "states": states}  # fmt: skip
    record = with_streams(make_record(), [stream])
    onset = record.window().onset.lo
    (lane,) = [x for x in lanes(record, onset - S, onset + 10 * S, MS) if "added" in x.label]
    assert lane.group == "frankfurt"
    assert [span.state for span in lane.spans] == ["ok", "changed", "failed", "none"]


def test_an_event_of_the_cluster_is_a_mark() -> None:
    record = make_record()
    said = {"labels": ["object=Node/fra-1", "reason=NodeNotReady"], "message": "x", "count": 1}
    stream = {"probe": "added", "kind": "kube-events", "node": "mon-1", "target": "NodeNotReady",
              "params": {"site": "frankfurt"}, "states": [[-9000, True, said]]}  # fmt: skip
    names = [tick.name for tick in ticks(with_streams(record, [stream]))]
    assert "NodeNotReady Node/fra-1" in names
