# SPDX-License-Identifier: Apache-2.0
"""``replay-error`` holds the true distance, whatever the clocks and the prober's delays were."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, combinations
from random import Random
from statistics import median

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gameday.measures.medians import median_of, median_within
from gameday.measures.runner import measure_one
from gameday.record.record import Record
from gameday.record.types import Sample
from tests.unit.synthetic import MS, S, Truth, make_clocks, make_record

STEP_MS, STEPS = 2000, 14
FLOOR = 20 * MS
OBJECTIVE = {"name": "x", "measure": "replay-error", "params": {"probe": "mesh"}}


NUMBERS = st.integers(0, 99)


@given(st.lists(NUMBERS, min_size=1, max_size=9), st.lists(NUMBERS, max_size=5), st.integers(0, 9))
def test_the_median_of_every_subset_is_inside(sure: list[int], maybe: list[int], wide: int) -> None:
    """And both ends are the median of one of them."""
    subsets = chain.from_iterable(combinations(maybe, n) for n in range(len(maybe) + 1))
    true = [median([*sure, *more]) for more in subsets]
    lows, mays = np.array(sure, np.int64), np.array(maybe, np.int64)
    found = median_within((lows, lows + wide), (mays, mays + wide))
    assert found.lo == int(min(true) // 1)
    assert found.hi == -int(-(max(true) + wide) // 1)
    assert median_of(lows) == int(median(sure) // 1)


def true_rtt(since_ns: int, slope: int, jitter: Random) -> int:
    """Climbs for 14 s and falls again, in ns; ``slope`` in ns per ms."""
    climbed = min(since_ns, 28 * S - since_ns) // MS
    return 22 * MS + slope * climbed + jitter.randrange(2 * MS)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 12_000), st.integers(-6, 6), st.integers(0, 2**32))
def test_the_true_distance_is_inside(slope: int, wrong_ms: int, seed: int) -> None:
    """Recorded is what the path had, ``wrong_ms`` off, in a step of which looks are the truth."""
    truth = Truth(added_us=0, seed=seed % 1000)
    record, clocks, random = make_record(truth), make_clocks(truth), Random(seed)  # noqa: S311 - no secret
    samples: list[Sample] = []
    seen: dict[tuple[str, str], dict[int, list[int]]] = {}
    for look in record.samples:
        sample = look
        if look.probe == "mesh":
            since = sample.start_ns - clocks.mono[sample.node] - truth.onset_ns
            if 0 <= since < 28 * S:
                true, wait = true_rtt(since, slope, random), random.randrange(MS)
                sample = replace(sample, value={"rtt_ns": true + wait, "wait_ns": wait})
                steps = seen.setdefault((sample.node, sample.target), {})
                steps.setdefault(since // (STEP_MS * MS), []).append(true)
        samples.append(sample)
    rows: list[list[int]] = []
    errors: dict[tuple[str, str], list[float]] = {("fra-1", "lon-1"): [], ("lon-1", "fra-1"): []}
    # Not the first and the last, which are cut to when the fault was in effect.
    for step in range(1, STEPS - 1):
        own = median(seen["fra-1", "lon-1"][step])
        recorded_us = int(own + wrong_ms * MS) // 1000
        rows.append([step * STEP_MS + STEP_MS // 2, recorded_us, 8, 0])
        for pair, errs in errors.items():
            apart = abs(median(seen[pair][step]) - recorded_us * 1000)
            errs.append(apart * 1_000_000 / max(recorded_us * 1000, FLOOR))
    # By nearest rank, 95 of 100 of 12 steps are all of them; the worst pair counts.
    true_ppm = max(max(errs) for errs in errors.values())
    experiment = record.plan["experiment"]
    incident = {"compare_ms": STEP_MS, "recorded": rows}
    metadata = {**experiment["metadata"], "incident": incident}
    plan = {**record.plan, "experiment": {**experiment, "metadata": metadata}}
    found = measure_one(Record(plan, record.events, samples), OBJECTIVE)
    assert found.status == "measured", found.reason
    assert found.lo is not None and found.hi is not None
    assert found.lo <= true_ppm <= found.hi
