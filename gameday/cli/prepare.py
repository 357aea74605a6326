# SPDX-License-Identifier: Apache-2.0
"""``gameday nodes``: prepare nodes for gameday, look whether they are, clean them of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gameday.cli.options import INVENTORY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gameday.nodes.job import Job
    from gameday.nodes.outcome import Outcome

NODES = click.argument("nodes", nargs=-1, metavar="[NODE]...")


def _login(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that say who logs in, and for whom; shared by all three."""
    for option in (
        click.option("--ask-sudo-password", is_flag=True,
                     help="Ask for the password that sudo wants of the administrator."),
        click.option("--authorize", type=click.Path(path_type=Path), metavar="FILE",
                     help="Public key that opens the user; else the one of the inventory's."),
        click.option("--user", default="", help="The user to make; else the inventory's "
                                                "ansible_user."),
        click.option("--login-key", type=click.Path(path_type=Path), metavar="FILE",
                     help="The administrator's private key; else the inventory's."),
        click.option("--as", "login", default="", metavar="USER",
                     help="Administrator to log in as, who may use sudo."),
    ):  # fmt: skip
        command = option(command)
    return command


@click.group()
def nodes() -> None:
    """Prepare nodes for gameday, look whether they are, clean them of it."""


@nodes.command()
@NODES
@INVENTORY
@_login
@click.option("--check", is_flag=True, help="Change nothing; say what would be changed.")
@click.option("--diff", is_flag=True, help="Say how.")
def prepare(check: bool, diff: bool, **told: Any) -> int:
    """Give each NODE (default: all) a user of gameday's own, who may run its agent alone.

    Also what faults need: packages, kernel modules, a unit that ends leases after a reboot.
    Nothing is changed where all is there. A node where a step fails is undone, and the others go
    on. Exit code 0 where every node is prepared, 3 where one is not.
    """
    from gameday.errors import CannotRun
    from gameday.measures.words import count

    job = _job("prepare", check=check, diff=diff, **told)
    found = _run(job)
    problems = _problems(found)
    if problems:
        raise CannotRun(
            f"{len(problems)} of {count(len(found), 'node')} not prepared", problems=problems
        )
    changed = sum(bool(one.changed) for one in found.values())
    word = "would be changed" if check else "changed"
    click.echo(f"{count(len(found), 'node')} looked at, {changed} {word}" if check else
               f"{count(len(found), 'node')} prepared, {changed} {word}")  # fmt: skip
    return 0


@nodes.command()
@NODES
@INVENTORY
@_login
@click.option("--diff", is_flag=True, help="Say how a node differs.")
@click.option("--deep", is_flag=True, help="Also prove it from outside, by testinfra.")
@click.option("--expect", type=click.Choice(["prepared", "armed", "ended", "clean"]),
              default="prepared", show_default=True, help="What --deep shall prove.")  # fmt: skip
def check(diff: bool, deep: bool, expect: str, **told: Any) -> int:
    """Say whether each NODE (default: all) is prepared for this version of gameday.

    Changes nothing. Exit code 0 where all are, 1 where one is not, 3 where one could not be
    looked at.
    """
    from gameday.errors import EXIT_NOT_MET, CannotRun
    from gameday.measures.words import count

    job = _job("prepare", check=True, diff=diff, **told)
    if deep:
        from gameday.nodes.deep import prove

        return prove(job, expect, click.echo)
    found = _run(job, quiet=not diff)
    problems = _problems(found)
    for one in found.values():
        if one.ok:
            lacks = "not prepared; lacks: " + ", ".join(one.changed)
            click.echo(f"{one.node}: {lacks if one.changed else 'prepared'}")
    if problems:
        raise CannotRun(
            f"{len(problems)} of {count(len(found), 'node')} not looked at", problems=problems
        )
    return EXIT_NOT_MET if any(one.changed for one in found.values()) else 0


@nodes.command()
@NODES
@INVENTORY
@_login
@click.option("--check", is_flag=True, help="Change nothing; say what would be removed.")
@click.option("--diff", is_flag=True, help="Say how.")
def clean(check: bool, diff: bool, **told: Any) -> int:
    """Take back from each NODE (default: all) what prepare brought, and all of the agent.

    Packages, kernel modules and a user that were there before stay. Refused on nodes with an open
    lease or a run under way. Exit code 0 where every node is clean, 4 where one is not.
    """
    from gameday.errors import NotProvenClean
    from gameday.measures.words import count

    job = _job("clean", check=check, diff=diff, **told)
    found = _run(job)
    problems = _problems(found)
    if problems:
        raise NotProvenClean(
            f"{len(problems)} of {count(len(found), 'node')} not clean", problems=problems
        )
    click.echo(f"{count(len(found), 'node')} {'looked at' if check else 'clean'}")
    return 0


def _job(
    playbook: str, *, nodes: tuple[str, ...], inventory: Path, login: str,
    login_key: Path | None, user: str,
    authorize: Path | None, ask_sudo_password: bool, check: bool, diff: bool,
) -> Job:  # fmt: skip
    from gameday.cli.nodes import chosen
    from gameday.cli.run import require_files
    from gameday.nodes import prepare as jobs
    from gameday.plan import load_inventory

    estate = load_inventory(inventory)
    require_files(estate)
    password = ""
    if ask_sudo_password:
        password = str(click.prompt("Password for sudo", hide_input=True, err=True))
    return jobs.job(
        playbook, estate, chosen(estate, nodes, vantages_too=True), login=login,
        login_key=login_key, user=user, key_file=authorize, check=check, diff=diff,
        sudo_password=password,
    )  # fmt: skip


def _run(job: Job, quiet: bool = False) -> Mapping[str, Outcome]:
    from gameday.nodes.job import run

    def tell(line: str) -> None:
        if not quiet:
            click.echo(line)

    return run(job, tell)


def _problems(found: Mapping[str, Outcome]) -> list[str]:
    return [one.problem() for _, one in sorted(found.items()) if not one.ok]
