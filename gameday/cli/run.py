# SPDX-License-Identifier: Apache-2.0
"""``gameday run`` and ``status``."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gameday.cli.options import ALLOWED, INVENTORY, KEY, LOG, REPORTS, ask_passphrase
from gameday.cli.permit import APPROVALS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gameday.conduct.conductor import Conductor, Ended
    from gameday.drills.approvals import Approval
    from gameday.plan import Inventory, Plan


@click.command()
@click.argument("experiment", type=click.Path(path_type=Path))
@INVENTORY
@click.option("--all", "every", is_flag=True, help="EXPERIMENT is a directory: run all of it.")
@click.option("--yes", is_flag=True, help="Do not ask before arming.")
@REPORTS
@APPROVALS
@ALLOWED
@KEY
@LOG
def run(  # noqa: PLR0917 - click passes every option by name
    experiment: Path, inventory: Path, every: bool, yes: bool, reports: Path,
    approvals: Path | None, allowed_signers: Path | None, key: Path | None, log_level: str,
) -> int:  # fmt: skip
    """Run EXPERIMENT on the estate of an inventory, and write its signed report.

    With --all, the experiments of a directory one after another: the exit code is the worst.
    """
    from gameday.cli import begin, permit
    from gameday.cli.logs import configure

    configure(log_level)
    if every:
        from gameday.cli.incidents import run_all
        from gameday.plan import load_inventory
        from gameday.report.sign import load_signing_key

        signing_key = load_signing_key(key, ask_passphrase)
        return run_all(experiment, load_inventory(inventory), yes, reports, signing_key,
                       approvals, allowed_signers)  # fmt: skip
    asked = begin.Asked(
        experiment, inventory, reports, approvals or reports / "approvals", allowed_signers, key
    )
    ready = begin.prepare(asked, ask_passphrase)
    allowed = begin.permitted(asked, ready)
    permit.not_frozen(ready.inventory, ready.plan)
    if not yes:
        confirm(ready.plan)
    with permit.alone(ready.inventory, f"run of {experiment.name}"):
        return begin.carry_through(asked, ready, allowed, begin.announcer(ready.inventory))


def confirm(plan: Plan) -> None:
    """Show the plan, and go on only where a person says so."""
    show(plan)
    click.confirm("\nRun this now?", abort=True)


def show(plan: Plan) -> None:
    """Print the plan in words."""
    from gameday.plan.render import render_plan

    for line in render_plan(plan):
        click.echo(line)


def carry_out(  # noqa: PLR0917 - everything a run is made of
    experiment: bytes, inventory: Inventory, plan: Plan, reports: Path, signing_key: Any,
    approvals: Sequence[Approval] = (),
) -> tuple[Path, int]:  # fmt: skip
    """Run a plan, sign its report; returns the run's directory and how it went."""
    from gameday.cli.view import make_watcher
    from gameday.conduct import rundir
    from gameday.conduct.conductor import Conductor

    plan_json = plan.to_json()
    directory = rundir.make(reports, experiment, inventory.to_json(), plan_json)
    with make_watcher(plan_json, directory) as watcher:
        conductor = Conductor(plan_json, inventory.to_json(), directory, watcher)
        on_signals(conductor)
        ended = conductor.conduct(
            sys.argv[1:], signing_key.principal, [one.to_json() for one in approvals]
        )
    return directory, finish(directory, signing_key, ended)


@click.command()
@REPORTS
def status(reports: Path) -> int:
    """List runs: running, ended with their verdict, or in need of ``gameday recover``."""
    from gameday.conduct import rundir
    from gameday.conduct.recover import state_of
    from gameday.report.summary import verdict_word

    runs = rundir.all_runs(reports)
    unfinished = 0
    for directory in runs:
        state = state_of(directory)
        unfinished += state == "unfinished"
        word = verdict_word(directory) if state == "ended" else ""
        advice = "its controller is dead: gameday recover" if state == "unfinished" else word
        click.echo(f"{directory.name}  {state:<10}  {advice}".rstrip())
    if not runs:
        click.echo(f"no runs in {reports}")
    return 3 if unfinished else 0


def require_files(inventory: Inventory, plan: Plan | None = None) -> None:
    """What the controller needs to reach nodes must be there before anything is begun.

    Args:
        plan: whose nodes are reached; all of the inventory where it is left out.

    Raises:
        InvalidInput: naming every file that is not.
    """
    from gameday.errors import InvalidInput

    missing = inventory.missing_files(None if plan is None else plan.asked)
    if missing:
        raise InvalidInput(
            f"{inventory.source}: files that it names are not on this machine",
            "if this is the lab: gameday lab up",
            problems=[f"missing: {what}" for what in missing],
        )


def enter_netns(path: str | None) -> None:
    """Move to the controller's network namespace, where the inventory names one."""
    from gameday.transport.netns import enter

    if path:
        enter(path)


def on_signals(conductor: Conductor) -> None:
    """Ctrl-C and SIGTERM end the faults; a second one changes nothing, that is under way."""

    def stop(number: int, frame: Any) -> None:
        conductor.request_stop()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)


def finish(
    directory: Path, signing_key: Any, ended: Ended, completed_code: int | None = None
) -> int:
    """Measure, judge, sign, print; the exit code says how it went."""
    from gameday.conduct.conductor import not_clean
    from gameday.report import finish_run
    from gameday.report.summary import summary_lines

    report = finish_run(directory, signing_key)
    for line in summary_lines(directory):
        click.echo(line)
    if not ended.clean:
        raise not_clean(ended.states)
    return int(report["verdict"]["exit_code"]) if completed_code is None else completed_code
