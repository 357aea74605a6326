# SPDX-License-Identifier: Apache-2.0
"""Keeper and reaper: what they call, when, and what they become while nothing is to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from gameday.agent import keeper, vigil
from gameday.agent.ledger import Ledger
from gameday.agent.vigil import Watch
from gameday.errors import NodeError
from gameday.record.types import Receipt
from gameday.ticks import NS_PER_MS, NS_PER_S

LEASE = "1a2b3c4d"
WINDOW_NS = 400 * NS_PER_MS


class Clock:
    """Time that passes only while somebody sleeps: who is late here is late by design."""

    def __init__(self) -> None:
        self.now = 1000 * NS_PER_S

    def mono_ns(self) -> int:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += max(1, round(seconds * NS_PER_S))

    def sleep_until(self, deadline_ns: int) -> None:
        self.now = max(self.now, deadline_ns)


class BecameError(Exception):
    """The process went on as something else; carries the arguments."""


class Leases:
    """Stands for ``gameday.agent.leases.Leases``: notes who called what and when."""

    def __init__(self, ledger: Ledger, dues: list[int | None], time: Clock) -> None:
        self.ledger, self.dues, self.time = ledger, dues, time
        self.driven: list[int] = []
        self.disarmed: list[int] = []
        self.tidied: list[str] = []
        self.prepared: list[tuple[str, int]] = []
        self.refusals = 0
        self.apart = False

    def is_apart(self, lease: str) -> bool:
        return self.apart

    def parts(self, receipt: Receipt) -> tuple[None, None]:
        return None, None

    def prepare(self, lease: str) -> None:
        self.prepared.append((lease, self.time.now))

    def drive(self, fault: Any, lease: Any, receipt: Receipt, since_ns: int) -> int | None:
        self.driven.append(since_ns)
        return self.dues.pop(0)

    def disarm(self, lease: str) -> Any:
        self.disarmed.append(self.time.now)
        self.ledger.end(lease)
        if self.refusals:
            # As systemd may, after the ledger has the lease as ended.
            self.refusals -= 1
            raise NodeError("systemctl did not end within 20 s")
        return {"observation": {"state": "absent"}}

    def tidy(self, lease: str = "") -> None:
        if self.refusals:
            self.refusals -= 1
            raise NodeError("systemctl did not end within 20 s")
        self.tidied.append(lease)


@pytest.fixture
def leases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Leases:
    def become(*arguments: str) -> None:
        raise BecameError(arguments)

    time = Clock()
    one = Leases(Ledger(tmp_path), [], time)
    for module in (keeper, vigil):
        monkeypatch.setattr(module, "mono_ns", time.mono_ns)
        monkeypatch.setattr(module, "time", time)
    monkeypatch.setattr(keeper, "sleep_until_mono", time.sleep_until)
    monkeypatch.setattr(keeper, "_tools", lambda: (one, one.ledger))
    monkeypatch.setattr(vigil, "go_on_as", become)
    return one


def watch(leases: Leases, kept: str = "process", window_ns: int = WINDOW_NS) -> Watch:
    """A lease in the ledger whose window opens in 100 ms."""
    fire = leases.time.now + 100 * NS_PER_MS
    receipt = Receipt({"id": LEASE}, {}, 1, 1, "boot", fire, fire + window_ns)
    leases.ledger.add(receipt)
    return Watch(LEASE, fire, fire + window_ns, kept, True, str(leases.ledger.entries))


def test_the_keeper_drives_when_asked_and_ends_on_time(leases: Leases) -> None:
    leases.dues = [100 * NS_PER_MS, None]
    one = watch(leases)
    assert keeper.keep(one) == 0
    assert leases.driven == [0, 100 * NS_PER_MS]
    assert leases.disarmed == [one.expire_ns]
    assert [lease for lease, at in leases.prepared if at < one.fire_ns] == [LEASE]


def test_a_keeper_with_nothing_to_do_gives_its_memory_back(leases: Leases) -> None:
    leases.dues = [None]
    one = watch(leases, window_ns=10 * NS_PER_S)
    with pytest.raises(BecameError) as became:
        keeper.keep(one)
    assert became.value.args[0] == ("hold", *one.words())


def test_what_it_becomes_ends_the_lease(leases: Leases) -> None:
    one = watch(leases)
    assert keeper.hold(one) == 0
    assert leases.disarmed == [one.expire_ns]
    assert [lease for lease, at in leases.prepared if at < one.expire_ns] == [LEASE]


def test_a_window_that_the_kernel_keeps_is_left_to_the_reaper(leases: Leases) -> None:
    assert keeper.hold(watch(leases, "kernel")) == 0 and not leases.disarmed


def test_the_reaper_ends_what_is_overdue(leases: Leases) -> None:
    one = watch(leases)
    one.driven = False
    assert keeper.reap(one) == 0
    assert leases.disarmed == [one.expire_ns + keeper.REAP_GRACE_NS]


def test_a_lease_that_somebody_ended_is_left_alone(leases: Leases) -> None:
    one = watch(leases)
    leases.ledger.end(LEASE)
    assert [keeper.keep(one), keeper.hold(one), keeper.reap(one)] == [0, 0, 0]
    assert not leases.driven and not leases.disarmed


def test_the_last_resort_ends_what_nobody_else_ended(leases: Leases) -> None:
    one = watch(leases)
    assert keeper.last(one) == 0
    assert leases.disarmed == [one.expire_ns + vigil.LAST_GRACE_NS]


def test_the_last_resort_only_tidies_up_after_what_has_ended(leases: Leases) -> None:
    """Who ended it may have been killed before the boot unit was gone."""
    one = watch(leases)
    leases.ledger.end(LEASE)
    assert keeper.last(one) == 0
    assert (leases.disarmed, leases.tidied) == ([], [LEASE])
    assert leases.time.now < one.expire_ns


def test_a_lease_is_not_over_before_its_guards_are_gone(
    leases: Leases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where systemd refuses after the ledger has the lease as ended, it is asked again."""
    monkeypatch.setattr(keeper, "RETRY_S", 0.001)
    watch(leases)
    leases.refusals = 3
    assert keeper.end(LEASE, cast("Any", leases), leases.ledger) == 0
    assert (len(leases.disarmed), leases.tidied) == (1, [LEASE])


def test_the_boot_tidies_up_where_no_lease_is_open(leases: Leases) -> None:
    assert keeper.boot(cast("Any", leases), leases.ledger) == 0
    assert leases.tidied == [""]


@pytest.mark.parametrize("lives", [True, False])
def test_the_last_resort_prepares_where_nobody_else_lives(
    leases: Leases, monkeypatch: pytest.MonkeyPatch, lives: bool
) -> None:
    """An interpreter that only begins to import when its turn comes would be late."""
    prepared: list[int] = []
    monkeypatch.setattr(vigil, "lives", lambda *_: lives)
    monkeypatch.setattr(
        keeper, "_tools", lambda: (prepared.append(leases.time.now), (leases, leases.ledger))[1]
    )
    one = watch(leases)
    assert keeper.last(one) == 0
    assert (prepared[0] >= one.expire_ns) == lives


def test_what_stands_in_another_system_is_never_given_up(leases: Leases) -> None:
    one, begun = watch(leases), leases.time.now
    leases.apart, leases.refusals = True, 3 * keeper.RETRY_MAX
    assert keeper.end(one.lease, leases, leases.ledger) == 0
    assert leases.refusals == 0
    pauses = (leases.time.now - begun) / NS_PER_S
    assert pauses <= keeper.PATIENT_S * 3 * keeper.RETRY_MAX, "asked at least that often"
    assert pauses > keeper.PATIENT_S * 2 * keeper.RETRY_MAX, "and not five times a second"


def test_what_a_node_holds_itself_is_given_up_after_a_minute(leases: Leases) -> None:
    one = watch(leases)
    leases.refusals = 10 * keeper.RETRY_MAX
    assert keeper.end(one.lease, leases, leases.ledger) == 1
