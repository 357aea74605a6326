# SPDX-License-Identifier: Apache-2.0
"""``gameday measure``, ``report``, ``verify`` and ``keygen``."""

from __future__ import annotations

from pathlib import Path

import click

from gameday.cli.options import ALLOWED, KEY, REPORTS, RUN, ask_passphrase


@click.command()
@RUN
@REPORTS
@KEY
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--write", is_flag=True, help="Finish a run that ended but was never signed.")
@click.option(
    "--experiment", type=click.Path(path_type=Path),
    help="Judge by this file's objectives instead of those that were planned.",
)  # fmt: skip
def measure(  # noqa: PLR0917 - an option each
    run_name: str | None,
    reports: Path,
    key: Path | None,
    as_json: bool,
    write: bool,
    experiment: Path | None,
) -> int:
    """Judge RUN (default: the newest) again with today's code; touches no node and no file.

    With --write, a run whose controller died after it had ended is judged, rendered and
    signed. A run that is signed is never written again.

    With --experiment, the faults, probes and samples are those of the run, and the objectives
    those of another file; the output says so, and nothing of it can be signed.
    """
    from gameday.errors import InvalidInput
    from gameday.record.record import load
    from gameday.report import finish_run
    from gameday.report.build import build_report, canonical
    from gameday.report.files import ENVELOPES
    from gameday.report.other_objectives import report_with
    from gameday.report.sign import load_signing_key
    from gameday.report.summary import report_lines, summary_lines

    directory = find_run(reports, run_name)
    if write and experiment:
        raise InvalidInput("--write signs what was planned", "leave out --experiment")
    if write:
        if all((directory / name).exists() for name in ENVELOPES):
            raise InvalidInput(f"{directory} is signed already", "leave out --write")
        require_ended(directory)
        report = finish_run(directory, load_signing_key(key, ask_passphrase))
        lines = summary_lines(directory)
    else:
        record = load(directory)
        report = report_with(record, experiment) if experiment else build_report(record)
        lines = report_lines(report)
    if as_json:
        click.echo(canonical(report).decode(), nl=False)
    else:
        click.echo("\n".join(lines))
    return int(report["verdict"]["exit_code"])


@click.command()
@RUN
@REPORTS
@ALLOWED
def verify(run_name: str | None, reports: Path, allowed_signers: Path | None) -> int:
    """Check that RUN (default: the newest) is what somebody trusted signed, byte for byte.

    RUN may be the directory of a search: then every run of it is checked, and that the answer
    follows from them.

    Exit code 0: it is. 1: it is not, and every file that differs is named. 3: it could
    not be checked.
    """
    from gameday.drills.approvals import recorded
    from gameday.report.places import default_allowed_signers
    from gameday.report.verify import verify_run
    from gameday.report.verify_search import is_search
    from gameday.report.words import VERDICT_TITLE

    directory = find_run(reports, run_name)
    if is_search(directory):
        return _verify_search(directory, allowed_signers or default_allowed_signers())
    verified = verify_run(directory, allowed_signers or default_allowed_signers())
    allowed = recorded(verified.files, allowed_signers or default_allowed_signers())
    predicate = verified.statement["predicate"]
    for one in allowed:
        click.echo(f"✓ approved by {one.principals}  {one.fingerprint}")
    for signer in verified.signers:
        click.echo(f"✓ signed by {signer.principals}  {signer.fingerprint}")
    click.echo(f"  run {predicate['run']['id']}, {predicate['experiment']}, all files unchanged:")
    for subject in verified.statement["subject"]:
        click.echo(f"    {subject['digest']['sha256']}  {subject['name']}")
    click.echo(f"  verdict: {VERDICT_TITLE[predicate['verdict']['verdict']].lower()}")
    return 0


def _verify_search(directory: Path, allowed_signers: Path) -> int:
    """As ``verify``, of a search."""
    from gameday.report.verify_search import verify_search

    found = verify_search(directory, allowed_signers)
    for signer in found.signers:
        click.echo(f"✓ signed by {signer.principals}  {signer.fingerprint}")
    click.echo(
        f"  search between {' and '.join(found.data['asked']['sites'])}, all files unchanged:"
    )
    for one in found.data["runs"]:
        click.echo(f"    {one['rtt_us'] / 1000:g} ms: {one['held']}  {one['run']}")
    click.echo(f"  follows from these runs: {found.data['answer']}")
    if not found.redrawn:
        click.echo(f"  the page was drawn by gameday {found.data.get('gameday')}; its numbers are "
                   "checked, its drawing is only signed")  # fmt: skip
    return 0


@click.command()
@RUN
@REPORTS
@ALLOWED
@click.option("--open", "open_", is_flag=True, help="Open the page in a browser.")
def report(run_name: str | None, reports: Path, allowed_signers: Path | None, open_: bool) -> int:
    """Verify RUN (default: the newest), then summarise it and say where its page is."""
    import json

    from gameday.record.record import REPORT
    from gameday.report.files import HTML
    from gameday.report.places import default_allowed_signers
    from gameday.report.summary import report_lines
    from gameday.report.verify import verify_run

    directory = find_run(reports, run_name)
    verified = verify_run(directory, allowed_signers or default_allowed_signers())
    page = directory / HTML
    for line in report_lines(json.loads(verified.files[REPORT]), str(page)):
        click.echo(line)
    click.echo("Signed by: " + ", ".join(signer.principals for signer in verified.signers))
    if open_:
        click.launch(str(page.resolve()))
    return 0


@click.command()
@click.option("--principal", help="Whom the key stands for; by default you at this machine.")
@click.option("--passphrase", is_flag=True, help="Ask for a passphrase that encrypts the key.")
@click.option("--key", type=click.Path(path_type=Path), help="Where to write it.")
@click.option("--if-missing", is_flag=True, help="Say nothing and succeed where a key is there.")
def keygen(principal: str | None, passphrase: bool, key: Path | None, if_missing: bool) -> int:
    """Make an Ed25519 signing key and trust it on this machine. Never overwrites one."""
    import getpass
    import socket

    from gameday.report.keygen import generate
    from gameday.report.places import default_key

    if if_missing and (key or default_key()).exists():
        return 0
    secret = ""
    if passphrase:
        secret = click.prompt("Passphrase", hide_input=True, confirmation_prompt=True)
    name = principal or f"{getpass.getuser()}@{socket.gethostname()}"
    made = generate(name, secret.encode(), key)
    click.echo(f"signing key      {made.private}")
    click.echo(f"public key       {made.public}  {made.fingerprint}")
    click.echo(f"trusted here by  {made.allowed_signers}  as {made.principal}")
    return 0


def find_run(reports: Path, name: str | None) -> Path:
    """A directory by its path, whatever is in it; else a run by name, else the newest.

    Raises:
        InvalidInput: where there is none, or several match.
    """
    from gameday.conduct import rundir

    if name and Path(name).is_dir():
        return Path(name)
    return rundir.find(reports, name)


def require_ended(directory: Path) -> None:
    """A run that may still hold leases is not judged for good.

    Raises:
        InvalidInput: where the journal has no end.
    """
    from gameday.errors import InvalidInput
    from gameday.record import kinds
    from gameday.record.record import load

    if not any(True for _ in load(directory).of_kind(kinds.RUN_ENDED)):
        raise InvalidInput(f"{directory} has not ended", "finish it with `gameday recover`")
