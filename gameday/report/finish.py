# SPDX-License-Identifier: Apache-2.0
"""From a recorded run to a signed report: pack, judge, render, sign. Can be run again.

A run that was aborted, or whose controller died, is finished in the same way: what the
journal and the samples hold is judged, and the verdict says that the run was cut short.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gameday import clock
from gameday.record.record import REPORT, SAMPLES, load, pack_samples
from gameday.report.build import build_report, canonical
from gameday.report.files import (
    ENVELOPES,
    HTML,
    MEASUREMENTS_ENVELOPE,
    SUBJECTS,
    TEST_RESULT_ENVELOPE,
    read_whole,
    write_whole,
)
from gameday.report.html import render
from gameday.report.sign import MEASUREMENTS_TYPE, TEST_RESULT_TYPE, SigningKey, statement


def finish_run(directory: Path, key: SigningKey) -> dict[str, Any]:
    """Judge, render and sign a recorded run; returns the report.

    The envelopes of an earlier attempt are removed first, so that a directory never holds
    signatures over files that have changed since.

    Raises:
        EvidenceError: where the record is incomplete or cannot be read.
    """
    for stale in [*(directory / name for name in ENVELOPES), *directory.glob("*.part")]:
        stale.unlink(missing_ok=True)
    record = load(directory)
    if not (directory / SAMPLES).exists():
        pack_samples(directory)
    report = build_report(record)
    write_whole(directory / REPORT, canonical(report))
    write_whole(directory / HTML, render(report, record, key.identity).encode())
    files = {name: read_whole(directory / name) for name in SUBJECTS}
    now = clock.wall_ns()
    measured = statement(MEASUREMENTS_TYPE, measurements_predicate(report, now), files)
    tested = statement(TEST_RESULT_TYPE, test_result_predicate(report, now), files)
    write_whole(directory / MEASUREMENTS_ENVELOPE, key.sign(measured))
    write_whole(directory / TEST_RESULT_ENVELOPE, key.sign(tested))
    return report


def measurements_predicate(report: Mapping[str, Any], signed_wall_ns: int) -> dict[str, Any]:
    """gameday's own predicate: the verdict and every measurement with its bounds."""
    return {
        "signed_wall_ns": signed_wall_ns,
        "judged_by": report["judged_by"],
        "run": report["run"],
        "experiment": report["experiment"]["name"],
        "verdict": report["verdict"],
        "objectives": report["objectives"],
        "predictions": report["predictions"],
        "clean": report["clean"],
    }


def test_result_predicate(report: Mapping[str, Any], signed_wall_ns: int) -> dict[str, Any]:
    """in-toto's test-result predicate: PASSED only where everything is proven.

    Objectives that are unknown, and predictions that were not confirmed, are warned tests.
    """
    passed: list[str] = []
    warned: list[str] = []
    failed: list[str] = []
    for objective in report["objectives"]:
        name = f"objective: {objective['name']}"
        judgement = objective["judgement"]
        if judgement != "reported":
            {"met": passed, "missed": failed, "unknown": warned}[judgement].append(name)
    for prediction in report["predictions"]:
        name = f"prediction: {prediction['id']}"
        (passed if prediction["observed"] == "as-predicted" else warned).append(name)
    (passed if report["clean"]["proven"] else failed).append("clean: every node read back")
    return {
        "result": test_result(report),
        "configuration": [{"name": "experiment.yaml"}, {"name": "plan.json"}],
        "passedTests": passed,
        "warnedTests": warned,
        "failedTests": failed,
        "annotations": {"verdict": report["verdict"]["verdict"], "signed_wall_ns": signed_wall_ns},
    }


def test_result(report: Mapping[str, Any]) -> str:
    """PASSED: met, clean, nothing found. WARNED: met with findings, or unknown. Else FAILED."""
    verdict = report["verdict"]["verdict"]
    if verdict == "met":
        confirmed = all(p["observed"] == "as-predicted" for p in report["predictions"])
        return "PASSED" if confirmed and not report["findings"] else "WARNED"
    return "WARNED" if verdict == "unknown" else "FAILED"
