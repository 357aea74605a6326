# SPDX-License-Identifier: Apache-2.0
"""``gameday schedule``: drills that come again by themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gameday.cli.options import ALLOWED, INVENTORY, KEY, REPORTS
from gameday.cli.permit import APPROVALS
from gameday.cli.schedule_add import Wish, add_drill
from gameday.cli.schedule_run import run

if TYPE_CHECKING:
    from gameday.drills.outlook import Outlook
    from gameday.drills.schedule import Drill

DATES_MAX = 400
DIRECTORY = click.option(
    "--directory", type=click.Path(path_type=Path),
    help="Where drills are kept; by default in the user's state, with --system in /var/lib.",
)  # fmt: skip
SYSTEM = click.option("--system/--user", default=None, help="Of the system, or of this user; by "
                      "default of the system for root.")  # fmt: skip


@click.group()
def schedule() -> None:
    """Drills that come again by themselves: docs/schedules.md."""


schedule.add_command(run)


@schedule.command()
@click.argument("experiment", type=click.Path(path_type=Path))
@click.option("--on", required=True, help="quarterly, or a systemd calendar expression.")
@INVENTORY
@click.option("--name", help="By default the experiment's.")
@click.option("--time-zone", default="", help="That --on is local to, as in Europe/Berlin; by "
              "default UTC.")  # fmt: skip
@SYSTEM
@click.option("--as", "output", type=click.Choice(["systemd", "crontab", "cronjob", "job"]),
              default="systemd", show_default=True, help="What calls it.")  # fmt: skip
@click.option("--print", "only_print", is_flag=True, help="Print systemd units; install none.")
@click.option("--environment-file", type=click.Path(path_type=Path),
              help="Lines NAME=value, mode 0600: webhooks' URLs, BMCs' credentials.")  # fmt: skip
@click.option("--image", default="", help="cronjob and job: image with this version of gameday.")
@click.option("--claim", default="", 
              help="cronjob and job: PersistentVolumeClaim for its reports.")  # fmt: skip
@DIRECTORY
@REPORTS
@APPROVALS
@ALLOWED
@KEY
def add(  # noqa: PLR0917 - click passes every option by name
    experiment: Path, on: str, inventory: Path, name: str | None, time_zone: str,
    system: bool | None, output: str, only_print: bool, environment_file: Path | None, image: str,
    claim: str, directory: Path | None, reports: Path, approvals: Path | None,
    allowed_signers: Path | None, key: Path | None,
) -> int:  # fmt: skip
    """Have EXPERIMENT run on the estate of an inventory at every date of a calendar.

    What a run would ask for with nobody there is checked now. Nothing is broken now.
    """
    of_system = _is_system(system)
    kind = output if output != "systemd" else "system" if of_system else "user"
    return add_drill(Wish(
        experiment, inventory, on, name, time_zone, kind, of_system, only_print,
        environment_file, image, claim, directory, reports, approvals, allowed_signers, key,
    ))  # fmt: skip


@schedule.command(name="list")
@DIRECTORY
@SYSTEM
@click.option("--dates", default=4, show_default=True, type=click.IntRange(1, DATES_MAX),
              help="How many of each drill.")  # fmt: skip
@click.option("--ical", is_flag=True, help="As iCalendar.")
@click.option("--metrics", is_flag=True, help="As OpenMetrics, and exit code 0.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_(  # noqa: PLR0917 - click passes every option by name
    directory: Path | None, system: bool | None, dates: int, ical: bool, metrics: bool,
    as_json: bool,
) -> int:  # fmt: skip
    """Drills with their next dates.

    Exit code 1 where one is overdue: its date passed, and no drill was carried out since. 2 where
    a drill's file, or its inventory, cannot be read.
    """
    from gameday.drills import dates as dating
    from gameday.drills import outlook
    from gameday.errors import EXIT_INVALID_INPUT, EXIT_NOT_MET

    place, moment = _directory(directory, system), dating.now()
    found, wrong = outlook.outlooks(place, dates, moment)
    if metrics:
        click.echo(outlook.metrics(found, len(wrong)), nl=False)
        return 0
    if ical:
        click.echo(outlook.icalendar(found, moment), nl=False)
    elif as_json:
        click.echo(json.dumps([one.to_json() for one in found], indent=1))
    else:
        for one in found:
            _show(one)
        if not found and not wrong:
            click.echo(f"no drills in {place}")
    for text in wrong:
        click.echo(f"gameday: {text}", err=True)
    if wrong or any(one.problem for one in found):
        return EXIT_INVALID_INPUT
    return EXIT_NOT_MET if any(one.overdue for one in found) else 0


@schedule.command()
@click.argument("name")
@DIRECTORY
@SYSTEM
def check(name: str, directory: Path | None, system: bool | None) -> int:
    """Would the drill NAME run at its next date? Everything but the nodes is asked, approvals too.

    Exit code 0 where it would, as far as can be known now.
    """
    from gameday.cli import begin, permit
    from gameday.cli.schedule_run import asked_of, set_environment
    from gameday.drills import dates, unattended
    from gameday.drills.schedule import load
    from gameday.errors import Refused

    drill = load(_directory(directory, system), name)
    set_environment(drill)
    unattended.signing_key(Path(drill.key))
    asked = asked_of(drill)
    ready = begin.prepare(asked, None)
    then = dates.next_free(drill, ready.inventory.policy, dates.now())
    if then is None:
        raise Refused(f"{name} has no date that is not in a freeze", "see gameday_policy.freezes")
    wants = unattended.wants(ready.inventory, ready.plan)
    try:
        allowed = permit.approved(
            ready.text, ready.loaded, ready.inventory, ready.signing_key, asked.approvals,
            asked.allowed_signers, dates.ns(then),
        )  # fmt: skip
    except Refused as error:
        wants = [*wants, error.message, *error.problems, error.hint]
        allowed = []
    at = dates.local(then, drill.time_zone)
    if wants:
        raise Refused(f"{name} would not run at its next date, {at}", problems=wants)
    names = ", ".join(one.principals for one in allowed)
    click.echo(
        f"{name} would run at its next date, {at}" + (f"; approved by {names}" * bool(names))
    )
    return 0


@schedule.command()
@click.argument("name")
@DIRECTORY
@SYSTEM
def remove(name: str, directory: Path | None, system: bool | None) -> int:
    """Take the drill NAME off its dates. Its reports, approvals and journal stay."""
    from gameday.drills import schedule as drills
    from gameday.drills import units

    place = _directory(directory, system)
    for kept in (place, place / "pods"):
        path = kept / f"{name}{drills.SUFFIX}"
        if path.is_file():
            break
    drill = drills.load(kept if path.is_file() else place, name)
    gone = units.remove(drill) if drill.kind in ("user", "system") else []
    path.unlink()
    for one in [*gone, path]:
        click.echo(f"removed {one}")
    _say_the_rest(drill, path)
    return 0


@schedule.command(hidden=True)
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
def unpack(source: Path, target: Path) -> int:
    """Copy a drill's mounted Secret, in a pod, to where gameday takes keys from."""
    from gameday.drills import pod

    click.echo(f"{pod.unpack(source, target)} files")
    return 0


def _say_the_rest(drill: Drill, path: Path) -> None:
    if drill.kind == "crontab":
        click.echo(f"take its line out with crontab -e: the one that names {drill.name}")
    if drill.kind == "cronjob":
        click.echo(f"then: kubectl delete cronjob,secret gameday-{drill.name}")


def _show(one: Outlook) -> None:
    from gameday.drills.dates import at, local

    zone = one.drill.time_zone
    click.echo(f"{one.drill.name}  ({one.drill.on} {zone}, {one.drill.kind})")
    if one.overdue:
        click.echo(f"    OVERDUE since {local(one.overdue, zone)}: gameday schedule run "
                   f"{one.drill.name}")  # fmt: skip
    for date in one.next_dates:
        frozen = f"  skipped: {date.freeze.why}" if date.freeze else ""
        click.echo(f"    {local(date.moment, zone)}{frozen}")
    if one.last:
        code = f", exit code {one.last['exit_code']}" if "exit_code" in one.last else ""
        why = f": {one.last['why']}" if one.last.get("why") else ""
        click.echo(f"    last: {one.last['what']} {local(at(one.last['at_ns']), zone)}{code}{why}")
    if one.problem:
        click.echo(f"    cannot be run: {one.problem}")


def _is_system(system: bool | None) -> bool:
    import os

    return os.geteuid() == 0 if system is None else system


def _directory(directory: Path | None, system: bool | None) -> Path:
    from gameday.drills import schedule as drills

    kind = "system" if _is_system(system) else "user"
    return (directory or drills.default_directory(kind)).absolute()
