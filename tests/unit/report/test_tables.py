# SPDX-License-Identifier: Apache-2.0
"""Tables of clients and detectors, and an old record under other objectives."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from gameday.record.record import Record
from gameday.record.types import Sample
from gameday.report.build import build_report
from gameday.report.html import render
from gameday.report.sign import Identity
from gameday.report.summary import report_lines
from gameday.report.tables import detector_table
from tests.unit.report.test_commands import call
from tests.unit.synthetic import make_record

SHIPPED = Path(__file__).resolve().parents[3] / "experiments" / "wan-partition-frankfurt.yaml"


def two_clients() -> Record:
    """The synthetic run with a second kind of client, all of whose requests failed."""
    record = make_record()
    plan = json.loads(json.dumps(record.plan))
    (http,) = [p for p in plan["probes"] if p["kind"] == "http"]
    plan["probes"].append({**http, "name": "user-jvm", "params": {"client": "caches-forever"}})
    more = [
        Sample("user-jvm", s.node, s.target, s.seq, s.start_ns, s.end_ns, False, {}, "timeout: 1 s")
        for s in record.samples
        if s.probe == http["name"]
    ]
    return Record(plan, record.events, [*record.samples, *more])


def test_every_kind_of_client_has_its_row() -> None:
    record = two_clients()
    report = build_report(record)
    rows = {row["client"]: row for row in report["clients"]}
    assert set(rows) == {"honours-ttl", "caches-forever"}
    assert rows["caches-forever"]["share"]["lo"] == 1_000_000
    assert rows["caches-forever"]["longest"]["status"] == "never"
    (share,) = [o for o in report["objectives"] if o["name"] == "failed user requests"]
    assert rows["honours-ttl"]["share"]["lo"] == share["measurement"]["lo"]
    said = "\n".join(report_lines(report))
    assert "Failures by kind of client" in said
    assert "caches-forever  user-jvm   [100.0, 100.0] %" in said
    page = render(report, record, Identity("SHA256:abc", "x"))
    assert "<td>caches-forever</td><td>user-jvm</td><td>[100.0, 100.0] %</td>" in page


def test_a_report_without_clients_has_no_table() -> None:
    """Reports that were signed before there were such tables are still shown."""
    report = build_report(make_record())
    del report["clients"]
    assert "kind of client" not in "\n".join(report_lines(report))


def test_every_detector_has_its_row() -> None:
    report = build_report(make_record())
    (detect,) = [o for o in report["objectives"] if o["measurement"]["kind"] == "time-to-detect"]
    detect["measurement"]["details"]["detectors"] = [
        {"name": "alerts", "status": "measured", "lo": 2_858_000_000, "hi": 2_872_000_000,
         "what": "EtcdMemberUnreachable", "reason": ""},
        {"name": "etcd-log", "status": "never", "lo": 30_000_000_000, "hi": None, "what": "",
         "reason": "no line matched"},
        {"name": "people", "status": "unknown", "lo": None, "hi": None, "what": "",
         "reason": "nobody could say anything"},
    ]  # fmt: skip
    assert detector_table(report) == [
        ("alerts", "[2.858, 2.872] s", "EtcdMemberUnreachable"),
        ("etcd-log", "not in 30.000 s", "no line matched"),
        ("people", "unknown", "nobody could say anything"),
    ]
    assert "etcd-log  not in 30.000 s   no line matched" in "\n".join(report_lines(report))


def other(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """The shipped experiment, changed."""
    data = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    change(data)
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return path


def test_an_old_record_under_other_objectives(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {p.name: p.read_bytes() for p in run.iterdir()}

    def stricter(data: dict[str, Any]) -> None:
        data["objectives"][0]["at_most_ms"] = 1000
        params = {"probe": "etcd-write", "group": "main"}
        data["objectives"].append(
            {"name": "no quorum", "measure": "quorum-loss", "at_most_ms": 3000, "params": params}
        )
        data["probes"][2]["name"] = "dns-anew"
        for item in (*data["objectives"], *data["steady_state"]["checks"]):
            where = item.get("params", item)
            if where.get("probe") == "dns":
                where["probe"] = "dns-anew"

    path = other(tmp_path / "stricter.yaml", stricter)
    assert call("measure", run, "--experiment", path) == 1
    said = capsys.readouterr().out
    assert said.startswith("! These objectives are those of stricter.yaml (wan-partition-frankfurt")
    assert "not those of the signed plan of this run" in said
    assert "! the run had no probe dns-anew" in said
    assert "✗ time to detect" in said
    assert "✓ no quorum" in said
    assert "? time to withdraw Frankfurt from DNS" in said, "what was not probed is unknown"
    assert call("measure", run, "--experiment", path, "--json") == 1
    assert json.loads(capsys.readouterr().out)["objectives_from"]["file"] == "stricter.yaml"
    assert {p.name: p.read_bytes() for p in run.iterdir()} == before


def test_other_objectives_are_never_signed(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = other(tmp_path / "none.yaml", lambda data: data.pop("objectives"))
    assert call("measure", run, "--experiment", path) == 2
    assert "has no objectives" in capsys.readouterr().err
    assert call("measure", run, "--experiment", SHIPPED, "--write") == 2
    assert "leave out --experiment" in capsys.readouterr().err
    assert call("measure", run, "--experiment", tmp_path / "nothing.yaml") == 2
