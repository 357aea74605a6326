# SPDX-License-Identifier: Apache-2.0
"""The page of a search: what a run says of its round trip, the answer, and what is signed."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from gameday.plan.bisection import Tried
from gameday.record import kinds
from gameday.record.record import Record
from gameday.report.search import ENVELOPE, HTML, JSON, answer, held, row
from gameday.report.sign import SigningKey
from gameday.report.verdict import Verdict
from tests.unit.report.searches import made
from tests.unit.synthetic import S, make_record


def test_a_page_of_two_runs(searched: Path) -> None:
    data = json.loads((searched / JSON).read_bytes())
    kept, broke = data["runs"]
    assert kept["write_us"] is not None and kept["write_us"][0] <= kept["write_us"][1]
    assert (kept["held"], broke["held"]) == ("kept", "broke")
    assert (data["kept_us"], data["broke_us"]) == (20_000, 90_000)
    page = (searched / HTML).read_text(encoding="utf-8")
    assert "kept at 20 ms and no more at 90 ms" in page
    assert "Usually it is 12.0 ms" in page
    assert page.count('href="kept/report.html"') == 1
    envelope = json.loads((searched / ENVELOPE).read_bytes())
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


def said(verdict: str, **judged: str) -> dict[str, Any]:
    """A report with a judgement by each measure."""
    objectives = [
        {"measurement": {"kind": kind.replace("_", "-")}, "judgement": judgement}
        for kind, judgement in judged.items()
    ]
    return {"verdict": {"verdict": verdict}, "objectives": objectives}


@pytest.mark.parametrize(
    ("report", "wanted"),
    [
        (said("met", leader_changes="met"), "kept"),
        (said("not-met", leader_changes="missed", rtt_achieved="met"), "broke"),
        (said("not-met", leader_changes="missed", rtt_achieved="missed"), "broke"),
        (said("not-met", leader_changes="missed", quorum_loss="unknown"), "broke"),
        (said("not-met", leader_changes="met", rtt_achieved="missed"), "unknown"),
        (said("unknown", leader_changes="unknown"), "unknown"),
        (said("invalid", leader_changes="missed"), "unknown"),
        (said("not-clean", leader_changes="missed"), "unknown"),
    ],
)
def test_verdicts(report: dict[str, Any], wanted: str) -> None:
    assert held(report, make_record()) == wanted


def test_every_verdict_is_known_here() -> None:
    """A verdict that is spelled otherwise would count as unknown for ever."""
    assert {"met", "not-met", "not-clean"} <= set(get_args(Verdict))


def test_a_run_that_missed_its_objective_broke_it(tmp_path: Path, signing: SigningKey) -> None:
    """Read from a whole run's own report, as it was judged and signed."""
    directory = made(tmp_path / "run", signing, 90_000, detected_ns=25 * S)
    assert row(directory, 90_000)["held"] == "broke"


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
