# SPDX-License-Identifier: Apache-2.0
"""A sweep with a ledger, without one, and with a damaged one; on a host in memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gameday import clock
from gameday.agent.leases import Leases
from gameday.agent.ledger import Ledger
from gameday.agent.sweep import sweep
from gameday.clock import NS_PER_S
from gameday.faults import TABLE
from gameday.record.types import Lease, Receipt, to_json
from tests.unit.faults.fake_host import FakeHost

CASES = Path(__file__).resolve().parents[2] / "cases" / "faults"
FOREIGN = [":INPUT ACCEPT", ":KUBE-SERVICES -", "-A INPUT -j KUBE-SERVICES"]


def armed(host: FakeHost, kind: str = "partition", lease_id: str = "1a2b3c4d") -> Receipt:
    """A lease in place; its receipt is for the test to keep or lose."""
    spec = json.loads((CASES / f"{kind}.json").read_text())["spec"]
    fire = host.now + 10 * NS_PER_S
    lease = Lease(lease_id, "run-1", "n", "f", kind, spec, fire, fire + 30 * NS_PER_S)
    before = TABLE[kind].before(lease, host)
    TABLE[kind].arm(lease, before, host)
    now = clock.mono_ns()
    return Receipt(
        to_json(lease), before, host.now, now, clock.boot_id(), now + 10 * NS_PER_S,
        now + 40 * NS_PER_S,
    )  # fmt: skip


@pytest.fixture
def leases(tmp_path: Path) -> Leases:
    return Leases(Ledger(tmp_path), FakeHost(FOREIGN))  # type: ignore[arg-type]


def host_of(leases: Leases) -> FakeHost:
    host: Any = leases.host
    return host  # type: ignore[no-any-return]


def test_without_a_ledger_all_that_is_tagged_goes_and_nothing_else(leases: Leases) -> None:
    host = host_of(leases)
    host.sets["somebody-elses"] = (4, ["10.0.0.0/8"], 0)
    was = host.state()
    armed(host)
    armed(host, lease_id="00000009")
    looked = sweep(leases, look=True)
    assert any("ipset destroy gd-1a2b3c4d-f4" in line for line in looked["left"])
    assert any("iptables -t raw -D PREROUTING" in line for line in looked["left"])
    assert looked["done"] == [] and host.state() != was
    found = sweep(leases)
    assert found["left"] == [] and found["trouble"] == [] and found["done"]
    assert host.state() == was
    assert sweep(leases)["done"] == []


def test_a_lease_inside_its_window_is_spared_but_for_force(leases: Leases) -> None:
    host = host_of(leases)
    was = host.state()
    leases.ledger.add(armed(host))
    there = host.state()
    armed(host, lease_id="00000009")
    found = sweep(leases)
    assert host.state() == there, "only the one that no ledger knows was removed"
    assert [one["lease"] for one in found["spared"]] == ["1a2b3c4d"]
    assert 38 <= found["spared"][0]["ends_in_s"] <= 40 and found["left"] == []
    found = sweep(leases, force=True)
    assert host.state() == was
    assert found == {
        "spared": [], "done": ["lease 1a2b3c4d of run-1"], "left": [], "trouble": [],
    }  # fmt: skip
    assert not leases.ledger.is_open("1a2b3c4d")


def test_an_overdue_lease_is_ended(leases: Leases) -> None:
    receipt = armed(host_of(leases))
    data = {**to_json(receipt), "expire_mono_ns": clock.mono_ns() - 1}
    leases.ledger.add(Receipt(**data))
    assert "lease 1a2b3c4d of run-1 is open" in sweep(leases, look=True)["left"]
    assert sweep(leases)["left"] == []
    assert host_of(leases).sets == {}


def test_a_damaged_receipt_is_set_aside_and_its_pieces_go(leases: Leases) -> None:
    host = host_of(leases)
    was = host.state()
    leases.ledger.add(armed(host))
    path = leases.ledger.entries / "1a2b3c4d.json"
    path.write_text('{"lease": ')
    assert any("damaged receipt" in line for line in sweep(leases, look=True)["left"])
    found = sweep(leases)
    assert found["left"] == [] and host.state() == was
    assert not path.exists() and (leases.ledger.entries / "1a2b3c4d.damaged.txt").exists()


def test_what_cannot_be_removed_is_said_with_its_command(
    leases: Leases, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = host_of(leases)
    armed(host)
    host.fail_at = 1
    found = sweep(leases)
    assert found["trouble"] and "crashed" in found["trouble"][0]
    assert any("ipset destroy gd-1a2b3c4d-f4" in line for line in found["left"])


def test_audit_names_what_no_ledger_knows(leases: Leases) -> None:
    armed(host_of(leases))
    left = leases.audit()["left"]
    assert any("raw: chain GD-1a2b3c4d-I: remove with `iptables -t raw" in x for x in left)
