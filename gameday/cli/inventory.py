# SPDX-License-Identifier: Apache-2.0
"""``gameday inventory check``: everything missing or contradictory in an inventory, at once."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gameday.cli.options import INVENTORY

if TYPE_CHECKING:
    from gameday.plan import Inventory
    from gameday.plan.advice import Advice


@click.group()
def inventory() -> None:
    """Check an inventory, all of it at once."""


@inventory.command()
@INVENTORY
@click.option("--strict", is_flag=True, help="Weak findings count as wrong ones.")
@click.option("--json", "as_json", is_flag=True, help="Findings as JSON.")
def check(inventory: Path, strict: bool, as_json: bool) -> int:
    """Say everything that is missing from an inventory, contradicts itself, or is weak.

    Nodes are not contacted. Exit code 0 where nothing is wrong, 2 where something is.
    """
    from gameday.errors import EXIT_INVALID_INPUT
    from gameday.plan import load_inventory
    from gameday.plan.advice import WRONG, advise

    estate = load_inventory(inventory)
    found = [*_on_this_host(estate), *advise(estate)]
    bad = [one for one in found if strict or one.level == WRONG]
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found], indent=1))
        return EXIT_INVALID_INPUT if bad else 0
    for one in found:
        click.echo(str(one))
    sites = ", ".join(f"{site} {len(names)}" for site, names in estate.sites.items())
    groups = ", ".join(f"{one.name} {len(one.members)}" for one in estate.raft_groups) or "none"
    click.echo(f"{len(estate.nodes)} nodes ({sites}); Raft groups: {groups}")
    wrong = sum(one.level == WRONG for one in found)
    click.echo(f"{wrong} wrong, {len(found) - wrong} weak" if found else "nothing is wrong or weak")
    return EXIT_INVALID_INPUT if bad else 0


def _on_this_host(estate: Inventory) -> list[Advice]:
    """What can only be known where gameday runs: files, keys, pinned host keys."""
    from gameday.conduct.fleet import addresses
    from gameday.plan.advice import WRONG, Advice
    from gameday.transport.pinned import not_pinned, open_keys

    todo = "bring it here, or correct its path"
    found = [
        Advice(WRONG, "this machine", f"{what} is not there", todo)
        for what in estate.missing_files()
    ]
    ways = addresses(estate.to_json(), [node.name for node in estate.nodes])
    keys = [one.key_file for one in ways if one.key_file]
    keys += [str(one["kubeconfig"]) for one in estate.clusters.values() if one["kubeconfig"]]
    said = not_pinned(ways) + open_keys(keys)
    return found + [Advice(WRONG, *one) for one in said]
