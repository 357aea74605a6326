# SPDX-License-Identifier: Apache-2.0
"""A run's lines about leases: right numbers, and nothing of nodes where no node holds any."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gameday.conduct import words
from gameday.faults.base import CONTROLLER
from gameday.record.types import Lease

CASES = Path(__file__).resolve().parents[2] / "cases" / "faults"


def lease(kind: str, node: str = CONTROLLER) -> Lease:
    spec = json.loads((CASES / f"{kind}.json").read_text(encoding="utf-8"))["spec"]
    return Lease("1a2b3c4d", "r", node, "f", kind, spec, 0, 1)


CUT = [lease("partition", "a"), lease("partition", "b")]
SCALED = [lease("kube-scale")]


@pytest.mark.parametrize(
    ("leases", "lines"),
    [
        (CUT, ["arm 2 leases on 2 nodes; they are inert until T0", "all 2 nodes armed",
               "the nodes' kernels open the window"]),
        (CUT[:1], ["arm 1 lease on 1 node; it is inert until T0", "1 node armed",
                   "the node's kernel opens the window"]),
        ([lease("process", "a"), CUT[1]],
         ["arm 2 leases on 2 nodes; they are inert until T0", "all 2 nodes armed",
          "the node's kernel and a keeper on the node open the window"]),
        (SCALED, ["arm 1 lease on the controller's host; it is inert until T0",
                  "1 lease held by the controller's host",
                  "a keeper on the controller's host opens the window"]),
        ([*CUT, *SCALED, lease("kube-pause")],
         ["arm 4 leases on 2 nodes and the controller's host; they are inert until T0",
          "all 2 nodes armed and 2 leases held by the controller's host",
          "the nodes' kernels and a keeper on the controller's host open the window"]),
    ],
)  # fmt: skip
def test_lines(leases: list[Lease], lines: list[str]) -> None:
    assert [words.arming(leases), words.armed(leases, False), words.opening(leases)] == lines
    assert words.armed(leases, True) == f"{lines[1]}; our own path is proven exempt"
