# SPDX-License-Identifier: Apache-2.0
"""``gameday plan`` and ``gameday schema``: look, and touch nothing."""

from __future__ import annotations

from pathlib import Path

import click

from gameday.cli.options import INVENTORY


@click.command()
@click.argument("experiment", type=click.Path(path_type=Path))
@INVENTORY
@click.option("--json", "as_json", is_flag=True, help="Print plan.json instead of words.")
def plan(experiment: Path, inventory: Path, as_json: bool) -> int:
    """Show what running EXPERIMENT would do: targets, rules, undo, prediction.

    Reads two files and touches no node.
    """
    import json

    from gameday.cli.run import show
    from gameday.experiment import load_experiment
    from gameday.plan import load_inventory, make_plan

    found = make_plan(load_experiment(experiment), load_inventory(inventory))
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2, ensure_ascii=False))
        return 0
    show(found)
    return 0


@click.command()
def schema() -> int:
    """Print the JSON Schema of experiments, for editors."""
    import json

    from gameday.experiment.schema import experiment_schema

    click.echo(json.dumps(experiment_schema(), indent=2, ensure_ascii=False))
    return 0
