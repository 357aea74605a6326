# SPDX-License-Identifier: Apache-2.0
"""``gameday search``: the longest round trip between two sites that keeps the objectives."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gameday.cli.options import AT, INVENTORY, KEY, LOG, REPORTS, URL, USERS, ask_passphrase

if TYPE_CHECKING:
    from gameday.drills.announce import Announcer
    from gameday.plan import Inventory
    from gameday.plan.wish import Wish
    from gameday.report.search import Asked

RANGE = re.compile(r"(\d+)\.\.(\d+)ms")
RUNS_MAX = 20


@click.command()
@click.argument("sites", nargs=-1, required=True)
@INVENTORY
@click.option("--between", required=True, help="Round trips to search in: 20..2000ms.")
@click.option(
    "--hold", help="How long each is held; by default ten election timeouts, at least 20s."
)
@click.option("--within", "percent", default=10, show_default=True, type=click.IntRange(1, 100),
              help="How near the answer's ends shall be, in percent.")  # fmt: skip
@click.option("--runs", default=8, show_default=True, type=click.IntRange(2, RUNS_MAX),
              help="At most so many runs.")  # fmt: skip
@AT
@URL
@USERS
@click.option("--yes", is_flag=True, help="Do not ask before the first run.")
@REPORTS
@KEY
@LOG
def search(  # noqa: PLR0917 - click passes every option by name
    sites: tuple[str, ...], inventory: Path, between: str, hold: str | None, percent: int,
    runs: int, at: tuple[str, ...], url: str, role: str, yes: bool, reports: Path, key: Path | None,
    log_level: str,
) -> int:  # fmt: skip
    """Find the longest round trip between every two of SITES at which every objective is met.

    Each step is a run of its own, with its plan, abort limits and signed report, as of
    ``gameday excurse``. Both ends are tried first, then the middle of what is left.
    """
    from gameday.cli import begin, permit
    from gameday.cli.excurse import usual_us
    from gameday.cli.logs import configure
    from gameday.plan import load_inventory
    from gameday.plan.wish import Wish, check, parse_duration, peak_us
    from gameday.report.search import Asked
    from gameday.report.sign import load_signing_key

    configure(log_level)
    least, most = _range_us(between)
    signing_key = load_signing_key(key, ask_passphrase)
    found = load_inventory(inventory)
    hold_s = _hold_s(sites, found, parse_duration(hold) if hold else None)
    wish = Wish(sites, hold_s, rtt_us=least, at=at, url=url, role=role)
    check(wish)
    permit.unplanned(found)
    tell = begin.announcer(found)
    with permit.alone(found, f"search between {' and '.join(sites)}"):
        usual = usual_us(wish, found)
        for base_us in usual.values():
            peak_us(wish, base_us)
        directory = _directory(reports, wish)
        asked = Asked(sites, usual, least, most, percent, runs, hold_s)
        rows = _walk(wish, asked, found, directory, signing_key, yes, tell)
        return _tell(directory, asked, rows, signing_key)


def _hold_s(sites: tuple[str, ...], inventory: Inventory, given_s: int | None) -> int:
    """How long to hold each round trip; where the user says it, whether elections fit is said."""
    from gameday.plan.bisection import hold_s, too_short
    from gameday.plan.excurse import spanning

    timeouts = {group.name: group.election_ms for group in spanning(sites, inventory)}
    if given_s is None:
        return hold_s(timeouts)
    for line in too_short(given_s, timeouts):
        click.echo(line)
    return given_s


def _walk(  # noqa: PLR0917 - what one search is about
    wish: Wish, asked: Asked, inventory: Inventory, directory: Path, signing_key: Any, yes: bool,
    tell: Announcer,
) -> list[dict[str, Any]]:  # fmt: skip
    """Run after run until there is nothing more to find out."""
    from gameday.cli import begin, permit
    from gameday.cli.run import carry_out, confirm
    from gameday.plan.bisection import Tried, next_us
    from gameday.plan.excurse import planned
    from gameday.report.search import row

    rows: list[dict[str, Any]] = []
    while len(rows) < asked.runs:
        tried = [Tried(r["rtt_us"], r["held"]) for r in rows]
        rtt_us = next_us(asked.least_us, asked.most_us, asked.percent, tried)
        if rtt_us is None:
            break
        text, plan = planned(replace(wish, rtt_us=rtt_us), asked.usual, inventory)
        permit.not_frozen(inventory, plan)
        if not rows and not yes:
            confirm(plan)
        click.echo(f"run {len(rows) + 1} of at most {asked.runs}: {rtt_us / 1000:g} ms")
        with begin.announced(tell, plan, signing_key.principal) as result:
            run, _ = carry_out(text.encode(), inventory, plan, directory, signing_key)
            result.run = run
        rows.append(row(run, rtt_us))
        click.echo(f"{rtt_us / 1000:g} ms: {rows[-1]['held']}")
    return rows


def _tell(directory: Path, asked: Asked, rows: list[dict[str, Any]], signing_key: Any) -> int:
    """Write and sign the page; 0 where both ends of the answer, or its upper end, are known."""
    from gameday.report.search import HTML, finish

    data = finish(directory, asked, rows, signing_key)
    click.echo(data["answer"])
    for line in data["contradictions"]:
        click.echo(f"  {line}")
    click.echo(f"Report: {directory / HTML}")
    if any(row["held"] == "unknown" for row in rows) or data["contradictions"]:
        return 3
    return 0 if data["kept_us"] is not None else 1


def _range_us(text: str) -> tuple[int, int]:
    from gameday.errors import InvalidInput
    from gameday.faults.netem import DELAY_MS_MAX

    found = RANGE.fullmatch(text)
    least, most = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 0 < least < most <= DELAY_MS_MAX:
        raise InvalidInput(f"not a range of round trips: {text!r}", "write 20..2000ms")
    return least * 1000, most * 1000


def _directory(reports: Path, wish: Wish) -> Path:
    """``reports/<started>-search-<sites>``, for the page and the runs."""
    import time

    from gameday import clock
    from gameday.errors import InvalidInput

    started = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(clock.wall_ns() // clock.NS_PER_S))
    directory = reports / f"{started}-search-{'-'.join(wish.sites)}"
    try:
        directory.mkdir(parents=True)
    except OSError as error:
        raise InvalidInput(f"{directory}: cannot write: {error.strerror}",
                           "choose another place with --reports") from error  # fmt: skip
    return directory
