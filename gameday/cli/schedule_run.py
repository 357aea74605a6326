# SPDX-License-Identifier: Apache-2.0
"""``gameday schedule run``: what a timer calls, and who makes up for a missed drill."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gameday.cli.options import LOG

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from gameday.cli.begin import Asked, Ready
    from gameday.drills.announce import Announcer
    from gameday.drills.schedule import Drill, Journal

PROBLEMS_TOLD = 5


@click.command()
@click.argument("name")
@click.option("--directory", type=click.Path(path_type=Path), help="Where drills are kept.")
@click.option("--system/--user", default=None, help="Of the system, or of this user.")
@click.option("--if-due", is_flag=True, help="Only at its time, and once for each date.")
@click.option("--quiet", is_flag=True,
              help="With --if-due: no word where it is not due, and exit code 0 for nothing to "
                   "do.")  # fmt: skip
@LOG
def run(  # noqa: PLR0917 - click passes every option by name
    name: str, directory: Path | None, system: bool | None, if_due: bool, quiet: bool,
    log_level: str,
) -> int:  # fmt: skip
    """Run the drill NAME now, with nobody asked.

    Exit codes are those of gameday run, and 5 where nothing was to be done: a freeze, or with
    --if-due not its time. A date that passed more than ten minutes ago is not begun with --if-due:
    exit code 3, and gameday schedule list calls it overdue.
    """
    from gameday.cli.logs import configure
    from gameday.drills import dates, schedule
    from gameday.errors import EXIT_SKIPPED

    configure(log_level)
    kind = "system" if system or (system is None and os.geteuid() == 0) else "user"
    drill = schedule.load((directory or schedule.default_directory(kind)).absolute(), name)
    journal = schedule.Journal(Path(drill.journal))
    moment = dates.now()
    date = dates.due(drill, moment)
    due_ns = dates.ns(date) if date else 0
    code = EXIT_SKIPPED
    if not if_due:
        journal.claim(due_ns, again=True)
        code = _run(drill, journal, due_ns)
    elif _is_time(drill, journal, date, moment, quiet):
        code = _run(drill, journal, due_ns)
    return 0 if quiet and code == EXIT_SKIPPED else code


def asked_of(drill: Drill) -> Asked:
    """Files of a drill's run."""
    from gameday.cli.begin import Asked

    return Asked(
        Path(drill.experiment), Path(drill.inventory), Path(drill.reports), Path(drill.approvals),
        Path(drill.allowed_signers), Path(drill.key),
    )  # fmt: skip


def set_environment(drill: Drill) -> None:
    """Have this process' variables as the drill's runs have them.

    Raises:
        InvalidInput: where its environment file cannot be used.
    """
    from gameday.drills.unattended import read_environment

    found = read_environment(Path(drill.environment_file)) if drill.environment_file else {}
    os.environ.update({**drill.environment, **found})


def _is_time(
    drill: Drill, journal: Journal, date: datetime | None, moment: datetime, quiet: bool
) -> bool:
    """Whether a timer that fires now may begin the drill; then its date is taken.

    Raises:
        CannotRun: where a date was missed and somebody shall hear of it.
    """
    from gameday.drills import dates
    from gameday.errors import CannotRun

    begun = {entry["due_ns"] for entry in journal.entries()}
    coming = drill.calendar.after(moment, 1)
    following = dates.local(coming[0], drill.time_zone) if coming else "never"
    if date is not None and dates.in_time(date, moment):
        if journal.claim(dates.ns(date), again=False):
            return True
        why = f"was begun for {dates.local(date, drill.time_zone)} already"
    elif date is None or quiet or dates.ns(date) in begun:
        why = "is not due"
    else:
        raise CannotRun(
            f"{drill.name} was due at {dates.local(date, drill.time_zone)} and is not begun so "
            f"late; its next date is {following}",
            f"to make up for it, when people are there: gameday schedule run {drill.name}",
        )
    if not quiet:
        click.echo(f"{drill.name} {why}; its next date is {following}")
    return False


def _run(drill: Drill, journal: Journal, due_ns: int) -> int:
    from gameday.errors import EXIT_SKIPPED, GamedayError

    try:
        code = _carry_out(drill, journal, due_ns)
    except GamedayError as error:
        journal.note(due_ns, "ended", exit_code=error.exit_code, why=_why(error))
        raise
    except BaseException as error:
        journal.note(due_ns, "ended", exit_code=None, why=type(error).__name__)
        raise
    if code != EXIT_SKIPPED:
        journal.note(due_ns, "ended", exit_code=code, why="")
    return code


def _carry_out(drill: Drill, journal: Journal, due_ns: int) -> int:
    """The run, all refusals announced; EXIT_SKIPPED where a freeze excludes it."""
    from gameday.cli import begin, permit
    from gameday.drills import dates, told
    from gameday.drills.unattended import signing_key
    from gameday.errors import EXIT_SKIPPED

    set_environment(drill)
    signing_key(Path(drill.key))
    asked = asked_of(drill)
    ready = begin.prepare(asked, None)
    tell = begin.announcer(ready.inventory)
    before = told.head("refused", ready.plan.experiment["metadata"], drill.name)
    freeze = permit.freeze_now(ready.inventory, ready.plan)
    if freeze is not None:
        free = dates.next_free(drill, ready.inventory.policy, dates.now())
        then = dates.local(free, drill.time_zone) if free else "never"
        why = f"{permit.freeze_text(freeze)}. Its next date is {then}"
        click.echo(f"{drill.name} is skipped: {why}")
        journal.note(due_ns, "skipped", why=why)
        tell.ends(told.did_not("skipped", before, why))
        return EXIT_SKIPPED
    with contextlib.ExitStack() as held:
        with _refusals(tell, before):
            allowed = begin.permitted(asked, ready)
            held.enter_context(_alone(ready, drill))
        return begin.carry_through(asked, ready, allowed, tell, drill.name)


def _alone(ready: Ready, drill: Drill) -> contextlib.AbstractContextManager[None]:
    from gameday.cli import permit

    return permit.alone(ready.inventory, f"scheduled drill {drill.name}")


@contextlib.contextmanager
def _refusals(tell: Announcer, before: dict[str, Any]) -> Iterator[None]:
    """Announce that a drill does not begin; nobody is at the terminal."""
    from gameday.drills import told
    from gameday.errors import GamedayError

    try:
        yield
    except GamedayError as error:
        tell.ends(told.did_not("refused", before, _why(error)))
        raise


def _why(error: Any) -> str:
    problems = list(getattr(error, "problems", ()))[:PROBLEMS_TOLD]
    return "; ".join([error.message, *problems])
