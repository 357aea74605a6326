# SPDX-License-Identifier: Apache-2.0
"""``gameday approve`` and ``gameday countersign``: signatures before a run and after it."""

from __future__ import annotations

from pathlib import Path

import click

from gameday.cli.options import ALLOWED, INVENTORY, KEY, REPORTS, RUN, ask_passphrase
from gameday.cli.permit import APPROVALS


@click.command()
@click.argument("experiment", type=click.Path(path_type=Path))
@INVENTORY
@click.option("--note", default="", help="A sentence that is signed with it.")
@click.option("--yes", is_flag=True, help="Do not show the plan and ask.")
@REPORTS
@APPROVALS
@KEY
def approve(  # noqa: PLR0917 - click passes every option by name
    experiment: Path, inventory: Path, note: str, yes: bool, reports: Path, approvals: Path | None,
    key: Path | None,
) -> int:  # fmt: skip
    """Sign that EXPERIMENT may be run on the estate of an inventory, exactly as it is now.

    Any change to the experiment, the inventory, its known_hosts or gameday itself makes the
    signature stale.
    """
    from gameday.cli.run import show
    from gameday.drills import approvals as signatures
    from gameday.drills.subject import subject
    from gameday.experiment import load_experiment
    from gameday.plan import load_inventory, make_plan
    from gameday.report.sign import load_signing_key

    signing_key = load_signing_key(key, ask_passphrase)
    loaded, found = load_experiment(experiment), load_inventory(inventory)
    about = subject(experiment.read_bytes(), loaded, found)
    if not yes:
        show(make_plan(loaded, found))
        click.confirm(f"\nSign this as {signing_key.principal}?", abort=True)
    path = signatures.approve(
        approvals or reports / signatures.DIRECTORY, about, signing_key, note
    )  # fmt: skip
    click.echo(f"approved by {signing_key.principal}: {path}")
    click.echo(f"  {about.digest}  {about.experiment}")
    if not found.policy.approvals:
        click.echo("  its inventory asks for no approvals: see gameday_policy")
    return 0


@click.command()
@RUN
@REPORTS
@ALLOWED
@KEY
def countersign(
    run_name: str | None, reports: Path, allowed_signers: Path | None, key: Path | None
) -> int:
    """Verify RUN (default: the newest), and sign it as well."""
    from gameday.cli.report import find_run
    from gameday.report.countersign import countersign_run
    from gameday.report.places import default_allowed_signers
    from gameday.report.sign import load_signing_key

    directory = find_run(reports, run_name)
    signing_key = load_signing_key(key, ask_passphrase)
    before = countersign_run(directory, signing_key, allowed_signers or default_allowed_signers())
    for signer in before.signers:
        click.echo(f"✓ signed by {signer.principals}  {signer.fingerprint}")
    click.echo(f"✓ and now by {signing_key.principal}  {signing_key.identity.fingerprint}")
    return 0
