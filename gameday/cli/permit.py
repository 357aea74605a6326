# SPDX-License-Identifier: Apache-2.0
"""What must hold before any run is begun, whichever command begins it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from gameday.drills.approvals import Approval
    from gameday.experiment.load import Loaded
    from gameday.plan import Inventory, Plan
    from gameday.plan.policy import Freeze
    from gameday.report.sign import SigningKey

APPROVALS = click.option(
    "--approvals", type=click.Path(path_type=Path),
    help="Where approvals are kept; by default the directory approvals in --reports.",
)  # fmt: skip


def alone(inventory: Inventory, what: str) -> AbstractContextManager[None]:
    """Hold the estate's locks while a command works on it.

    Raises:
        CannotRun: where another run is going on.
    """
    from gameday.drills import lock

    return lock.hold((node.host for node in inventory.nodes), what)


def not_frozen(inventory: Inventory, plan: Plan) -> None:
    """Nothing is broken at a time that the inventory excludes.

    Raises:
        Refused: where the run, from now to its planned end, would reach into a freeze.
    """
    from gameday.errors import Refused

    freeze = freeze_now(inventory, plan)
    if freeze is not None:
        raise Refused(
            f"{inventory.source}: {freeze_text(freeze)}",
            "wait for its end, or have gameday_policy changed by who owns it",
        )


def freeze_text(freeze: Freeze) -> str:
    """A freeze in words."""
    return f"nothing is broken from {freeze.begins} to {freeze.ends}: {freeze.why}"


def freeze_now(inventory: Inventory, plan: Plan) -> Freeze | None:
    """The freeze that a run would reach into, from now to its planned end."""
    from datetime import UTC, datetime, timedelta

    from gameday import clock

    now = datetime.fromtimestamp(clock.wall_ns() // clock.NS_PER_S, UTC)
    line = plan.timeline
    length = timedelta(seconds=line.steady_s + line.faults_end_s + line.recover_s)
    return inventory.policy.freeze_at(now, now + length)


def approved(  # noqa: PLR0917 - everything that an approval is about
    text: bytes, loaded: Loaded, inventory: Inventory, signing_key: SigningKey, directory: Path,
    allowed_signers: Path | None, at_ns: int | None = None,
) -> list[Approval]:  # fmt: skip
    """The approvals of a run at a wall-clock moment (now), where the policy asks for some.

    Raises:
        Refused: where they are missing or stale.
    """
    if not inventory.policy.approvals:
        return []
    from gameday.drills import approvals
    from gameday.drills.subject import subject
    from gameday.report.places import default_allowed_signers

    return approvals.require(
        directory, subject(text, loaded, inventory), inventory.policy, signing_key,
        allowed_signers or default_allowed_signers(), at_ns,
    )  # fmt: skip


def unplanned(inventory: Inventory) -> None:
    """A command that makes its plan from what it measures cannot have been approved before.

    Raises:
        Refused: where the inventory's policy asks for approvals.
    """
    from gameday.errors import Refused

    if inventory.policy.approvals:
        raise Refused(
            f"{inventory.source} asks for {inventory.policy.approvals} approvals of every run",
            "keep the experiment with gameday excurse --save … --plan, have that approved, and "
            "run it with gameday run",
        )
