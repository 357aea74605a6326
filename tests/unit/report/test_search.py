# SPDX-License-Identifier: Apache-2.0
"""The page of a search: what a run says of its round trip, the answer, and what is signed."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gameday.plan.bisection import Tried
from gameday.record import kinds
from gameday.record.record import Record
from gameday.report.finish import finish_run
from gameday.report.keygen import NewKey
from gameday.report.search import ENVELOPE, HTML, JSON, answer, finish, held, row
from gameday.report.sign import SigningKey, load_signing_key
from tests.unit.synthetic import S, make_record, write_run


@pytest.fixture
def signing(key: NewKey) -> SigningKey:
    return load_signing_key(key.private)


def made(directory: Path, signing: SigningKey) -> Path:
    write_run(directory)
    finish_run(directory, signing)
    return directory


def test_a_page_of_two_runs(tmp_path: Path, signing: SigningKey) -> None:
    kept = row(made(tmp_path / "kept", signing), 20_000)
    broke = {**row(made(tmp_path / "broke", signing), 90_000), "held": "broke"}
    assert kept["held"] == "kept"
    assert kept["write_us"] is not None and kept["write_us"][0] <= kept["write_us"][1]
    data = finish(tmp_path, ("frankfurt", "london"), 12_000, [broke, kept], signing)
    assert (data["kept_us"], data["broke_us"]) == (20_000, 90_000)
    page = (tmp_path / HTML).read_text(encoding="utf-8")
    assert "kept at 20 ms and no more at 90 ms" in page
    assert page.count('href="kept/report.html"') == 1
    envelope = json.loads((tmp_path / ENVELOPE).read_bytes())
    said = json.loads(base64.b64decode(envelope["payload"]))
    names = {one["name"] for one in said["subject"]}
    assert names == {JSON, HTML, "kept/report.dsse.json", "broke/report.dsse.json"}


@pytest.mark.parametrize(("by", "wanted"), [("condition", "broke"), ("operator", "unknown")])
def test_who_ended_a_run_decides_what_it_says(by: str, wanted: str) -> None:
    whole = make_record(abort_ns=5 * S)
    events = [
        replace(event, data={**event.data, "by": by}) if event.kind == kinds.ABORT else event
        for event in whole.events
    ]
    record = Record(whole.plan, events, whole.samples)
    assert held({"verdict": {"verdict": "aborted"}}, record) == wanted


@pytest.mark.parametrize(
    ("verdict", "wanted"),
    [("met", "kept"), ("missed", "broke"), ("unknown", "unknown"), ("invalid", "unknown")],
)
def test_verdicts(verdict: str, wanted: str) -> None:
    assert held({"verdict": {"verdict": verdict}}, make_record()) == wanted


@pytest.mark.parametrize(
    ("kept", "broke", "tried", "words"),
    [
        (20_000, 90_000, [], "kept at 20 ms and no more at 90 ms"),
        (None, 20_000, [], "Already 20 ms broke"),
        (90_000, None, [], "Everything up to 90 ms was kept"),
        (None, None, [Tried(20_000, "unknown")], "does not tell. Nothing is known"),
    ],
)
def test_answers(kept: int | None, broke: int | None, tried: list[Any], words: str) -> None:
    assert words in answer(kept, broke, tried)
