# SPDX-License-Identifier: Apache-2.0
"""``gameday lab``: the three-site estate on this machine."""

from __future__ import annotations

import click

NAME = click.option(
    "--name", default="default", show_default=True, help="Which lab; several can be up at a time."
)


@click.group()
def lab() -> None:
    """A three-site estate on this machine, of real parts, in namespaces of its own.

    Needs root. Nothing of the machine's own network is touched.
    """


WITHOUT = click.option(
    "--without", multiple=True, metavar="PART", help="Leave an optional part out; repeatable."
)
WITH = click.option(
    "--with", "also", multiple=True, metavar="PART",
    help="Add a part that is off by default; repeatable.",
)  # fmt: skip


@lab.command()
@NAME
@WITHOUT
@WITH
def up(name: str, without: tuple[str, ...], also: tuple[str, ...]) -> int:
    """Bring the lab up; where it is up, put its etcd leader back in Frankfurt."""
    from gameday.lab import Lab

    for line in Lab(name).up(without, also):
        click.echo(line)
    return 0


@lab.command()
@NAME
def down(name: str) -> int:
    """Remove all of the lab, whatever is left of it."""
    from gameday.lab import Lab

    for line in Lab(name).down():
        click.echo(line)
    return 0


@lab.command()
@NAME
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def status(name: str, as_json: bool) -> int:
    """Say what answers and what does not. Exit code 0 only where all of it does, else 3."""
    import json

    from gameday.errors import EXIT_UNKNOWN
    from gameday.lab import Lab

    found = Lab(name).status()
    if as_json:
        click.echo(json.dumps(found, indent=1))
    else:
        for line in status_lines(name, found):
            click.echo(line)
    return 0 if found["healthy"] else EXIT_UNKNOWN


def status_lines(name: str, found: dict[str, object]) -> list[str]:
    """A status for people; pure."""
    word = "healthy" if found["healthy"] else "not healthy" if found["up"] else "down"
    lines = [f"lab {name}: {word}"]
    if found.get("leader"):
        lines.append(f"  etcd leader  {found['leader']}")
    if found.get("inventory"):
        lines.append(f"  inventory    {found['inventory']}")
    nodes = found.get("nodes")
    if isinstance(nodes, dict):
        width = max((len(str(one)) for one in nodes), default=0)
        for node, detail in nodes.items():
            services = ", ".join(detail.get("services", [])) or "-"
            lines.append(f"  {node:<{width}}  {detail.get('site', ''):<10}  {services}")
    rtt = found.get("rtt_ms")
    if isinstance(rtt, dict):
        lines += [f"  RTT {pair:<22} {value} ms" for pair, value in rtt.items()]
    problems = found.get("problems")
    if found["up"] and isinstance(problems, list):
        lines += [f"  ! {problem}" for problem in problems]
    return lines


@lab.command(context_settings={"ignore_unknown_options": True})
@NAME
@click.argument("node")
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED)
def exec(name: str, node: str, argv: tuple[str, ...]) -> int:
    """Run a command in NODE's namespaces, not through SSH: gameday lab exec fra-1 -- ip addr."""
    import subprocess

    from gameday.lab import Lab

    return subprocess.run(Lab(name).enter_argv(node, argv), check=False).returncode


@lab.command()
@NAME
def netns(name: str) -> int:
    """Print the path of the controller's network namespace."""
    from gameday.errors import CannotRun
    from gameday.lab import Lab

    handle = Lab(name).state / "ctl.netns"
    if not handle.exists():
        raise CannotRun(f"the lab {name} is not up", "gameday lab up")
    click.echo(str(handle))
    return 0


@lab.command()
@WITHOUT
@WITH
def check(without: tuple[str, ...], also: tuple[str, ...]) -> int:
    """Say what this machine lacks for the lab, if anything. Exit code 0: nothing; 3: the list."""
    from gameday.lab import optional, system

    parts = optional.chosen(without, also)
    system.check_machine(optional.programs(parts), optional.missing(parts))
    return 0
