# SPDX-License-Identifier: Apache-2.0
"""``gameday excurse``: a latency excursion in one line."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gameday.cli.options import AT, INVENTORY, KEY, LOG, REPORTS, URL, USERS, ask_passphrase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gameday.plan import Inventory
    from gameday.plan.wish import Pair, Wish

JITTER_MS_MAX, LOSS_PERCENT_MAX = 10_000, 100


@click.command()
@click.argument("sites", nargs=-1, required=True)
@INVENTORY
@click.option("--rtt", help="The round trip wanted: 3x the usual one, or 90ms.")
@click.option("--profile", help="A round trip that changes: ramp:12..120ms/2m (or sawtooth, pulse, "
              "spike: from, to, and the length of the ramp or of one period).")  # fmt: skip
@click.option("--jitter", default=0, type=click.IntRange(0, JITTER_MS_MAX), help="In ms.")
@click.option("--loss", default=0.0, type=click.FloatRange(0, LOSS_PERCENT_MAX), help="In percent.")
@click.option("--for", "length", required=True, help="How long: 90s, 5m.")
@AT
@URL
@USERS
@click.option("--save", type=click.Path(path_type=Path), help="Keep the experiment as this file.")
@click.option("--plan", "only_plan", is_flag=True, help="Measure and show the plan; arm nothing.")
@click.option("--yes", is_flag=True, help="Do not ask before arming.")
@REPORTS
@KEY
@LOG
def excurse(  # noqa: PLR0917 - click passes every option by name
    sites: tuple[str, ...], inventory: Path, rtt: str | None, profile: str | None, jitter: int,
    loss: float, length: str, at: tuple[str, ...], url: str, role: str, save: Path | None,
    only_plan: bool, yes: bool, reports: Path, key: Path | None, log_level: str,
) -> int:  # fmt: skip
    """Make the round trip between every two of SITES longer for a while, and report.

    The usual round trip is measured first. Plan, leases, abort and report are those of any run;
    groups whose timers do not bear the longest round trip are named in the plan.
    """
    from gameday.cli import begin, permit
    from gameday.cli.logs import configure
    from gameday.cli.run import carry_out, confirm, show
    from gameday.plan import excurse as lines
    from gameday.plan import load_inventory, wish
    from gameday.report.sign import load_signing_key

    configure(log_level)
    factor, rtt_us = wish.parse_rtt(rtt) if rtt else (None, None)
    wanted = wish.Wish(
        sites, wish.parse_duration(length), factor, rtt_us,
        wish.parse_profile(profile) if profile else None, jitter, loss, at, url, role,
    )  # fmt: skip
    wish.check(wanted)
    signing_key = None if only_plan else load_signing_key(key, ask_passphrase)
    found = load_inventory(inventory)
    if not only_plan:
        permit.unplanned(found)
    tell = begin.announcer(found)
    with permit.alone(found, f"excursion between {' and '.join(sites)}"):
        usual = usual_us(wanted, found)
        text, plan = lines.planned(wanted, usual, found)
        if save:
            _write(save, text)
        if only_plan:
            show(plan)
            return 0
        permit.not_frozen(found, plan)
        if not yes:
            confirm(plan)
        operator = signing_key.principal if signing_key else ""
        with begin.announced(tell, plan, operator) as result, _other_place(at):
            result.run, code = carry_out(text.encode(), found, plan, reports, signing_key)
        return code


@contextlib.contextmanager
def _other_place(at: tuple[str, ...]) -> Iterator[None]:
    """Where the sites' own nodes cannot be shaped, say who else can be.

    Raises:
        CannotRun: as it came, with that hint.
    """
    from gameday.errors import CannotRun

    try:
        yield
    except CannotRun as error:
        if not at and any("sch_" in problem for problem in error.problems):
            error.hint = "or let a router between them hold the leases: --at ROUTER"
        raise


def usual_us(wanted: Wish, inventory: Inventory) -> dict[Pair, int]:
    """The usual round trip of every two sites, told to the user too."""
    from gameday.cli.run import enter_netns, require_files
    from gameday.conduct import baseline
    from gameday.plan import excurse as lines
    from gameday.plan.wish import placeholder

    # Every mistake that can be found without the nodes is found before they are asked.
    _, plan = lines.planned(placeholder(wanted), 0, inventory)
    require_files(inventory)
    enter_netns(inventory.controller_netns)
    usual = {}
    for pair in wanted.pairs:
        mesh = lines.mesh_of(wanted, pair)
        found = baseline.measure(plan.to_json(), inventory.to_json(), mesh, pair)
        click.echo(
            f"usual round trip between {pair[0]} and {pair[1]}: "
            f"{found.median_us / 1000:.2f} ms ({found.least_us / 1000:.2f} to "
            f"{found.most_us / 1000:.2f} ms, {found.lost} of {found.looks} echoes lost)"
        )
        usual[pair] = found.median_us
    return usual


def _write(path: Path, text: str) -> None:
    from gameday.errors import InvalidInput

    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{path}: cannot write: {error.strerror}", "see --save") from error
    click.echo(f"kept as {path}")
