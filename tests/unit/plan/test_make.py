# SPDX-License-Identifier: Apache-2.0
"""Plans on the lab's inventory: what is refused and why, and what a good plan holds.

Cases are in tests/cases/plan/mutations.json: replacements in good.yaml and in the lab's
inventory, and all the problems that must come out (none: the plan must be made).
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from gameday.errors import EXIT_INVALID_INPUT, EvidenceError, InvalidInput, Refused
from gameday.experiment import load_experiment, parse_experiment
from gameday.plan import Inventory, Plan, load_inventory, make_plan, plan_from_json
from gameday.plan.targets import connected

ROOT = Path(__file__).parents[3]
CASES = ROOT / "tests" / "cases"
GOOD = (CASES / "experiment" / "good.yaml").read_text(encoding="utf-8")
LAB = ROOT / "inventory" / "lab.yaml"
MUTATIONS = json.loads((CASES / "plan" / "mutations.json").read_text(encoding="utf-8"))
SHIPPED = ROOT / "experiments" / "wan-partition-frankfurt.yaml"
MS = 1_000_000


@pytest.fixture(scope="module")
def lab() -> Inventory:
    return load_inventory(LAB)


@pytest.fixture(scope="module")
def shipped(lab: Inventory) -> Plan:
    return make_plan(load_experiment(SHIPPED), lab)


def changed(text: str, replacements: list[list[str]]) -> str:
    for old, new in replacements:
        assert old in text, f"{old!r} is not there to be replaced"
        text = text.replace(old, new, 1)
    return text


@pytest.mark.parametrize("case", MUTATIONS, ids=lambda c: c["about"])
def test_case(case: dict[str, Any], lab: Inventory, tmp_path: Path) -> None:
    if "inventory" in case:
        path = tmp_path / "lab.yaml"
        path.write_text(changed(LAB.read_text(encoding="utf-8"), case["inventory"]))
        lab = load_inventory(path)
    loaded = parse_experiment(changed(GOOD, case["replace"]), "x.yaml")
    if not case["expect"]:
        make_plan(loaded, lab)
        return
    with pytest.raises(InvalidInput) as caught:
        make_plan(loaded, lab)
    found = [problem.removeprefix("x.yaml:") for problem in caught.value.problems]
    assert found == case["expect"]
    assert isinstance(caught.value, Refused) == case.get("refused", False)
    assert caught.value.exit_code == EXIT_INVALID_INPUT


def test_leases_only_where_they_may_be_and_named_apart(shipped: Plan) -> None:
    (fault,) = shipped.faults
    nodes = [lease.node for lease in fault.leases]
    assert nodes == ["ams-1", "fra-1", "fra-2", "lon-1", "lon-2"]
    names = {lease.id for lease in fault.leases}
    assert len(names) == len(nodes)
    assert all(len(name) == 8 and int(name, 16) >= 0 for name in names)
    assert fault.sides["side_a"] == ("fra-1", "fra-2")


def test_rules_are_written_from_t0(shipped: Plan) -> None:
    for lease in shipped.faults[0].leases:
        text = "\n".join((*lease.rules, *lease.undo))
        assert "--datestart T0+0s --datestop T0+29s" in text
        assert "1970" not in text
        assert lease.id in text
        assert lease.undo


def test_lease_names_that_repeat_are_drawn_again(lab: Inventory) -> None:
    drawn = itertools.cycle(["00000001", "00000001", *(f"{n:08x}" for n in range(2, 12))])
    plan = make_plan(load_experiment(SHIPPED), lab, new_id=lambda: next(drawn))
    ids = [lease.id for lease in plan.faults[0].leases]
    assert ids == ["00000001", "00000002", "00000003", "00000004", "00000005"]


def test_quorum_and_predictions(shipped: Plan) -> None:
    (group,) = shipped.groups
    assert group.majority == 3
    sides = [(side.members, side.quorum) for side in group.cuts[0].sides]
    assert sides == [(("fra-1", "fra-2"), False), (("ams-1", "lon-1", "lon-2"), True)]
    assert [(p.id, p.expect) for p in shipped.predictions] == [
        ("main:cut-frankfurt:0", "writes-stop"),
        ("main:cut-frankfurt:1", "writes-continue"),
    ]
    assert shipped.predictions[0].text == (
        "main: fra-1 and fra-2 are 2 of 5, under the majority of 3: they must stop "
        "acknowledging writes"
    )


def test_samplers_follow_each_kinds_fan_out(shipped: Plan) -> None:
    probes = {probe.name: probe for probe in shipped.probes}
    assert [(s.node, s.target) for s in probes["etcd-write"].samplers] == [
        (n, n) for n in ("ams-1", "fra-1", "fra-2", "lon-1", "lon-2")
    ]
    assert [(s.node, s.target) for s in probes["dns"].samplers] == [
        ("cli-1", n) for n in ("ams-1", "fra-2", "lon-2")
    ]
    (http,) = probes["user-http"].samplers
    assert (http.node, http.target) == ("cli-1", "app.gameday.test")
    assert [name for name, _ in http.peers] == ["ams-1", "fra-2", "lon-2"]
    (alerts,) = probes["alerts"].samplers
    assert (alerts.node, alerts.target) == ("mon-1", "listener")


def test_effect_pairs_are_cut_or_kept_as_they_should(shipped: Plan, lab: Inventory) -> None:
    check = shipped.effect["cut-frankfurt"]
    side = set(shipped.faults[0].sides["side_a"])
    assert len(check.cut) == 6
    assert len(check.control) == 4
    for a, b in check.cut:
        assert (a in side) != (b in side)
    for a, b in check.control:
        assert (a in side) == (b in side)
    asked = {node for node, _ in (*check.cut, *check.control)}
    assert all(lab.can_arm(node) for node in asked)
    assert {n for pair in check.cut for n in pair} == {"ams-1", "fra-1", "fra-2", "lon-1", "lon-2"}
    probe = next(p for p in shipped.probes if p.name == check.probe)
    assert (probe.kind, probe.period_ns) == ("icmp", 200 * MS)
    assert {(s.node, s.target) for s in probe.samplers} == {*check.cut, *check.control}


def test_effect_pairs_stay_clear_of_other_faults(lab: Inventory) -> None:
    second = (
        "  - name: cut-2\n    kind: partition\n    at_s: 30\n    for_s: 10\n"
        "    params: {side_a: {node: fra-1}, side_b: {site: london}}\nprobes:\n"
    )
    loaded = parse_experiment(
        GOOD.replace("probes:\n  - name: writes", second + "  - name: writes"), "x"
    )
    plan = make_plan(loaded, lab)
    cut_twice = frozenset(("fra-1", other) for other in ("lon-1", "lon-2"))
    assert all(connected(a, b, cut_twice) for a, b in plan.effect["cut"].cut)
    assert plan.effect["cut-2"].cut, "all its pairs are cut by the first one too; they are used"
    both = cut_twice | {(a, b) for a in ("fra-1", "fra-2") for b in ("lon-1", "lon-2", "ams-1")}
    for check in plan.effect.values():
        assert all(connected(a, b, frozenset(both)) for a, b in check.control)


def test_noop_cuts_nothing_and_predicts_nothing(lab: Inventory) -> None:
    text = changed(
        GOOD,
        [
            ["kind: partition", "kind: noop"],
            ["side_a: {site: frankfurt}", "nodes: {site: frankfurt}"],
            ["      side_b: {site: [london, amsterdam]}\n", ""],
        ],
    )
    plan = make_plan(parse_experiment(text, "x.yaml"), lab)
    assert [lease.node for lease in plan.faults[0].leases] == ["fra-1", "fra-2"]
    assert not plan.effect
    assert not plan.predictions
    assert plan.groups[0].cuts == ()


def test_widths_and_timeline(lab: Inventory) -> None:
    plan = make_plan(parse_experiment(GOOD, "x.yaml"), lab)
    assert plan.widths == {"writes": 500 * MS, "names": 1300 * MS, "effect:cut": 400 * MS}
    assert (plan.timeline.steady_s, plan.timeline.faults_end_s, plan.timeline.recover_s) == (
        5, 30, 15,
    )  # fmt: skip


def test_a_member_on_no_side_is_a_bridge_and_nothing_is_predicted(lab: Inventory) -> None:
    text = GOOD.replace("[london, amsterdam]", "london")
    plan = make_plan(parse_experiment(text, "x.yaml"), lab)
    (side,) = plan.groups[0].cuts[0].sides
    assert side.quorum
    assert not plan.predictions
    assert any("change again and again" in text for text in plan.limits)


def test_plan_survives_json(shipped: Plan) -> None:
    data = json.loads(json.dumps(shipped.to_json()))
    assert plan_from_json(data) == shipped
    assert not any(isinstance(value, float) for value in leaves(data))


@pytest.mark.parametrize("damage", ["missing", "extra", "type"])
def test_what_is_no_plan_is_said(shipped: Plan, damage: str) -> None:
    data = shipped.to_json()
    if damage == "missing":
        del data["groups"]
    elif damage == "extra":
        data["faults"][0]["colour"] = "red"
    else:
        data["timeline"]["steady_s"] = "five"
    with pytest.raises(EvidenceError, match="not a plan"):
        plan_from_json(data)


def leaves(item: Any) -> list[Any]:
    """Every value that holds no others."""
    if isinstance(item, dict):
        return [leaf for value in item.values() for leaf in leaves(value)]
    if isinstance(item, list):
        return [leaf for value in item for leaf in leaves(value)]
    return [item]


def with_probe(text: str) -> str:
    """The good experiment with one more probe, named sql."""
    head = "probes:\n  - {name: sql, period_ms: 500, from: {node: [fra-1, lon-1]}, "
    return GOOD.replace("probes:", f"{head}{text}}}", 1)


def test_a_vantage_asks_its_own_server_where_an_address_is_given(lab: Inventory) -> None:
    own = "kind: postgresql, params: {address: 127.0.0.1}"
    targets = []
    for asks in (own, "kind: postgresql, to: {role: etcd}"):
        plan = make_plan(parse_experiment(with_probe(asks), "x.yaml"), lab)
        (probe,) = [one for one in plan.probes if one.name == "sql"]
        targets.append({(one.node, one.target) for one in probe.samplers})
    assert targets[0] == {("fra-1", "fra-1"), ("lon-1", "lon-1")}
    assert ("fra-1", "lon-1") in targets[1] and ("fra-1", "fra-1") not in targets[1]
    with pytest.raises(InvalidInput) as caught:
        parse_experiment(with_probe(f"{own}, to: {{role: etcd}}"), "x.yaml")
    assert any("is not used by postgresql" in one for one in caught.value.problems)
