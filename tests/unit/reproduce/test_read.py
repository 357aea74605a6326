# SPDX-License-Identifier: Apache-2.0
"""What evidence may look like, and that every mistake in it is named with its line."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest

from gameday.errors import InvalidInput
from gameday.reproduce.columns import parse_column
from gameday.reproduce.read import BYTES_MAX, Asked, parse, read
from gameday.reproduce.series import Look, show_time

T0_MS = 1_772_330_400_000
"""2026-03-01T02:00:00Z."""


def asked(path: str = "", **columns: str) -> Asked:
    return Asked({what: parse_column(what, text) for what, text in columns.items()}, path)


def looks(text: str, path: str = "", **columns: str) -> list[Look]:
    return list(parse(text, "inc.csv", asked(path, **columns)))


def mistakes(text: str, path: str = "", **columns: str) -> tuple[str, ...]:
    with pytest.raises(InvalidInput) as caught:
        looks(text, path, **columns)
    assert caught.value.exit_code == 2
    return caught.value.problems


@pytest.mark.parametrize(
    ("head", "time", "rtt"),
    [
        ("time,rtt_ms", "2026-03-01T02:00:00Z", "12.345"),
        ("time,rtt_ms", "2026-03-01T03:00:00+01:00", "12.345"),
        ("timestamp_s,latency_s", "1772330400", "0.012345"),
        ("epoch_ms,delay_usec", "1772330400000", "12345"),
        ("ts_ns,rtt_ns", "1772330400000000000", "12345000"),
        ("Time,RTT_milliseconds", "2026-03-01T02:00:00.000Z", "12.345"),
    ],
)
def test_every_unit_becomes_the_same(head: str, time: str, rtt: str) -> None:
    assert looks(f"{head}\n{time},{rtt}\n") == [Look(2, T0_MS, 12_345)]


def test_a_unit_may_be_an_option() -> None:
    text = "when,took\n1772330400,12.345\n"
    assert looks(text, time="when:s", rtt="took:ms") == [Look(2, T0_MS, 12_345)]


def test_ndjson_is_the_same_evidence_as_csv() -> None:
    rows = [{"time_s": 1772330400.25, "rtt_ms": 12.5}, {"time_s": 1772330401, "rtt_ms": None}]
    text = "\n\n".join(json.dumps(row) for row in rows)
    assert looks(text) == [Look(1, T0_MS + 250, 12_500), Look(3, T0_MS + 1000, None, 1_000_000)]


def test_an_empty_round_trip_is_a_lost_answer_unless_loss_is_told() -> None:
    head = "time,rtt_ms,loss_percent\n"
    (only,) = looks(head + "2026-03-01T02:00:00Z,,2.5\n")
    assert (only.rtt_us, only.loss_ppm) == (None, 25_000)
    (only,) = looks("time,loss_ratio\n2026-03-01T02:00:00Z,0.125\n")
    assert (only.rtt_us, only.loss_ppm) == (None, 125_000)


@pytest.mark.parametrize("head", ["time,rtt", "time,latency", "time,rtt_ms,loss"])
def test_a_unit_is_never_guessed(head: str) -> None:
    row = ",".join(["2026-03-01T02:00:00Z", "12", "0"][: head.count(",") + 1])
    (said,) = mistakes(f"{head}\n{row}\n")
    assert "states no unit" in said and "-column" in said


def test_a_time_without_a_unit_is_refused_with_what_to_say() -> None:
    (said,) = mistakes("time,rtt_ms\n1772330400,12\n")
    assert said.startswith("inc.csv:2:") and "--time-column time:s" in said


@pytest.mark.parametrize(
    ("time", "words"),
    [
        ("2026-03-01T02:00:00", "has no zone"),
        ("2026-03-01", "has no zone"),
        ("yesterday", "is no time"),
        ("1970-01-01T00:00:12Z", "is the unit right"),
    ],
)
def test_a_time_that_is_not_clear(time: str, words: str) -> None:
    (said,) = mistakes(f"time,rtt_ms\n{time},12\n")
    assert words in said


def test_seconds_given_as_milliseconds_are_noticed() -> None:
    (said,) = mistakes("time_ms,rtt_ms\n1772330400,12\n")
    assert "in ms is outside of the years" in said


@pytest.mark.parametrize("rtt", ["0", "-3", "60001", "fast", "nan", "inf"])
def test_an_impossible_round_trip(rtt: str) -> None:
    (said,) = mistakes(f"time,rtt_ms\n2026-03-01T02:00:00Z,{rtt}\n")
    assert said.startswith("inc.csv:2:") and rtt in said


@pytest.mark.parametrize("loss", ["-1", "101", "1e9"])
def test_an_impossible_loss(loss: str) -> None:
    (said,) = mistakes(f"time,loss_percent\n2026-03-01T02:00:00Z,{loss}\n")
    assert "is no share" in said


def test_every_mistake_is_told_at_once_in_order_of_lines() -> None:
    found = mistakes(
        "time,rtt_ms\n"
        "2026-03-01T02:00:00Z,12\n"
        "2026-03-01T02:00:01,12\n"
        "2026-03-01T02:00:02Z,-1\n"
        "2026-03-01T02:00:03Z,12,7\n"
        "2026-03-01T02:00:05Z,12\n"
        "2026-03-01T02:00:04Z,12\n"
        "2026-03-01T02:00:04Z,12\n"
    )
    assert [said.split(":")[1] for said in found] == ["3", "4", "5", "7", "8"]
    assert "earlier than line 6" in found[3] and "the same time as line 7" in found[4]


def test_two_bad_fields_of_a_line_are_two_mistakes() -> None:
    assert len(mistakes("time,rtt_ms,loss_percent\nnever,fast,200\n")) == 3


PATHS = "time_s,path,rtt_ms\n1772330400,fra-lon,12\n1772330400,fra-ams,7\n1772330401,fra-lon,13\n"


def test_one_path_of_several() -> None:
    assert [look.rtt_us for look in looks(PATHS, "fra-lon")] == [12_000, 13_000]


@pytest.mark.parametrize("path", ["", "fra-par"])
def test_which_path_is_never_guessed(path: str) -> None:
    (said,) = mistakes(PATHS, path)
    assert "fra-ams, fra-lon" in said and "--path" in said


def test_a_path_of_evidence_that_has_none() -> None:
    (said,) = mistakes("time_s,rtt_ms\n1772330400,12\n", "fra-lon")
    assert "--path-column" in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no data"),
        ("time,rtt_ms\n", "no line with a look"),
        ("when,rtt_ms\n1,2\n", "no column of times"),
        ("time_s,name\n1772330400,a\n", "no column of round trips or loss"),
        ("time_s,rtt_ms,latency_ms\n1772330400,1,2\n", "rtt_ms and latency_ms"),
        ("time_s,rtt_ms,rtt_ms\n1772330400,1,2\n", "is there twice"),
        ('{"time_s": 1772330400, "rtt_ms": 1}\nnonsense\n', "is no JSON"),
        ('{"time_s": 1772330400, "rtt_ms": 1}\n[1]\n', "is no JSON object"),
        ('{"time_s": 1772330400, "rtt_ms": [1]}\n', "no number"),
        ('time_s,rtt_ms\n1772330400,"1\n', "is no CSV"),
    ],
)
def test_what_is_no_evidence(text: str, words: str) -> None:
    assert any(words in said for said in mistakes(text))


def test_a_column_that_is_not_there_is_named_with_those_that_are() -> None:
    (said,) = mistakes("time_s,rtt_ms\n1772330400,1\n", rtt="took:ms")
    assert "no column took" in said and "time_s, rtt_ms" in said


def test_a_unit_that_there_is_not() -> None:
    with pytest.raises(InvalidInput, match="no unit of rtt"):
        parse_column("rtt", "took:fortnights")


def test_a_file_is_known_by_its_digest(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbftime_s,rtt_ms\r\n1772330400,12\r\n"
    (tmp_path / "a.csv").write_bytes(content)
    found = read(tmp_path / "a.csv", asked())
    assert found.sha256 == sha256(content).hexdigest()
    assert found.looks == (Look(2, T0_MS, 12_000),)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        read(tmp_path / "absent.csv", asked())
    (tmp_path / "latin.csv").write_bytes(b"time_s,rtt_ms\n\xe4,1\n")
    with pytest.raises(InvalidInput, match=r"latin\.csv:2: is not UTF-8"):
        read(tmp_path / "latin.csv", asked())
    with (tmp_path / "huge.csv").open("wb") as file:
        file.truncate(BYTES_MAX + 1)
    with pytest.raises(InvalidInput, match="at most"):
        read(tmp_path / "huge.csv", asked())


def test_times_are_shown_in_utc() -> None:
    assert show_time(T0_MS + 7) == "2026-03-01T02:00:00.007Z"
