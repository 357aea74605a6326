# SPDX-License-Identifier: Apache-2.0
"""Lanes of routes, states and sessions: another answer than the first shows as such."""

from __future__ import annotations

from typing import Any

import pytest

from gameday.report.lanes import lanes
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
