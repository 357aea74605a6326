# SPDX-License-Identifier: Apache-2.0
"""Whole runs from a known truth: every measurement holds it, and is as narrow as promised."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gameday.measures.base import Measurement
from gameday.measures.effect import check_effects
from gameday.measures.runner import measure_all
from tests.unit.synthetic import MS, S, Truth, make_record

HTTP_PERIOD = 500 * MS
SLOW = settings(max_examples=12)


def clock_bound(truth: Truth) -> int:
    """Generous: two exchanges of under 2 ms, drift in between, the hull over nodes, a tick."""
    return 22 * MS + 4 * truth.wall_error_ns


def by_kind(truth: Truth) -> dict[str, Measurement]:
    """Measurements of a run with that truth."""
    return {m.kind: m for m in measure_all(make_record(truth))}


@st.composite
def truths(draw: st.DrawFn) -> Truth:
    """Runs of every length, probe period, clock error and outcome."""
    fault_s = draw(st.integers(6, 20))
    fault = fault_s * S
    begin = draw(st.integers(0, fault // 2))
    return Truth(
        fault_s=fault_s,
        recover_s=draw(st.integers(6, 12)),
        steady_s=draw(st.integers(3, 5)),
        reelected_ns=draw(st.integers(0, fault - 2 * S)),
        withdrawn_ns={
            "lon-2": draw(st.integers(0, fault - 2 * S)),
            "ams-1": draw(st.integers(0, fault - 2 * S)),
        },
        detected_ns=draw(st.integers(30 * MS, fault)),
        rejoined_ns=draw(st.integers(0, 4 * S)),
        users_ns=((begin, begin + draw(st.integers(2 * S, fault // 2 + 2 * S))),),
        wall_error_ns=draw(st.integers(0, 2 * MS)),
        period_ns=draw(st.sampled_from([100 * MS, 250 * MS, 400 * MS])),
        seed=draw(st.integers(0, 10**6)),
    )


def holds(measurement: Measurement, truth_ns: int, width_max: int) -> None:
    """The truth is inside, the width is bounded, and the parts account for it."""
    assert measurement.status == "measured", measurement.reason
    assert measurement.lo is not None and measurement.hi is not None
    assert measurement.lo <= truth_ns <= measurement.hi
    assert measurement.hi - measurement.lo <= width_max
    assert sum(part.size for part in measurement.parts) >= measurement.hi - measurement.lo


@SLOW
@given(truths())
def test_every_measurement_holds_the_truth(truth: Truth) -> None:
    found, clock = by_kind(truth), clock_bound(truth)
    sampling = 2 * truth.period_ns + clock
    assert truth.detected_ns is not None and truth.rejoined_ns is not None
    holds(found["time-to-detect"], truth.detected_ns, clock)
    holds(found["time-to-withdraw"], max(truth.withdrawn_ns.values()), sampling)
    holds(found["re-election"], truth.reelected_ns, sampling)
    holds(found["quorum-recovery"], truth.rejoined_ns, sampling)
    ((begin, end),) = truth.users_ns
    ends = 2 * (2 * HTTP_PERIOD) + clock
    holds(found["client-failure-longest"], end - begin, ends)
    holds(found["client-failure-total"], end - begin, ends)


@SLOW
@given(truths(), st.integers(0, 10**6))
def test_lost_samples_widen_and_never_lie(truth: Truth, seed: int) -> None:
    """A third of all samples is lost at random: the truth still lies inside, or is unknown."""
    streams = [("etcd-write", m, m) for m in ("ams-1", "lon-1", "lon-2")]
    streams += [("etcd-status", m, m) for m in ("fra-1", "fra-2")]
    streams += [("dns", "cli-1", "ams-1"), ("dns", "cli-1", "lon-2")]
    streams += [("user-http", "cli-1", "app.gameday.test")]
    random = Random(seed)  # noqa: S311 - reproducible, not secret
    drop = frozenset((*key, seq) for key in streams for seq in range(600) if random.random() < 0.33)
    lossy = replace(truth, drop=drop)
    found = by_kind(lossy)
    ((begin, end),) = truth.users_ns
    for kind, true_ns in (
        ("time-to-withdraw", max(truth.withdrawn_ns.values())),
        ("re-election", truth.reelected_ns),
        ("quorum-recovery", truth.rejoined_ns),
        ("client-failure-longest", end - begin),
        ("client-failure-total", end - begin),
    ):
        measurement = found[kind]
        if measurement.status == "measured":
            assert measurement.lo is not None and measurement.hi is not None
            assert measurement.lo <= (true_ns or 0) <= measurement.hi, kind
        elif measurement.status == "never":
            assert measurement.lo is not None
            assert measurement.lo <= (true_ns or 0), kind


@pytest.mark.parametrize("seed", range(6))
def test_the_effect_gate_holds_and_confirms_the_onset(seed: int) -> None:
    record = make_record(seed=seed)
    (effect,) = check_effects(record)
    assert effect.held is True, effect.evidence
    onset = record.window().onset
    assert effect.onset is not None
    assert effect.onset.lo <= onset.hi and effect.onset.hi >= onset.lo
