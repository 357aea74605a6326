# SPDX-License-Identifier: Apache-2.0
"""One line to an experiment: what may be asked for, what comes out, and what the plan warns of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from gameday.errors import GamedayError, InvalidInput
from gameday.plan import Inventory, load_inventory
from gameday.plan.excurse import planned
from gameday.plan.wish import (
    Wish,
    check,
    parse_duration,
    parse_profile,
    parse_rtt,
    peak_us,
    placeholder,
)

LAB = Path(__file__).parents[3] / "inventory" / "lab.yaml"
SITES = ("frankfurt", "london")
BASE_US = 12_000


@pytest.fixture(scope="module")
def lab() -> Inventory:
    return load_inventory(LAB)


def wish(**asked: Any) -> Wish:
    return Wish(SITES, 20, **{"at": ("fra-rtr",), **asked})


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("5m", 300), ("1h", 3600)]
)  # fmt: skip
def test_durations(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "0s", "-5s", "5 m", "5M", "99999h", "1.5m"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(InvalidInput, match="not a duration"):
        parse_duration(text)


def test_round_trips() -> None:
    assert parse_rtt("3x") == (3.0, None)
    assert parse_rtt("1.5x") == (1.5, None)
    assert parse_rtt("90ms") == (None, 90_000)
    assert parse_rtt("0.25ms") == (None, 250)


@pytest.mark.parametrize(
    "text", ["", "3", "x", "1x", "0.5x", "0ms", "-3ms", "90", "3X", "999999ms"]
)
def test_what_is_no_round_trip(text: str) -> None:
    with pytest.raises(InvalidInput, match="not a round trip"):
        parse_rtt(text)


def test_profiles() -> None:
    assert parse_profile("ramp:12..120ms/2m") == ("ramp", 12_000, 120_000, 120)
    assert parse_profile("pulse:12.5..40ms/10s") == ("pulse", 12_500, 40_000, 10)


@pytest.mark.parametrize("text", ["ramp", "ramp:120..12ms/2m", "hill:1..2ms/1m", "ramp:1..2ms"])
def test_what_is_no_profile(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_profile(text)


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"factor": 3.0, "profile": ("ramp", 12_000, 20_000, 10)},
        {"jitter_ms": 3, "profile": ("ramp", 12_000, 20_000, 10)},
    ],
)
def test_wishes_that_contradict_themselves(asked: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        check(wish(**asked))


def test_what_is_added_is_the_difference(lab: Inventory) -> None:
    for asked, added in (({"factor": 3.0}, 24_000), ({"rtt_us": 90_000}, 78_000)):
        text, plan = planned(wish(**asked), BASE_US, lab)
        point = yaml.safe_load(text)["faults"][0]["params"]["points"][0]
        assert point == {"at_ms": 0, "rtt_us": added}
        assert [lease.node for lease in plan.faults[0].leases] == ["fra-rtr"]


def test_a_profile_s_round_trips_are_over_the_usual_one(lab: Inventory) -> None:
    text, _ = planned(wish(profile=("ramp", 12_000, 120_000, 10)), BASE_US, lab)
    points = yaml.safe_load(text)["faults"][0]["params"]["points"]
    assert [p["rtt_us"] for p in points] == [0, 108_000]
    assert [p["at_ms"] for p in points] == [0, 10_000]
    for shape in ("sawtooth", "pulse", "spike"):
        text, _ = planned(wish(profile=(shape, 12_000, 40_000, 5)), BASE_US, lab)
        assert yaml.safe_load(text)["faults"][0]["params"]["shape"] == shape


def test_jitter_and_loss(lab: Inventory) -> None:
    text, _ = planned(wish(factor=2.0, jitter_ms=5, loss_percent=0.5), BASE_US, lab)
    fault = yaml.safe_load(text)["faults"][0]
    assert fault["kind"] == "netem"
    params = fault["params"]
    assert (params["rtt_ms"], params["jitter_ms"], params["loss_ppm"]) == (12, 5, 5000)


@pytest.mark.parametrize(
    "asked", [{"rtt_us": 5_000}, {"profile": ("ramp", 5_000, 20_000, 10)}]
)  # fmt: skip
def test_nothing_can_make_a_path_shorter(asked: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="already"):
        peak_us(wish(**asked), BASE_US)


def test_a_placeholder_is_over_any_usual_round_trip(lab: Inventory) -> None:
    for asked in ({"factor": 3.0}, {"rtt_us": 90_000}, {"profile": ("ramp", 12_000, 20_000, 10)}):
        planned(placeholder(wish(**asked)), 0, lab)


@pytest.mark.parametrize(
    ("sites", "at", "told"),
    [
        (("frankfurt", "paris"), (), "no site 'paris'"),
        (("london", "london"), (), "the same"),
        (SITES, ("fra-9",), "no node 'fra-9'"),
    ],
)
def test_what_the_estate_does_not_have(
    lab: Inventory, sites: tuple[str, str], at: tuple[str, ...], told: str
) -> None:
    with pytest.raises(GamedayError, match=told):
        planned(Wish(sites, 20, factor=3.0, at=at), BASE_US, lab)


@pytest.mark.parametrize(
    ("peak_ms", "told"),
    [(1000, "expect it to flap"), (500, "may flap"), (101, "may flap"), (100, None), (36, None)],
)
def test_the_plan_says_which_groups_flap(lab: Inventory, peak_ms: int, told: str | None) -> None:
    """The lab's etcd: heartbeats every 100 ms, elections after 1 s."""
    _, plan = planned(wish(rtt_us=peak_ms * 1000), BASE_US, lab)
    limits = [text for text in plan.limits if "between members" in text]
    assert len(limits) == (1 if told else 0)
    assert not told or told in limits[0]
    assert not told or f"{peak_ms} ms is the longest round trip" in limits[0]


def test_users_are_watched_where_there_is_something_to_fetch(lab: Inventory) -> None:
    text, _ = planned(wish(factor=2.0), BASE_US, lab)
    assert "users" not in {p["name"] for p in yaml.safe_load(text)["probes"]}
    text, _ = planned(wish(factor=2.0, url="http://app.gameday.test/"), BASE_US, lab)
    data = yaml.safe_load(text)
    assert "users" in {p["name"] for p in data["probes"]}
    assert any(o["measure"] == "client-failure-share" for o in data["objectives"])


THREE = ("frankfurt", "london", "amsterdam")
USUAL = {("frankfurt", "london"): 12_000, ("frankfurt", "amsterdam"): 8_000,
         ("london", "amsterdam"): 8_000}  # fmt: skip


def test_every_two_of_several_sites(lab: Inventory) -> None:
    """Each path over its own usual round trip, held by one node each, watched by its own probe."""
    text, plan = planned(Wish(THREE, 20, rtt_us=90_000, at=("fra-rtr", "lon-rtr")), USUAL, lab)
    data = yaml.safe_load(text)
    assert "&id" not in text
    holders = {f.name: [lease.node for lease in f.leases] for f in plan.faults}
    assert holders == {
        "excursion-frankfurt-london": ["fra-rtr"], "excursion-frankfurt-amsterdam": ["fra-rtr"],
        "excursion-london-amsterdam": ["lon-rtr"],
    }  # fmt: skip
    added = [fault["params"]["points"][0]["rtt_us"] for fault in data["faults"]]
    assert added == [78_000, 82_000, 82_000]
    achieved = [o["params"] for o in data["objectives"] if o["measure"] == "rtt-achieved"]
    assert [(p["probe"], p["fault"]) for p in achieved] == [
        (f"mesh-{a}-{b}", f"excursion-{a}-{b}") for a, b in USUAL
    ]
    sites = {node.name: node.site for node in lab.nodes}
    for probe in plan.probes:
        if probe.name.startswith("mesh-"):
            looked = {sites[one.node] for one in probe.samplers}
            assert probe.name == f"mesh-{'-'.join(s for s in THREE if s in looked)}"
    flaps = [text for text in plan.limits if "between members" in text]
    assert not flaps, "90 ms are borne by heartbeats of 100 ms and elections after 1 s"


def test_three_times_the_usual_is_each_path_s_own(lab: Inventory) -> None:
    text, _ = planned(Wish(THREE, 20, factor=3.0, at=("fra-rtr", "lon-rtr")), USUAL, lab)
    added = [f["params"]["points"][0]["rtt_us"] for f in yaml.safe_load(text)["faults"]]
    assert added == [24_000, 16_000, 16_000]


def test_a_pair_that_nobody_would_hold(lab: Inventory) -> None:
    with pytest.raises(InvalidInput, match="no node of --at is in london or amsterdam"):
        planned(Wish(THREE, 20, factor=3.0, at=("fra-rtr",)), USUAL, lab)


@pytest.mark.parametrize("sites", [("frankfurt",), (*THREE, "clients", "paris")])
def test_how_many_sites(sites: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInput, match="sites are given"):
        check(Wish(sites, 20, factor=3.0))


def test_a_quorum_on_slow_paths_is_told_by_statuses(lab: Inventory) -> None:
    """A write that rightly takes longer than its period shows a quorum at no moment of its own."""
    for peak_ms, probe in ((36, "main-write"), (1200, "main-status")):
        text, _ = planned(wish(rtt_us=peak_ms * 1000), BASE_US, lab)
        (one,) = [o for o in yaml.safe_load(text)["objectives"] if o["measure"] == "quorum-loss"]
        assert one["params"]["probe"] == probe


def test_steady_state_leaves_time_for_three_slow_echoes(lab: Inventory) -> None:
    for peak_ms in (36, 2400, 10_000):
        text, plan = planned(wish(rtt_us=peak_ms * 1000), BASE_US, lab)
        effect = next(p for p in plan.probes if p.name.startswith("effect:"))
        assert yaml.safe_load(text)["steady_state"]["for_s"] * 10**9 > 3 * effect.period_ns
