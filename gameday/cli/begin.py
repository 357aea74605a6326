# SPDX-License-Identifier: Apache-2.0
"""One run from its files to its report, as ``gameday run`` and ``gameday schedule run`` do it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from gameday.drills.announce import Announcer
    from gameday.drills.approvals import Approval
    from gameday.experiment.load import Loaded
    from gameday.plan import Inventory, Plan
    from gameday.report.sign import SigningKey


@dataclass(frozen=True)
class Asked:
    """Files of a run.

    Attributes:
        approvals: their directory. allowed_signers, key: the defaults where None.
    """

    experiment: Path
    inventory: Path
    reports: Path
    approvals: Path
    allowed_signers: Path | None
    key: Path | None


@dataclass(frozen=True)
class Ready:
    """What the files hold; nothing of it has touched a node."""

    text: bytes
    loaded: Loaded
    inventory: Inventory
    plan: Plan
    signing_key: SigningKey


def prepare(asked: Asked, passphrase: Callable[[str], bytes] | None) -> Ready:
    """Read and check everything that a run is made of.

    Args:
        passphrase: asked where the signing key is encrypted; None refuses such a key.

    Raises:
        InvalidInput, Refused: with every mistake of the first file that has some.
    """
    from gameday.cli.run import require_files
    from gameday.experiment import load_experiment
    from gameday.plan import load_inventory, make_plan
    from gameday.report.sign import load_signing_key

    signing_key = load_signing_key(asked.key, passphrase)
    loaded = load_experiment(asked.experiment)
    inventory = load_inventory(asked.inventory)
    plan = make_plan(loaded, inventory)
    require_files(inventory, plan)
    return Ready(asked.experiment.read_bytes(), loaded, inventory, plan, signing_key)


def permitted(asked: Asked, ready: Ready) -> list[Approval]:
    """The approvals of a run, where its inventory asks for some.

    Raises:
        Refused: where they are missing or stale.
    """
    from gameday.cli import permit

    return permit.approved(
        ready.text, ready.loaded, ready.inventory, ready.signing_key, asked.approvals,
        asked.allowed_signers,
    )  # fmt: skip


def announcer(inventory: Inventory) -> Announcer:
    """Webhooks of the inventory's policy, reached from the network that we are in now."""
    from gameday.drills.announce import Announcer

    return Announcer(inventory.policy.announcements, lambda text: click.echo(text, err=True))


def carry_through(
    asked: Asked, ready: Ready, allowed: Sequence[Approval], tell: Announcer, drill: str = ""
) -> int:
    """Announce, run, sign, announce; how it went. The estate's locks are held.

    Args:
        drill: name of the schedule, for announcements.

    Raises:
        CannotRun: where it was given up before anything was armed.
        NotProvenClean: where something may be left.
    """
    from gameday.cli.run import carry_out, enter_netns

    with announced(tell, ready.plan, ready.signing_key.principal, drill) as result:
        enter_netns(ready.inventory.controller_netns)
        result.run, code = carry_out(
            ready.text, ready.inventory, ready.plan, asked.reports, ready.signing_key, allowed
        )
    return code


@dataclass
class Result:
    """Where the run is that was announced; filled in when it is known."""

    run: Path | None = None


@contextlib.contextmanager
def announced(tell: Announcer, plan: Plan, operator: str, drill: str = "") -> Iterator[Result]:
    """Announce a run before it begins, and its result however it ends.

    Raises:
        CannotRun: where an announcement that is required was not taken.
    """
    from gameday.drills import told
    from gameday.errors import CannotRun, InvalidInput, NotProvenClean
    from gameday.report.summary import read_report

    before = told.begins(plan, operator, drill)
    tell.begins(before)
    result = Result()
    try:
        yield result
    except NotProvenClean as error:
        tell.ends(told.did_not("not-clean", before, error.message))
        raise
    except (CannotRun, InvalidInput) as error:
        tell.ends(told.did_not("refused", before, error.message))
        raise
    except BaseException as error:
        tell.ends(told.did_not("failed", before, f"{type(error).__name__}"))
        raise
    if result.run is not None:
        tell.ends(told.ended(before, read_report(result.run), result.run.name))


@contextlib.contextmanager
def result_announced(tell: Announcer, run: Path) -> Iterator[None]:
    """Announce the result of a run that another controller began, once it has its report."""
    from gameday.drills import told
    from gameday.errors import EvidenceError
    from gameday.report.summary import read_report

    try:
        yield
    finally:
        # Without a report there is an error already that says so.
        with contextlib.suppress(EvidenceError):
            report = read_report(run)
            tell.ends(told.ended(told.head("ended", report["experiment"], ""), report, run.name))
