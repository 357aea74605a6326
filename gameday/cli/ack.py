# SPDX-License-Identifier: Apache-2.0
"""``gameday ack``: a person tells a run that goes on what they see."""

from __future__ import annotations

import os
from pathlib import Path

import click

from gameday.cli.options import REPORTS


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="[RUN] WHAT")
@REPORTS
@click.option("--as", "said_by", default=lambda: os.environ.get("SUDO_USER", ""),
              help="Who says so, where the login does not tell.")  # fmt: skip
def ack(words: tuple[str, ...], reports: Path, said_by: str) -> int:
    """Tell RUN (default: the one that goes on) WHAT you see, in one quoted text.

    It is written into the run's record with the controller's time and your login, and counts
    as a detector of time-to-detect. Returns once it is written down.
    """
    from gameday.conduct import acks

    if len(words) > 2:
        raise click.UsageError('quote what you see: gameday ack "what you see"')
    directory = _run(reports, words[0] if len(words) == 2 else None)
    acks.tell(directory, words[-1], said_by)
    click.echo(f"told {directory.name}")
    return 0


def _run(reports: Path, name: str | None) -> Path:
    """The run by its name, or the only one that goes on.

    Raises:
        InvalidInput: where none goes on, or several do.
    """
    from gameday.conduct import rundir
    from gameday.conduct.recover import state_of
    from gameday.errors import InvalidInput

    if name:
        return rundir.find(reports, name)
    running = [one for one in rundir.all_runs(reports) if state_of(one) == "running"]
    if not running:
        raise InvalidInput(f"no run goes on in {reports}", "gameday status lists them")
    if len(running) > 1:
        raise InvalidInput(
            f"{len(running)} runs go on in {reports}", "name one before what you see",
            )  # fmt: skip
    return running[0]
