# SPDX-License-Identifier: Apache-2.0
"""What a run says of inventory and clusters before it arms: recorded, told, in its report."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from gameday.conduct.collect import Recorder
from gameday.conduct.kube_drift import compare
from gameday.plan import load_inventory
from gameday.record import kinds
from gameday.record.journal import read_events
from tests.unit.cli.test_inventory_import import estate

ROOT = Path(__file__).parents[3]


def compared(directory: Path, inventory: dict[str, Any]) -> tuple[list[Any], list[str]]:
    """(events, what was told) of one comparison."""
    recorder, notes = Recorder(directory), list[str]()
    compare(inventory, recorder, notes.append)
    recorder.close()
    journal = directory / "events.jsonl"
    return (list(read_events(journal)) if journal.exists() else []), notes


def test_no_cluster_no_question(tmp_path: Path) -> None:
    inventory = load_inventory(ROOT / "inventory" / "lab.yaml").to_json()
    assert compared(tmp_path, inventory) == ([], [])
    del inventory["clusters"]
    assert compared(tmp_path, inventory) == ([], []), "runs of before clusters were named"


def test_a_cluster_that_is_not_heard_is_written_down_as_unknown(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = int(one.getsockname()[1])
    (event,), notes = compared(tmp_path, load_inventory(estate(tmp_path, port)).to_json())
    assert event.kind == kinds.COMPARED
    assert event.data["clusters"] == [{"name": "c", "sites": ["frankfurt"], "answered": False}]
    (finding,) = event.data["findings"]
    assert (finding["level"], finding["where"]) == ("unknown", "frankfurt")
    assert notes == [
        "inventory: unknown: frankfurt: its cluster c did not answer (refused: /api/v1/nodes: "
        "NewConnectionError); whether it differs from the inventory is unknown"
    ]
