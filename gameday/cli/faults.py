# SPDX-License-Identifier: Apache-2.0
"""``gameday faults`` and ``gameday faults check``: what can be broken, and where."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gameday.cli.options import INVENTORY, LOG

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gameday.conduct.capability import Ability, Kind, Parameter
    from gameday.errors import GamedayError

WIDTH = 100


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.pass_context
def faults(ctx: click.Context, as_json: bool) -> int:
    """List the kinds of faults, each with its parameters, units and defaults."""
    if ctx.invoked_subcommand:
        return 0
    import dataclasses
    import json

    from gameday.conduct.capability import catalogue

    found = catalogue()
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(kind) for kind in found], indent=2))
        return 0
    for kind in found:
        for line in kind_lines(kind):
            click.echo(line)
    return 0


@faults.command()
@click.argument("nodes", nargs=-1, metavar="[NODE]...")
@INVENTORY
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@LOG
def check(nodes: tuple[str, ...], inventory: Path, as_json: bool, log_level: str) -> int:
    """Ask each NODE (default: all that may get a fault) which kinds it can have.

    Changes nothing. Exit code 0 where every node was asked, 3 where one was not reached.
    """
    import dataclasses
    import json

    from gameday.cli.logs import configure
    from gameday.cli.nodes import chosen, fleet_of
    from gameday.conduct import capability
    from gameday.errors import EXIT_UNKNOWN
    from gameday.plan import load_inventory

    configure(log_level)
    estate = load_inventory(inventory)
    fleet = fleet_of(estate, chosen(estate, nodes))
    try:
        with_bmc = {node.name for node in estate.nodes if node.bmc}
        with_cluster = {node.name for node in estate.nodes if estate.cluster(node.site)}
        abilities, errors = capability.check(fleet, with_bmc, with_cluster)
    finally:
        fleet.close()
    if as_json:
        shown: dict[str, Any] = {
            "nodes": {node: dataclasses.asdict(one) for node, one in sorted(abilities.items())},
            "errors": {node: error.message for node, error in sorted(errors.items())},
        }
        click.echo(json.dumps(shown, indent=2))
    else:
        kinds = [kind.kind for kind in capability.catalogue()]
        for line in check_lines(kinds, abilities, errors):
            click.echo(line)
    return EXIT_UNKNOWN if errors else 0


def kind_lines(kind: Kind) -> list[str]:
    """A kind for people; pure."""
    lines = [
        f"{kind.kind}: {kind.summary}",
        f"  ended on time by: {kind.keeper}",
    ]
    width = max((len(one.name) for one in kind.parameters), default=0)
    for one in kind.parameters:
        facts = "; ".join(part for part in (_type(one), _default(one)) if part)
        lines.append(f"  {one.name:<{width}}  {facts}")
        lines += _wrapped(one.text, " " * (width + 4))
    return [*lines, ""]


def _type(one: Parameter) -> str:
    if one.choices:
        return " | ".join(one.choices)
    return " ".join(
        part
        for part in (
            one.type, one.unit, f"{one.bounds[0]} to {one.bounds[1]}" if one.bounds else "",
        )
        if part
    )  # fmt: skip


def _default(one: Parameter) -> str:
    if one.required:
        return "required"
    if one.default in (None, "", []):
        return ""
    return f"default {str(one.default).lower() if one.type == 'true or false' else one.default}"


def _wrapped(text: str, indent: str) -> list[str]:
    import textwrap

    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent)


def check_lines(
    kinds: Iterable[str], abilities: Mapping[str, Ability], errors: Mapping[str, GamedayError]
) -> list[str]:
    """What every node can have, for people: a table, then each reason once; pure."""
    wanted = list(kinds)
    names = [*sorted(abilities), *sorted(errors)]
    width = max([4, *(len(name) for name in names)])
    marks = [" " * (width + 2) + "  ".join(wanted)]
    reasons: dict[tuple[str, str], list[str]] = {}
    for node, one in sorted(abilities.items()):
        cells = []
        for kind in wanted:
            cells.append(f"{'no' if kind in one.reasons else 'yes':<{len(kind)}}")
            if kind in one.reasons:
                reasons.setdefault((kind, one.reasons[kind]), []).append(node)
        marks.append(f"{node:<{width}}  {'  '.join(cells)}".rstrip())
    marks += [f"{node:<{width}}  not asked" for node in sorted(errors)]
    for (kind, reason), nodes in reasons.items():
        marks += ["", f"{kind} is not available on {', '.join(nodes)}:", *_wrapped(reason, "  ")]
    for node, error in sorted(errors.items()):
        hint = f" ({error.hint})" if error.hint else ""
        marks += ["", f"{node} was not asked:", *_wrapped(error.message + hint, "  ")]
    return marks
