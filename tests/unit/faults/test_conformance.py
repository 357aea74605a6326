# SPDX-License-Identifier: Apache-2.0
"""Obligations of every fault kind, over the whole table: a new kind cannot skip them."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from gameday.clock import NS_PER_S
from gameday.errors import NodeError
from gameday.faults import TABLE
from gameday.faults.base import Facts
from gameday.record.types import Lease
from tests.guarantee import matrix
from tests.unit.faults.fake_host import FakeHost

CASES = Path(__file__).resolve().parents[2] / "cases" / "faults"
SPECS = {path.stem: json.loads(path.read_text())["spec"] for path in CASES.glob("*.json")}
"""By kind, and by kind and variant: ``partition``, ``partition.blackhole``."""
FOREIGN = [":INPUT ACCEPT", ":KUBE-SERVICES -", "-A INPUT -j KUBE-SERVICES"]


def lease(case: str) -> Lease:
    fire, kind = 1_010 * NS_PER_S, case.split(".", maxsplit=1)[0]
    return Lease("1a2b3c4d", "run-1", "fra-1", "f", kind, SPECS[case], fire, fire + 30 * NS_PER_S)


def drive(host: FakeHost, one: Lease, before: dict) -> None:
    """As the keeper does, through the whole window."""
    due: int | None = 0 if TABLE[one.kind].drives(one.spec) else None
    while due is not None and due < one.expire_at_ns - one.fire_at_ns:
        host.now = one.fire_at_ns + due
        due = TABLE[one.kind].drive(one, before, host, due)


@pytest.mark.parametrize("case", sorted(SPECS))
def test_process_kept_kinds_are_active_once_driven(case: str) -> None:
    host, one = FakeHost(FOREIGN), lease(case)
    fault = TABLE[one.kind]
    if fault.kept_by(one.spec) == "kernel":
        return
    before = fault.before(one, host)
    was = host.state()
    fault.arm(one, before, host)
    assert host.state() == was, "nothing is in place before the window"
    host.now = one.fire_at_ns
    fault.drive(one, before, host, 0)
    found = fault.observe(one, before, host)
    assert found.state == "active"
    assert found.left, "every piece that is there is named, with what removes it"
    fault.drive(one, before, host, 0)
    fault.disarm(one, before, host)
    assert host.state() == was, "driven twice, as by a keeper that was started again"


def test_every_kind_has_a_spec() -> None:
    assert {case.split(".")[0] for case in SPECS} == set(TABLE)


@pytest.mark.parametrize("case", sorted(SPECS))
def test_arm_then_disarm_restores_exactly(case: str) -> None:
    host, one = FakeHost(FOREIGN), lease(case)
    fault = TABLE[one.kind]
    host.sets["somebody-elses"] = (4, ["10.0.0.0/8"], 0)
    was = host.state()
    before = fault.before(one, host)
    assert host.state() == was, "before() must change nothing"
    fault.arm(one, before, host)
    assert fault.observe(one, before, host).state in ("armed", "absent")
    drive(host, one, before)
    fault.disarm(one, before, host)
    assert host.state() == was
    assert fault.observe(one, before, host).state == "absent"
    assert fault.observe(one, before, host).foreign_changed == ()


@pytest.mark.parametrize("case", sorted(SPECS))
def test_disarm_twice_does_nothing_the_second_time(case: str) -> None:
    host, one = FakeHost(FOREIGN), lease(case)
    fault = TABLE[one.kind]
    before = fault.before(one, host)
    fault.arm(one, before, host)
    drive(host, one, before)
    fault.disarm(one, before, host)
    assert fault.disarm(one, before, host) == []


@pytest.mark.parametrize("case", sorted(SPECS))
def test_crash_after_any_mutation_is_undone(case: str) -> None:
    for step in range(1, 30):
        host, one = FakeHost(FOREIGN), lease(case)
        fault = TABLE[one.kind]
        was = host.state()
        before = fault.before(one, host)
        host.fail_at = step
        try:
            fault.arm(one, before, host)
            drive(host, one, before)
        except NodeError:
            host.fail_at = None
        host.fail_at = None
        fault.disarm(one, before, host)
        assert host.state() == was, f"after a crash at mutation {step}"


@pytest.mark.parametrize("case", sorted(SPECS))
def test_never_armed_disarms_to_nothing(case: str) -> None:
    host, one = FakeHost(FOREIGN), lease(case)
    fault = TABLE[one.kind]
    before = fault.before(one, host)
    assert fault.disarm(one, before, host) == []


def test_partition_is_active_only_inside_its_window() -> None:
    host, one = FakeHost(), lease("partition")
    fault = TABLE["partition"]
    before = fault.before(one, host)
    fault.arm(one, before, host)
    for now, state_there in (
        (one.fire_at_ns - 1, "armed"),
        (one.fire_at_ns, "active"),
        (one.expire_at_ns - 1, "active"),
        (one.expire_at_ns, "armed"),
    ):
        host.now = now
        assert fault.observe(one, before, host).state == state_there


def test_partition_missing_piece_is_foreign_and_says_how_to_remove_it() -> None:
    host, one = FakeHost(), lease("partition")
    fault = TABLE["partition"]
    before = fault.before(one, host)
    fault.arm(one, before, host)
    host.tables[4]["raw"] = [x for x in host.tables[4]["raw"] if "DROP" not in x]
    found = fault.observe(one, before, host)
    assert found.state == "foreign"
    assert any("ipset destroy gd-1a2b3c4d-f4" in piece for piece in found.left)
    assert any("iptables -t raw -D PREROUTING" in piece for piece in found.left)


def test_partition_window_is_inclusive_of_its_stop_second() -> None:
    rules, undo = TABLE["partition"].explain(lease("partition"))
    drop = next(line for line in rules if ":cut" in line and "DROP" in line)
    # 1010 s to 1040 s after 1970; the kernel's stop second is the last one that matches.
    assert "--datestart 1970-01-01T00:16:50 --datestop 1970-01-01T00:17:19" in drop
    assert any(line.startswith("ipset destroy gd-1a2b3c4d-f4") for line in undo)


def test_partition_set_entries_outlive_the_window_by_less_than_a_second() -> None:
    host, one = FakeHost(), lease("partition")
    host.now += 400_000_000
    before = TABLE["partition"].before(one, host)
    TABLE["partition"].arm(one, before, host)
    timeout_s = host.sets["gd-1a2b3c4d-f4"][2]
    left_ns = one.expire_at_ns - host.now
    assert left_ns <= timeout_s * NS_PER_S < left_ns + NS_PER_S


def test_partition_exempts_controller_and_management() -> None:
    host, one = FakeHost(), lease("partition")
    before = TABLE["partition"].before(one, host)
    TABLE["partition"].arm(one, before, host)
    assert host.sets["gd-1a2b3c4d-m4"] == (4, ["198.19.0.0/24", "198.19.0.1"], 0)
    chain = [x for x in host.tables[4]["raw"] if x.startswith("-A GD-1a2b3c4d-I")]
    assert "RETURN" in chain[0] and "RETURN" in chain[1] and "DROP" in chain[3]


@pytest.mark.parametrize("ours", ["198.19.0.1/32", "198.19.0.0/16", "198.19.0.77"])
@pytest.mark.parametrize("case", ["partition, blackhole", "netem, ingress"])
def test_what_no_rule_can_exempt_is_refused_where_it_would_hit_our_path(
    case: str, ours: str
) -> None:
    """The controller is 198.19.0.1, the management network 198.19.0.0/24."""
    one = next(c for c in matrix.CASES if c.name == case)
    spec = json.loads(json.dumps(one.spec))
    if "flows" in spec:
        spec["flows"][0]["dst"].append(ours)
    else:
        spec["to"].append(ours)
    for given in (one.spec, spec):
        what = replace(lease("partition"), kind=one.kind, spec=given)
        refused = pytest.raises(NodeError, match="would cut our own path")
        with nullcontext() if given is one.spec else refused:
            TABLE[one.kind].before(what, FakeHost())


@pytest.mark.parametrize("missing", ["iptables", "iptables-time", "iptables-set", "ipset"])
def test_partition_says_what_is_missing(missing: str) -> None:
    facts = Facts("3.11", "6.1", True, "nft", {missing: "install it"}, ("lo",), "b")
    assert TABLE["partition"].available(facts) == "install it"
    assert TABLE["noop"].available(facts) is None


def test_every_kind_meets_deaths_somewhere() -> None:
    root = Path(__file__).resolve().parents[3]
    assert {case.kind for case in matrix.CASES} | set(matrix.ELSEWHERE) == set(TABLE)
    assert all((root / path).is_file() for path in matrix.ELSEWHERE.values())


@pytest.mark.parametrize("case", matrix.CASES, ids=lambda case: case.name)
def test_the_guarantees_matrix_speaks_as_the_kinds_do(case: matrix.Case) -> None:
    """A spec of another shape would be refused, and its cells would show nothing."""
    shapes = [set(spec) for name, spec in SPECS.items() if name.split(".")[0] == case.kind]
    assert set(case.spec) in shapes
