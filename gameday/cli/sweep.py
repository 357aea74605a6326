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
    from gameday.plan import Inventory


@click.command()
@click.argument("nodes", nargs=-1, metavar="[NODE]...")
@INVENTORY
@click.option("--yes", is_flag=True, help="Do not ask before removing.")
@click.option("--force", is_flag=True, help="Also end leases whose window is not over.")
@click.option(
    "--clusters", is_flag=True, help="What is overdue in the sites' clusters, and no node."
)
@LOG
def sweep(  # noqa: PLR0917 - click passes every option by name
    nodes: tuple[str, ...], inventory: Path, yes: bool, force: bool, clusters: bool, log_level: str
) -> int:
    """Find what gameday left on each NODE (default: all), remove it, and read back.

    Needs no record of any run: what carries gameday's tag is removed, and leases of the nodes'
    ledgers are ended. Leases whose window is not over are left alone but for --force. Exit
    code 0 where nothing is left, 4 where something is, or a node was not read back.

    Without any NODE the sites' Kubernetes clusters are swept too. There, and alone with
    --clusters, objects that carry the mark of a lease that should have ended two minutes ago
    get back what their mark says; with --clusters, leases that are not over are shown, and are no
    leftovers.
    """
    from gameday.cli.logs import configure
    from gameday.cli.nodes import chosen, fleet_of
    from gameday.conduct import kube_sweep
    from gameday.conduct import sweep as sweeping
    from gameday.faults.base import CONTROLLER
    from gameday.measures.words import count
    from gameday.plan import load_inventory
    from gameday.transport.local import has_leases

    configure(log_level)
    estate = load_inventory(inventory)
    if clusters:
        return _sweep_clusters(estate, nodes, yes, force)
    wanted = chosen(estate, nodes, vantages_too=True)
    if has_leases():
        wanted.append(CONTROLLER)
    fleet = fleet_of(estate, wanted)
    try:
        found = sweeping.look(fleet, wanted, force)
        in_clusters = {} if nodes else estate.clusters
        found += kube_sweep.sweep(in_clusters, look=True, force=force)
        for line in look_lines(found):
            click.echo(line)
        todo = [one.node for one in found if one.reached and one.left]
        if todo and not yes:
            click.confirm(f"\nRemove this from {count(len(todo), 'place')}?", abort=True)
        swept = {one.node: one for one in found}
        # Nodes first: a ledger knows more of its own leases than their marks tell.
        on_nodes = [name for name in todo if name in fleet.agents]
        swept |= {one.node: one for one in sweeping.sweep(fleet, on_nodes, force)}
        if len(on_nodes) < len(todo):
            again = kube_sweep.sweep(in_clusters, look=False, force=force)
            swept |= {one.node: one for one in again}
    finally:
        fleet.close()
    for line in done_lines(swept[node] for node in todo):
        click.echo(line)
    sweeping.require_clean(swept[node] for node in sorted(swept))
    places = f" and in {count(len(swept) - len(wanted), 'cluster')}" if in_clusters else ""
    click.echo(f"clean: nothing of gameday is left on {count(len(wanted), 'node')}{places}")
    return 0


def _sweep_clusters(estate: Inventory, nodes: tuple[str, ...], yes: bool, force: bool) -> int:
    from dataclasses import replace

    from gameday.cli.run import enter_netns
    from gameday.conduct import kube_sweep
    from gameday.conduct import sweep as sweeping
    from gameday.errors import InvalidInput
    from gameday.measures.words import count

    if nodes:
        raise InvalidInput("--clusters looks at no node", "leave the nodes out")
    if not estate.clusters:
        raise InvalidInput(f"{estate.source}: no site names a cluster",
                           "set gameday_kubeconfig and gameday_context on sites")  # fmt: skip
    enter_netns(estate.controller_netns)
    swept = kube_sweep.sweep(estate.clusters, look=True, force=force)
    for line in look_lines(swept):
        click.echo(line)
    if any(one.reached and one.left for one in swept):
        if not yes:
            click.confirm("\nEnd these?", abort=True)
        swept = kube_sweep.sweep(estate.clusters, look=False, force=force)
        for line in done_lines(swept):
            click.echo(line)
    # What is not over belongs to a run: its mark says until when, by every clock.
    sweeping.require_clean(replace(one, spared=()) for one in swept)
    click.echo(f"clean: nothing of gameday is overdue in {count(len(swept), 'cluster')}")
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
