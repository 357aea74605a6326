# SPDX-License-Identifier: Apache-2.0
"""Columns say what the objects would have said, sample for sample and bound for bound."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from random import Random

import numpy as np
import pytest

from gameday.clock import NS_PER_S, Exchange, Interval, NodeClock
from gameday.errors import EvidenceError
from gameday.record.columns import Builder, Columns
from gameday.record.journal import dump_line
from gameday.record.looks import Looks, Seen, to_run
from gameday.record.record import SAMPLES, SAMPLES_LIVE, read_samples
from gameday.record.types import Sample, to_json
from tests.unit.synthetic import make_record


def samples() -> list[Sample]:
    """Of several streams, with every kind of value."""
    random = Random(3)  # noqa: S311 - reproducible, not secret
    values = ({}, {"addresses": ["198.18.20.12"], "ttl": 5}, {"text": 'é\u2028"', "n": 10**12})
    return [
        Sample("p", f"n-{at % 3}", "t", at // 3, at * 1000, at * 1000 + 7, at % 5 > 0,
               random.choice(values), "" if at % 5 else "timeout: 5 ms")
        for at in range(200)
    ]  # fmt: skip


def lines(given: list[Sample]) -> str:
    return "".join(dump_line(to_json(sample)) for sample in given)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    made = samples()
    (tmp_path / SAMPLES_LIVE).write_text(lines(made) + '{"unfinished', encoding="utf-8")
    assert list(read_samples(tmp_path)) == made
    (tmp_path / SAMPLES).write_bytes(gzip.compress(lines(made).encode()))
    assert list(read_samples(tmp_path)) == made
    assert list(Columns.of(made)) == made


def test_pieces_of_any_size_are_put_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = samples()
    (tmp_path / SAMPLES_LIVE).write_text(lines(made), encoding="utf-8")
    for size in (1, 7, 100, 1000):
        monkeypatch.setattr("gameday.record.record.PIECE_BYTES", size)
        assert list(read_samples(tmp_path)) == made


def test_a_record_without_samples(tmp_path: Path) -> None:
    assert len(read_samples(tmp_path)) == 0
    assert len(Looks.of([])) == 0


@pytest.mark.parametrize(
    "line",
    ['{"probe":"p"}', "[]", "nonsense", '{"probe":1}',
     dump_line(to_json(samples()[0])).strip()[:-1] + ',"more":1}'],
)  # fmt: skip
def test_a_line_that_is_no_sample_is_named(line: str) -> None:
    whole = lines(samples()[:2])
    with pytest.raises(EvidenceError, match=r"file:3: not a sample"):
        Builder().add_lines((whole + line + "\n").encode(), "file", 1)


def test_numbers_beyond_a_machine_word_are_refused() -> None:
    odd = {**to_json(samples()[0]), "start_ns": 2**70}
    with pytest.raises(EvidenceError):
        Builder().add_lines((json.dumps(odd) + "\n").encode(), "file", 1)


@pytest.mark.parametrize("count", [1, 2, 5, 40])
def test_bounds_of_many_moments_are_those_of_each(count: int) -> None:
    random = Random(count)  # noqa: S311 - reproducible, not secret
    offset, exchanges = 77 * NS_PER_S, []
    for at in range(count):
        sent = at * 2 * NS_PER_S + random.randrange(NS_PER_S)
        took = random.randrange(1, 3_000_000)
        drift = at * random.randrange(400_000)  # Some of it is more than may be assumed.
        exchanges.append(Exchange(sent, sent + took, sent + took // 2 + offset + drift, 0))
    exchanges.sort(key=lambda e: e.node_mono_ns)
    clock = NodeClock(exchanges)
    moments = [offset + random.randrange(-10 * NS_PER_S, 100 * NS_PER_S) for _ in range(300)]
    moments += [e.node_mono_ns for e in exchanges]
    lo, hi = to_run(np.array(moments, np.int64), exchanges)
    found = [Interval(int(a), int(b)) for a, b in zip(lo, hi, strict=True)]
    assert found == [clock.to_run(moment) for moment in moments]


def test_looks_are_the_samples_in_the_runs_time() -> None:
    record = make_record()
    for stream, looks in record.seen("etcd-write").items():
        clock = record.clocks[stream[0]]
        mine = [s for s in record.samples if (s.probe, s.node, s.target) == ("etcd-write", *stream)]
        expected = [
            Seen(s, clock.to_run(s.start_ns), clock.to_run(s.end_ns))
            for s in sorted(mine, key=lambda s: (s.start_ns, s.seq))
        ]
        assert list(looks) == expected
        assert list(Looks.of(expected)) == expected
        assert list(looks.where(looks.ok)) == [s for s in expected if s.sample.ok]
        assert list(looks[2:5]) == expected[2:5]
        for each in (looks, Looks.of(expected)):
            told = each.codes(lambda sample: len(sample.reason))
            assert told.tolist() == [len(s.sample.reason) for s in expected]
