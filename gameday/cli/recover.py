# SPDX-License-Identifier: Apache-2.0
"""``gameday recover``: faults end first, reports are written after that.

Nothing that a report needs, a key or its passphrase, keeps a fault waiting, and no run waits for
another one that cannot be recovered.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from gameday.cli.options import KEY, LOG, REPORTS, RUN, ask_passphrase
from gameday.errors import GamedayError

if TYPE_CHECKING:
    from gameday.conduct.conductor import Ended


class _Ended(NamedTuple):
    """A run whose faults are over; its report is still to be written."""

    directory: Path
    inventory: dict[str, Any]
    how: Ended


@click.command()
@RUN
@REPORTS
@KEY
@LOG
def recover(run_name: str | None, reports: Path, key: Path | None, log_level: str) -> int:
    """Finish what a dead controller left of RUN (default: every unfinished run).

    Faults are ended and nodes read back whatever becomes of the reports; without a signing key
    these are left for ``gameday measure RUN --write``.
    """
    from gameday.cli.logs import configure
    from gameday.conduct import recover as recovery
    from gameday.conduct import rundir

    configure(log_level)
    if run_name:
        todo = [rundir.find(reports, run_name)]
    else:
        runs = rundir.all_runs(reports)
        todo = [one for one in runs if recovery.state_of(one) == "unfinished"]
    if not todo:
        click.echo(f"nothing to recover in {reports}")
        return 0
    ended: list[_Ended] = []
    failed: list[GamedayError] = []
    for directory in todo:
        try:
            ended.append(_end(directory))
        except GamedayError as error:
            failed.append(error)
    failed += _write(ended, key)
    if not failed:
        return 0
    worst = max(failed, key=lambda one: one.exit_code)
    for other in failed:
        if other is not worst:
            click.echo(f"gameday: {other.message}", err=True)
    raise worst


def _end(directory: Path) -> _Ended:
    """End what the run left on its nodes, and complete its record.

    Raises:
        GamedayError: where that was not possible.
    """
    from gameday.cli.run import enter_netns
    from gameday.cli.view import Lines
    from gameday.conduct import recover as recovery
    from gameday.errors import EvidenceError

    try:
        inventory = json.loads((directory / "inventory.json").read_bytes())
        netns = inventory["controller_netns"]
    except (OSError, ValueError, KeyError) as error:
        raise EvidenceError(f"{directory}: inventory.json: {error}") from error
    enter_netns(netns)
    return _Ended(directory, inventory, recovery.recover(directory, Lines()))


def _write(ended: list[_Ended], key: Path | None) -> list[GamedayError]:
    """Judge, sign, print and announce; what went wrong, by run."""
    from gameday.cli import begin
    from gameday.cli.run import finish
    from gameday.conduct.conductor import not_clean
    from gameday.plan import inventory_from_json
    from gameday.report.sign import load_signing_key

    if not ended:
        return []
    try:
        signing_key = load_signing_key(key, ask_passphrase)
    except GamedayError as error:
        _say_unsigned(ended)
        return [error, *(not_clean(one.how.states) for one in ended if not one.how.clean)]
    failed: list[GamedayError] = []
    for directory, inventory, how in ended:
        try:
            tell = begin.announcer(inventory_from_json(inventory))
            with begin.result_announced(tell, directory):
                finish(directory, signing_key, how, completed_code=0)
        except GamedayError as error:
            failed.append(error)
    return failed


def _say_unsigned(ended: list[_Ended]) -> None:
    """Its faults are over, which is what matters now; the report can wait for a key."""
    for directory, _, how in ended:
        state = "everything is proven clean" if how.clean else "NOT proven clean"
        click.echo(f"{directory.name}: its faults are ended, {state}; it has no report yet")
        click.echo(f"  -> gameday measure {directory.name} --write --key KEY")
