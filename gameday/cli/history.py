# SPDX-License-Identifier: Apache-2.0
"""``gameday history`` and ``gameday compare``: this quarter's drill beside the last one's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gameday.cli.options import ALLOWED, REPORTS

if TYPE_CHECKING:
    from gameday.report.compare import Row


@click.command()
@click.argument("experiment", required=False)
@REPORTS
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def history(experiment: str | None, reports: Path, as_json: bool) -> int:
    """Every run, oldest first, with its numbers; of one EXPERIMENT by its name.

    A run without a report is on standard error, with what became of it.

    Reports are read as they lie there: `gameday verify` says whether they are what was signed.
    """
    from gameday.conduct import rundir
    from gameday.errors import EvidenceError
    from gameday.report.summary import not_judged, read_report

    shown = 0
    for directory in rundir.all_runs(reports):
        try:
            report = read_report(directory)
        except EvidenceError:
            # A run that was given up, did not end or was damaged belongs to a drill's history too.
            if experiment in (None, _experiment_of(directory)):
                click.echo(f"{directory.name}: {not_judged(directory)}", err=True)
            continue
        if experiment is None or report["experiment"]["name"] == experiment:
            shown += 1
            for line in _told(directory.name, report, as_json):
                click.echo(line)
    if not shown:
        of = f" of {experiment}" if experiment else ""
        click.echo(f"no run{of} with a report in {reports}", err=True)
    return 0


def _experiment_of(directory: Path) -> str | None:
    """By the plan, which a run has from its beginning."""
    from gameday.record.record import PLAN

    try:
        plan = json.loads((directory / PLAN).read_bytes())
        return str(plan["experiment"]["metadata"]["name"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _told(name: str, report: dict[str, Any], as_json: bool) -> list[str]:
    from gameday.report.words import (
        JUDGEMENT_TONE,
        SIGN,
        VERDICT_TITLE,
        interval_text,
        wall_text,
    )

    if as_json:
        kept = {key: report[key] for key in ("run", "experiment", "verdict", "objectives")}
        return [json.dumps({"directory": name, **kept}, sort_keys=True)]
    verdict = VERDICT_TITLE[report["verdict"]["verdict"]].lower()
    lines = [f"{wall_text(report['run']['started_wall_ns'])}  "
             f"{report['experiment']['name']}  {verdict}  {name}"]  # fmt: skip
    for one in report["objectives"]:
        sign = SIGN[JUDGEMENT_TONE[one["judgement"]]]
        lines.append(f"    {sign} {one['name']}: {interval_text(one['measurement'])}")
    return lines


@click.command()
@click.argument("before")
@click.argument("after")
@REPORTS
@ALLOWED
@click.option("--within", "percent", type=click.IntRange(0, 1000), default=10, show_default=True,
              help="Percent of the earlier upper bound that count as no change.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--html", type=click.Path(path_type=Path), help="Write a page of it there.")
def compare(  # noqa: PLR0917 - click passes every option by name
    before: str, after: str, reports: Path, allowed_signers: Path | None, percent: int,
    as_json: bool, html: Path | None,
) -> int:  # fmt: skip
    """Compare run AFTER with run BEFORE, interval against interval.

    Both are verified first. Each objective changed, did not change, or the two records cannot
    say. Exit code 1 where an objective that was met is missed now.
    """
    from gameday.cli.report import find_run
    from gameday.errors import EXIT_NOT_MET
    from gameday.record.record import REPORT
    from gameday.report import compare as comparing
    from gameday.report.places import default_allowed_signers
    from gameday.report.verify import verify_run

    places = [find_run(reports, name) for name in (before, after)]
    signers = allowed_signers or default_allowed_signers()
    verified = [verify_run(place, signers) for place in places]
    old, new = (json.loads(one.files[REPORT]) for one in verified)
    rows, differ = comparing.compare(old, new, percent), comparing.differences(old, new)
    if html:
        from gameday.report.compare_page import page

        html.write_text(page((old, new), rows, differ, percent), encoding="utf-8")
    if as_json:
        found = {"before": places[0].name, "after": places[1].name, "percent": percent,
                 "differences": differ, "objectives": [row.to_json() for row in rows]}  # fmt: skip
        click.echo(json.dumps(found, indent=1))
    else:
        _show(places, rows, differ)
    return EXIT_NOT_MET if any(row.judged == ("met", "missed") for row in rows) else 0


def _show(places: list[Path], rows: list[Row], differ: list[str]) -> None:
    from gameday.report.compare import row_text

    click.echo(f"{places[0].name} -> {places[1].name}, both verified")
    for line in differ:
        click.echo(f"  differs: {line}")
    for row in rows:
        click.echo(f"  {row_text(row)}")
