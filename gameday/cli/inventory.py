# SPDX-License-Identifier: Apache-2.0
"""``gameday inventory``: all that is missing or contradictory in one, and one from clusters."""

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

# Said here too, so that help imports nothing; a test compares.
REGION_LABEL, ZONE_LABEL = "topology.kubernetes.io/region", "topology.kubernetes.io/zone"
TIMEOUT_S = 10.0

LABEL_SITE = click.option(
    "--site-label",
    help=f"The label of nodes that says their site; the inventory's, else {REGION_LABEL}.",
)  # fmt: skip
LABEL_RACK = click.option(
    "--rack-label",
    help=f"The label of nodes that says their rack; the inventory's, else {ZONE_LABEL}.",
)  # fmt: skip
TIMEOUT = click.option(
    "--timeout", "timeout_s", type=click.FloatRange(0.1, 600), default=TIMEOUT_S, show_default=True,
    help="Seconds for all questions to one cluster.",
)  # fmt: skip


@click.group()
def inventory() -> None:
    """Check an inventory, all of it at once; make one from clusters."""


@inventory.command()
@INVENTORY
@click.option("--strict", is_flag=True, help="Weak findings count as wrong ones.")
@click.option("--clusters", is_flag=True, help="Also ask each site's cluster, and compare.")
@LABEL_SITE
@LABEL_RACK
@TIMEOUT
@click.option("--json", "as_json", is_flag=True, help="Findings as JSON.")
def check(  # noqa: PLR0917 - click passes every option by name
    inventory: Path, strict: bool, clusters: bool, site_label: str | None, rack_label: str | None,
    timeout_s: float, as_json: bool,
) -> int:  # fmt: skip
    """Say everything that is missing from an inventory, contradicts itself, or is weak.

    Nodes are not contacted, and clusters only with --clusters. Exit code 0 where nothing is wrong,
    2 where something is, 3 where nothing is and a cluster did not answer.
    """
    from gameday.errors import EXIT_INVALID_INPUT, EXIT_UNKNOWN
    from gameday.measures.words import count
    from gameday.plan import load_inventory
    from gameday.plan.advice import UNKNOWN, WRONG, advise

    estate = load_inventory(inventory)
    found = [*_on_this_host(estate), *advise(estate)]
    if clusters:
        found += differences(estate, timeout_s, site_label, rack_label)
    bad = [one for one in found if one.level == WRONG or (strict and one.level != UNKNOWN)]
    unknown = sum(one.level == UNKNOWN for one in found)
    code = EXIT_INVALID_INPUT if bad else EXIT_UNKNOWN if unknown else 0
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found], indent=1))
        return code
    for one in found:
        click.echo(str(one))
    sites = ", ".join(f"{site} {len(names)}" for site, names in estate.sites.items())
    groups = ", ".join(f"{one.name} {len(one.members)}" for one in estate.raft_groups) or "none"
    click.echo(f"{count(len(estate.nodes), 'node')} ({sites}); Raft groups: {groups}")
    wrong = sum(one.level == WRONG for one in found)
    weak, more = len(found) - wrong - unknown, f", {unknown} unknown" if unknown else ""
    click.echo(f"{wrong} wrong, {weak} weak{more}" if found else "nothing is wrong or weak")
    return code


@inventory.command("import")
@click.option("--context", "contexts", multiple=True, metavar="[SITE=]NAME",
              help="A cluster's context in the kubeconfig; again for each cluster.")  # fmt: skip
@click.option("--in-cluster", default="", metavar="SITE", help="The cluster of this very pod.")
@click.option("--kubeconfig", type=click.Path(path_type=Path), help="As kubectl's, the default.")
@LABEL_SITE
@LABEL_RACK
@TIMEOUT
@click.option("-o", "--output", type=click.Path(path_type=Path),
              help="The inventory; standard output without it.")  # fmt: skip
@click.option("--update", is_flag=True, help="Add to a file that is there already.")
def import_(  # noqa: PLR0917 - click passes every option by name
    contexts: tuple[str, ...], in_cluster: str, kubeconfig: Path | None, site_label: str | None,
    rack_label: str | None, timeout_s: float, output: Path | None, update: bool,
) -> int:  # fmt: skip
    """Make an inventory from clusters, or add to one what it lacks of them.

    Only reads from the clusters. What is in the file stays, comments too; a file that is there is
    written with --update only, else the difference is shown and the exit code is 1. What no cluster
    knows, such as management addresses, is listed.
    """
    from gameday.cli.inventory_import import Wish, import_inventory

    return import_inventory(Wish(contexts, in_cluster, kubeconfig, site_label, rack_label, output,
                                 update, timeout_s))  # fmt: skip


def differences(
    estate: Inventory, timeout_s: float = TIMEOUT_S, site_label: str | None = None,
    rack_label: str | None = None,
) -> list[Advice]:  # fmt: skip
    """What an inventory and its clusters say differently; clusters are asked.

    Args:
        site_label, rack_label: as ``drift`` has them.

    Raises:
        InvalidInput: where it names no cluster.
    """
    from gameday.cli.run import enter_netns
    from gameday.conduct.kube_ask import ask_all
    from gameday.errors import InvalidInput
    from gameday.plan.kube_drift import drift

    if not estate.clusters:
        raise InvalidInput(f"{estate.source}: no site names a cluster",
                           "set gameday_kubeconfig and gameday_context on sites")  # fmt: skip
    enter_netns(estate.controller_netns)
    return drift(estate, ask_all(estate.clusters, timeout_s), site_label, rack_label)


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
