# SPDX-License-Identifier: Apache-2.0
"""The page and the terminal summary: what they say, and that they need nothing else."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from gameday.record.record import Record
from gameday.report.build import build_report
from gameday.report.html import render
from gameday.report.lanes import lanes
from gameday.report.sign import Identity
from gameday.report.summary import report_lines
from tests.unit.synthetic import S, make_record

SIGNER = Identity("SHA256:abc", "operator@controller")
BYTES_MAX = 1 << 20


def page(record: Record | None = None, **changes: Any) -> str:
    """The page of a synthetic run."""
    record = record or make_record(**changes)
    return render(build_report(record), record, SIGNER)


class Reader(HTMLParser):
    """Collects text and attributes, and checks that tags are closed."""

    VOID = frozenset({"meta", "br", "rect", "line", "polygon"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[tuple[str, str]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember what may load something."""
        self.links += [(tag, value or "") for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Closed in itself."""

    def handle_endtag(self, tag: str) -> None:
        """Must be the one that is open."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """All text."""
        self.text.append(data)


def read(html: str) -> Reader:
    """A parsed page."""
    reader = Reader()
    reader.feed(html)
    assert reader.open == []
    return reader


@pytest.mark.parametrize(
    "changes",
    [{}, {"abort_ns": 5 * S}, {"clean": False, "detected_ns": None, "withdrawn_ns": {}}],
)
def test_self_contained_and_well_formed(changes: dict[str, Any]) -> None:
    html = page(**changes)
    reader = read(html)
    assert {tag for tag, _ in reader.links} <= {"a"}
    assert "<script" not in html and "url(http" not in html and "@import" not in html
    assert len(html.encode()) < BYTES_MAX


def test_the_first_screen_answers() -> None:
    text = re.sub(r"\s+", " ", "".join(read(page()).text))
    head = text[text.index("Frankfurt loses its WAN", 40) : text.index("Timeline of the run")]
    for said in (
        "Objectives met",
        "Partition between frankfurt (fra-1, fra-2) and amsterdam (ams-1)",
        "In effect for 30.0 s from 2026-01-01 00:00:1",
        "[2.858, 2.872] s",
        "≤ 10.000 s",
        "they must stop acknowledging writes",
        "fra-1 and fra-2 acknowledged no write during the fault",
        "Proven clean: all 5 nodes with a lease were read back.",
        "operator@controller",
        "SHA256:abc",
        "gameday verify",
    ):
        assert said in head, said


def test_same_record_same_page() -> None:
    assert page() == page()


def test_text_of_others_is_escaped() -> None:
    record = make_record()
    evil = "<script>alert(1)</script>&'\""
    experiment = {
        **record.plan["experiment"],
        "metadata": {
            "name": evil, "title": evil, "why": evil, "owner": evil,
            "links": {"adr": "javascript:alert(1)", "x": "https://ok.example/"},
        },
    }  # fmt: skip
    experiment["objectives"] = [{**o, "name": evil} for o in experiment["objectives"][:1]]
    plan = {**record.plan, "experiment": experiment}
    plan["faults"] = [{**f, "name": evil} for f in plan["faults"]]
    plan["sites"] = {evil: [], **plan["sites"]}
    html = page(Record(plan, record.events, record.samples))
    assert "<script" not in html
    assert 'href="javascript' not in html
    assert 'href="https://ok.example/"' in html
    read(html)


def test_no_samples_still_makes_a_page() -> None:
    record = make_record()
    html = page(Record(record.plan, record.events, []))
    assert "Invalid run" in html
    assert 'id="tl-title"' not in html
    read(html)


def test_a_flapping_probe_stays_small() -> None:
    record = make_record(period_ns=5_000_000, fault_s=20)
    samples = [
        type(s)(**{**vars(s), "ok": s.seq % 2 == 0, "reason": "x"})
        if s.probe == "etcd-write"
        else s
        for s in record.samples
    ]
    html = page(Record(record.plan, record.events, samples))
    assert len(html.encode()) < BYTES_MAX


def test_lanes_show_what_happened() -> None:
    drop = frozenset(("etcd-write", "lon-1", "lon-1", seq) for seq in range(60, 70))
    record = make_record(drop=drop)
    window = record.window()
    lo, hi = window.onset.lo - 5 * S, window.end.hi + 5 * S
    found = {lane.label: lane for lane in lanes(record, lo, hi, 1)}
    assert [s.state for s in found["fra-1 etcd-write"].spans] == ["ok", "failed", "ok"]
    assert [s.state for s in found["dns cli-1 → ams-1"].spans] == ["ok", "changed", "ok"]
    assert "none" in {s.state for s in found["lon-1 etcd-write"].spans}
    assert found["fra-1 etcd-write"].group == "frankfurt"
    assert [s.state for s in found["4 control pairs, ping"].spans] == ["ok"]
    failed = found["fra-1 etcd-write"].spans[1]
    assert abs(failed.lo - window.onset.lo) < S and abs(failed.hi - window.end.lo) < S
    for lane in found.values():
        for before, after in zip(lane.spans, lane.spans[1:], strict=False):
            assert before.hi <= after.lo and before.state != after.state


def test_summary_in_plain_lines() -> None:
    lines = report_lines(build_report(make_record()), "reports/x/report.html")
    text = "\n".join(lines)
    assert lines[0] == "✓ OBJECTIVES MET: Frankfurt loses its WAN (run 3f9a1c20)"
    assert re.search(r"✓ time to detect +\[2\.858, 2\.872\] s +≤ 10\.000 s +met", text)
    assert "as predicted: fra-1 and fra-2 acknowledged no write" in text
    assert lines[-1] == "Report: reports/x/report.html"


def test_summary_of_a_run_that_is_not_clean() -> None:
    lines = report_lines(build_report(make_record(clean=False, minority_writes=True)))
    assert lines[0].startswith("✗ NOT PROVEN CLEAN")
    assert "  - something is left on fra-1" in lines
    assert any(line.startswith("  ! contradicted: fra-1 and fra-2") for line in lines)
    assert lines[-1] == "NOT proven clean: fra-1."
