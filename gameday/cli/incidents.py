# SPDX-License-Identifier: Apache-2.0
"""``gameday incidents``, and ``gameday run DIRECTORY --all``: incidents as a regression suite."""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gameday.cli.options import REPORTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gameday.drills.announce import Announcer
    from gameday.drills.approvals import Approval
    from gameday.experiment.load import Loaded
    from gameday.plan import Inventory, Plan

WORST_FIRST = (4, 2, 1, 3, 0)
"""Exit codes, worst first: not clean, wrong input, missed, unknown, met."""


@dataclass(frozen=True)
class Member:
    """One experiment of a suite, planned and allowed before the first one is run."""

    path: Path
    text: bytes
    loaded: Loaded
    plan: Plan
    allowed: Sequence[Approval]


@click.command()
@click.argument("suite", required=False, type=click.Path(path_type=Path))
@REPORTS
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def incidents(suite: Path | None, reports: Path, as_json: bool) -> int:
    """List incidents: when each was last reproduced, and what the estate made of it.

    Of the experiments in the directory SUITE, or of every report. Reports are read as they lie
    there: `gameday verify` says whether they are what was signed.
    """
    from gameday.experiment import load_experiment

    metadata = [_metadata(load_experiment(path)) for path in files(suite)] if suite else []
    _tell(metadata, reports, as_json)
    return 0


def files(suite: Path) -> list[Path]:
    """The experiments of a directory, in order of name.

    Raises:
        InvalidInput: where it is no directory, or has none.
    """
    from gameday.errors import InvalidInput

    if not suite.is_dir():
        raise InvalidInput(f"{suite} is no directory", "name one with experiments in it")
    found = sorted([*suite.glob("*.yaml"), *suite.glob("*.yml")])
    if not found:
        raise InvalidInput(f"{suite} has no experiment", "gameday reproduce makes some: *.yaml")
    return found


def run_all(  # noqa: PLR0917 - everything a run is made of
    suite: Path, inventory: Inventory, yes: bool, reports: Path, signing_key: Any,
    approvals: Path | None, signers: Path | None,
) -> int:  # fmt: skip
    """Run a directory's experiments one after another; the exit code is the worst.

    Every one is read, planned and allowed before the first is run. Each has its own leases, abort
    and signed report. A node that is not proven clean ends the suite, and so does an operator.

    Raises:
        InvalidInput: with the mistakes of every file.
    """
    from gameday.cli import begin
    from gameday.cli.run import enter_netns, require_files

    members = _members(suite, inventory, signing_key, approvals or reports / "approvals", signers)
    require_files(inventory)
    if not yes:
        _confirm(members)
    announcer = begin.announcer(inventory)
    enter_netns(inventory.controller_netns)
    codes, left = [], list(members)
    while left:
        member = left.pop(0)
        code, go_on = _one(member, inventory, reports, signing_key, announcer)
        codes.append(code)
        if not go_on:
            break
    for member in left:
        click.echo(f"{member.path.name}: not run any more")
    click.echo()
    _tell([_metadata(member.loaded) for member in members], reports)
    return next(code for code in WORST_FIRST if code in codes)


def _members(
    suite: Path, inventory: Inventory, signing_key: Any, approvals: Path, signers: Path | None
) -> list[Member]:
    """Every experiment of the suite, or every mistake in all of them."""
    from gameday.cli import permit
    from gameday.errors import InvalidInput
    from gameday.experiment import load_experiment
    from gameday.plan import make_plan

    problems, found = [], []
    names: dict[str, Path] = {}
    for path in files(suite):
        try:
            text, loaded = path.read_bytes(), load_experiment(path)
            name = loaded.experiment.metadata.name
            if name in names:
                problems.append(f"{path}: is called {name}, as {names[name].name} is")
            names.setdefault(name, path)
            plan = make_plan(loaded, inventory)
            permit.not_frozen(inventory, plan)
            allowed = permit.approved(text, loaded, inventory, signing_key, approvals, signers)
            found.append(Member(path, text, loaded, plan, allowed))
        except InvalidInput as error:
            problems += error.problems or [f"{path}: {error.message}"]
    if problems:
        raise InvalidInput(f"{suite}: nothing was run", "correct these first", problems)
    return found


def _confirm(members: Sequence[Member]) -> None:
    from gameday.cli.run import show

    for member in members:
        click.echo(f"\n{member.path.name}\n")
        show(member.plan)
    click.confirm(f"\nRun these {len(members)} one after another now?", abort=True)


def _one(
    member: Member, inventory: Inventory, reports: Path, signing_key: Any, announcer: Announcer
) -> tuple[int, bool]:
    """Run one; how it went, and whether the suite may go on."""
    from gameday.cli import begin, permit
    from gameday.cli.main import tell
    from gameday.cli.run import carry_out
    from gameday.errors import EXIT_NOT_CLEAN, GamedayError
    from gameday.report.summary import read_report

    click.echo(f"\n{member.path.name}")
    try:
        permit.not_frozen(inventory, member.plan)
        with (
            permit.alone(inventory, f"run of {member.path.name}"),
            begin.announced(announcer, member.plan, signing_key.principal) as result,
        ):
            directory, code = carry_out(member.text, inventory, member.plan, reports, signing_key,
                                        member.allowed)  # fmt: skip
            result.run = directory
        abort = read_report(directory)["abort"]
        return code, not (abort and abort["by"] == "operator")
    except GamedayError as error:
        tell(error)
        return error.exit_code, error.exit_code != EXIT_NOT_CLEAN
    finally:
        # Between two runs nobody else would end the suite.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _metadata(loaded: Loaded) -> Mapping[str, Any]:
    found: Mapping[str, Any] = loaded.experiment.to_json()["metadata"]
    return found


def _tell(metadata: Sequence[Mapping[str, Any]], reports: Path, as_json: bool = False) -> None:
    from gameday.conduct import rundir
    from gameday.errors import EvidenceError
    from gameday.report import incidents as found
    from gameday.report.summary import read_report

    read = []
    for directory in rundir.all_runs(reports):
        try:
            read.append((directory.name, read_report(directory)))
        except EvidenceError:
            # A run that did not end has reproduced nothing; gameday status lists it.
            continue
    rows = [found.line(one) for one in found.collect(metadata, read)]
    if not rows:
        click.echo(f"no report in {reports} is of an incident", err=True)
    elif as_json:
        for row in rows:
            click.echo(json.dumps(dict(zip(found.HEAD, row, strict=True))))
    else:
        for text in found.table(rows):
            click.echo(text)
