# SPDX-License-Identifier: Apache-2.0
"""Nodes that a command names, and the way to them; shared by commands without a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gameday.conduct.fleet import Fleet
    from gameday.plan import Inventory


def chosen(inventory: Inventory, names: Sequence[str], vantages_too: bool = False) -> list[str]:
    """The nodes named, or all that may get a fault; with ``vantages_too`` all of them.

    Raises:
        InvalidInput: where a name is not in the inventory.
    """
    from gameday.errors import InvalidInput
    from gameday.experiment.problems import nearest

    odd = [name for name in names if name not in inventory.by_name]
    if odd:
        raise InvalidInput(
            f"{inventory.source} has no node {odd[0]}", nearest(odd[0], inventory.by_name)
        )
    every = [one.name for one in inventory.nodes if vantages_too or not one.vantage_only]
    return sorted(set(names)) or every


def fleet_of(inventory: Inventory, nodes: Sequence[str]) -> Fleet:
    """Agents of nodes, from the controller's network namespace; not connected yet.

    Raises:
        InvalidInput: where a file is missing that is needed to reach them.
    """
    from gameday.cli.run import enter_netns, require_files
    from gameday.conduct import fleet

    require_files(inventory)
    enter_netns(inventory.controller_netns)
    return fleet.fleet_of(inventory.to_json(), nodes)
