# SPDX-License-Identifier: Apache-2.0
"""The node's ledger: receipts survive, names cannot escape, ends are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from gameday.agent.ledger import Ledger
from gameday.errors import NodeError
from gameday.record.types import Receipt


def receipt(lease_id: str = "1a2b3c4d") -> Receipt:
    return Receipt({"id": lease_id, "run": "run-1"}, {"raw4": False}, 1, 2, "boot", 3, 4)


def test_a_receipt_is_read_back_as_it_was(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.add(receipt())
    assert Ledger(tmp_path).get("1a2b3c4d") == receipt()
    assert Ledger(tmp_path).open_leases() == [receipt()]


def test_ended_is_no_longer_open_but_still_known(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.add(receipt())
    ledger.end("1a2b3c4d")
    assert not ledger.is_open("1a2b3c4d")
    assert ledger.open_leases() == []
    assert ledger.get("1a2b3c4d") == receipt()


def test_forgetting_a_run_keeps_open_leases(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.add(receipt("00000001"))
    ledger.add(receipt("00000002"))
    ledger.end("00000001")
    ledger.forget_run("run-1")
    with pytest.raises(NodeError):
        ledger.get("00000001")
    assert ledger.is_open("00000002")


@pytest.mark.parametrize("name", ["../../etc", "1a2b3c4", "1A2B3C4D", ""])
def test_ids_cannot_leave_the_ledger(tmp_path: Path, name: str) -> None:
    with pytest.raises(NodeError):
        Ledger(tmp_path).get(name)


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden"])
def test_run_names_cannot_leave_the_home(tmp_path: Path, name: str) -> None:
    with pytest.raises(NodeError):
        Ledger(tmp_path).run_directory(name)


def test_a_damaged_receipt_is_said_not_skipped(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.add(receipt())
    (tmp_path / "ledger" / "1a2b3c4d.json").write_text("{")
    with pytest.raises(NodeError, match="damaged"):
        ledger.open_leases()
