# SPDX-License-Identifier: Apache-2.0
"""``gameday sweep``: remove what any run left on an estate, without the run's record."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gameday.cli.options import INVENTORY, LOG

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gameday.conduct.sweep import Swept


@click.command()
@click.argument("nodes", nargs=-1, metavar="[NODE]...")
@INVENTORY
@click.option("--yes", is_flag=True, help="Do not ask before removing.")
@click.option("--force", is_flag=True, help="Also end leases whose window is not over.")
@LOG
def sweep(nodes: tuple[str, ...], inventory: Path, yes: bool, force: bool, log_level: str) -> int:
    """Find what gameday left on each NODE (default: all), remove it, and read back.

    Needs no record of any run: what carries gameday's tag is removed, and leases of the nodes'
    ledgers are ended. Leases whose window is not over are left alone but for --force. Exit
    code 0 where nothing is left, 4 where something is, or a node was not read back.
    """
    from gameday.cli.logs import configure
    from gameday.cli.nodes import chosen, fleet_of
    from gameday.conduct import sweep as sweeping
    from gameday.faults.base import CONTROLLER
    from gameday.plan import load_inventory
    from gameday.transport.local import has_leases

    configure(log_level)
    estate = load_inventory(inventory)
    wanted = chosen(estate, nodes, vantages_too=True)
    if has_leases():
        wanted.append(CONTROLLER)
    fleet = fleet_of(estate, wanted)
    try:
        found = sweeping.look(fleet, wanted, force)
        for line in look_lines(found):
            click.echo(line)
        todo = [one.node for one in found if one.reached and one.left]
        if todo and not yes:
            click.confirm(f"\nRemove this from {len(todo)} node(s)?", abort=True)
        swept = {one.node: one for one in found}
        swept |= {one.node: one for one in sweeping.sweep(fleet, todo, force)}
    finally:
        fleet.close()
    for line in done_lines(swept[node] for node in todo):
        click.echo(line)
    sweeping.require_clean(swept[node] for node in sorted(swept))
    click.echo(f"clean: nothing of gameday is left on {len(swept)} node(s)")
    return 0


def look_lines(found: Iterable[Swept]) -> list[str]:
    """What was found, for people; pure."""
    lines = []
    for one in found:
        if one.reached:
            lines += [f"{one.node}: {text}" for text in (*one.left, *one.spared)]
    return lines


def done_lines(swept: Iterable[Swept]) -> list[str]:
    """What was done, for people; pure."""
    lines = []
    for one in swept:
        lines += [f"{one.node}: ended {text}" for text in one.done]
        lines += [f"{one.node}: trouble: {text}" for text in one.trouble]
    return lines
