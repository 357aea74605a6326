# SPDX-License-Identifier: Apache-2.0
"""``gameday plan`` and ``gameday schema``: look, and touch nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gameday.cli.options import INVENTORY

if TYPE_CHECKING:
    from gameday.plan import Inventory


@click.command()
@click.argument("experiment", type=click.Path(path_type=Path))
@INVENTORY
@click.option(
    "--clusters", is_flag=True, help="Also ask the clusters: what does the inventory miss?"
)
@click.option("--json", "as_json", is_flag=True, help="Print plan.json instead of words.")
def plan(experiment: Path, inventory: Path, clusters: bool, as_json: bool) -> int:
    """Show what running EXPERIMENT would do: targets, rules, undo, prediction.

    Reads two files and touches no node; with --clusters, API servers are asked and the plan is
    the same.
    """
    import json

    from gameday.cli.run import show
    from gameday.experiment import load_experiment
    from gameday.plan import load_inventory, make_plan

    estate = load_inventory(inventory)
    found = make_plan(load_experiment(experiment), estate)
    if clusters:
        _compare(estate)
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2, ensure_ascii=False))
        return 0
    show(found)
    return 0


def _compare(estate: Inventory) -> None:
    """Where the inventory is not what its clusters are, on standard error: no part of the plan."""
    from gameday.cli.inventory import differences

    found = differences(estate)
    for one in found:
        click.echo(f"inventory: {one}", err=True)
    if not found:
        click.echo("inventory: its clusters say the same", err=True)


@click.command()
def schema() -> int:
    """Print the JSON Schema of experiments, for editors."""
    import json

    from gameday.experiment.schema import experiment_schema

    click.echo(json.dumps(experiment_schema(), indent=2, ensure_ascii=False))
    return 0
