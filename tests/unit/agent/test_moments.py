# SPDX-License-Identifier: Apache-2.0
"""A node says when a process of ours began and ended an effect, and never says too much."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gameday import clock
from gameday.agent.leases import Leases
from gameday.agent.ledger import Ledger
from gameday.agent.moments import BEGAN, DONE, TRY, Moments
from gameday.clock import NS_PER_S
from gameday.errors import ApiFailed, NodeError, Untouched
from gameday.faults import TABLE
from gameday.record.types import Lease, Receipt, to_json
from tests.unit.faults.fake_host import FakeHost
from tests.unit.faults.kube_kit import DOWN
from tests.unit.faults.test_conformance import lease as one_lease

LEASE = "1a2b3c4d"


def process_lease(leases: Leases, action: str = "pause") -> tuple[Lease, Receipt]:
    """An armed lease of the kind ``process``, whose window a process keeps."""
    host: Any = leases.host
    spec = {"by": "name", "what": "etcd", "action": action, "period_ms": 2000}
    fire = host.now + 10 * NS_PER_S
    lease = Lease(LEASE, "run-1", "n", "f", "process", spec, fire, fire + 30 * NS_PER_S)
    before = TABLE["process"].before(lease, host)
    now = clock.mono_ns()
    receipt = Receipt(to_json(lease), before, host.now, now, clock.boot_id(), now, now + NS_PER_S)
    leases.ledger.add(receipt)
    host.now = fire
    return lease, receipt


@pytest.fixture
def leases(tmp_path: Path) -> Leases:
    return Leases(Ledger(tmp_path), FakeHost([]))  # type: ignore[arg-type]


def test_the_first_drive_is_kept_and_a_later_one_changes_nothing(leases: Leases) -> None:
    lease, receipt = process_lease(leases)
    host: Any = leases.host
    leases.drive(TABLE["process"], lease, receipt, 0)
    began = leases.observe(LEASE)["began"]
    assert len(began) == 2 and began[0] <= began[1]
    host.now += NS_PER_S
    leases.drive(TABLE["process"], lease, receipt, NS_PER_S)
    assert leases.observe(LEASE)["began"] == began
    assert leases.observe(LEASE)["gone"] == []
    gone = leases.disarm(LEASE)["observation"]["gone"]
    assert len(gone) == 2 and began[1] <= gone[0] <= gone[1]
    host.now += NS_PER_S
    again = leases.disarm(LEASE)["observation"]
    assert again["gone"] == gone and again["began"] == began, "who comes second ended nothing"


def test_a_drive_that_failed_at_first_may_have_begun_the_effect(leases: Leases) -> None:
    lease, receipt = process_lease(leases)
    host: Any = leases.host
    tried, host.fail_at = host.mono_ns(), 1
    assert leases.drive(TABLE["process"], lease, receipt, 0) is not None
    assert leases.observe(LEASE)["began"] == []
    host.fail_at, host.now = None, host.now + NS_PER_S
    leases.drive(TABLE["process"], lease, receipt, NS_PER_S)
    assert leases.observe(LEASE)["began"] == [tried, tried + NS_PER_S]


def test_what_the_kernel_keeps_has_no_moments(leases: Leases) -> None:
    host: Any = leases.host
    fire = host.now + 10 * NS_PER_S
    lease = Lease(LEASE, "run-1", "n", "f", "noop", {}, fire, fire + 30 * NS_PER_S)
    now = clock.mono_ns()
    leases.ledger.add(Receipt(to_json(lease), {}, host.now, now, clock.boot_id(), now, now))
    found = leases.disarm(LEASE)["observation"]
    assert found["began"] == [] and found["gone"] == []
    assert not list(leases.ledger.entries.glob("*.gone"))


def test_moments_of_another_boot_are_of_another_clock(leases: Leases) -> None:
    lease, receipt = process_lease(leases)
    leases.drive(TABLE["process"], lease, receipt, 0)
    leases.ledger.add(Receipt(**{**to_json(receipt), "boot_id": "an earlier one"}))
    assert leases.observe(LEASE)["began"] == []
    assert leases.disarm(LEASE)["observation"]["gone"] == []


def test_they_go_with_their_run(leases: Leases) -> None:
    lease, receipt = process_lease(leases)
    leases.drive(TABLE["process"], lease, receipt, 0)
    leases.disarm(LEASE)
    leases.ledger.forget_run("run-1")
    assert not list(leases.ledger.entries.glob(f"{LEASE}*"))


def kube_lease(leases: Leases) -> tuple[Lease, Receipt]:
    """A lease in its window that holds two objects of a cluster in memory."""
    host: Any = leases.host
    lease = one_lease("kube-cordon")
    before = TABLE["kube-cordon"].before(lease, host)
    now = clock.mono_ns()
    receipt = Receipt(to_json(lease), before, host.now, now, clock.boot_id(), now, now + NS_PER_S)
    leases.ledger.add(receipt)
    host.now = lease.fire_at_ns
    return lease, receipt


def test_a_try_that_changed_nothing_is_no_moment_of_the_end(leases: Leases) -> None:
    """An API server that is down holds the effect for as long as nobody can ask it."""
    lease, receipt = kube_lease(leases)
    host: Any = leases.host
    leases.drive(TABLE[lease.kind], lease, receipt, 0)
    host.now, host.kube.fails = lease.expire_at_ns, DOWN
    for _ in range(3):
        with pytest.raises(Untouched):
            leases.disarm(lease.id)
        host.now += 5 * NS_PER_S
        assert leases.observe(lease.id)["gone"] == []
    host.kube.fails, back = None, host.mono_ns()
    gone = leases.disarm(lease.id)["observation"]["gone"]
    assert gone == [back, back], "not a moment before the server was back"


def test_a_try_that_may_have_changed_something_is_the_first_of_the_end(leases: Leases) -> None:
    """A write without an answer may have been made: what comes later moves the bound no more."""
    lease, receipt = kube_lease(leases)
    host: Any = leases.host
    leases.drive(TABLE[lease.kind], lease, receipt, 0)

    def no_answer() -> None:
        raise ApiFailed(0, "timeout", "/api: no answer in time")

    host.now, host.kube.races = lease.expire_at_ns, no_answer
    tried = host.mono_ns()
    with pytest.raises(NodeError) as caught:
        leases.disarm(lease.id)
    assert not isinstance(caught.value, Untouched)
    host.kube.races, host.kube.fails = lambda: None, DOWN
    host.now += 5 * NS_PER_S
    with pytest.raises(Untouched):
        leases.disarm(lease.id)
    host.kube.fails, host.now = None, host.now + 5 * NS_PER_S
    gone = leases.disarm(lease.id)["observation"]["gone"]
    assert gone == [tried, host.mono_ns()]


def test_a_beginning_that_changed_nothing_is_none_either(leases: Leases) -> None:
    lease, receipt = kube_lease(leases)
    host: Any = leases.host
    host.kube.fails = DOWN
    assert leases.drive(TABLE[lease.kind], lease, receipt, 0) is not None
    host.kube.fails, host.now = None, host.now + 5 * NS_PER_S
    leases.drive(TABLE[lease.kind], lease, receipt, 5 * NS_PER_S)
    assert leases.observe(lease.id)["began"] == [host.mono_ns(), host.mono_ns()]


@pytest.mark.parametrize(
    "text", ["", "try 5\n", "done 9\n", "done 9\ntry 5\n", "try 5\ndone\n", "try x\ndone 9\n",
             "\n\n", "try 5\ntry 6\ndone 9\n"],
)  # fmt: skip
def test_half_a_moment_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / f"{LEASE}.began").write_text(text)
    assert Moments(tmp_path).read(LEASE, BEGAN) == ()


def test_a_moment_that_cannot_be_kept_stops_nobody(tmp_path: Path) -> None:
    moments = Moments(tmp_path / "not-there")
    moments.stamp(LEASE, BEGAN, TRY, 5)
    moments.stamp(LEASE, BEGAN, DONE, 9)
    assert moments.read(LEASE, BEGAN) == ()
