# SPDX-License-Identifier: Apache-2.0
"""Options that several commands share, and how they ask for a passphrase."""

from __future__ import annotations

from pathlib import Path

import click

INVENTORY = click.option(
    "-i", "--inventory", required=True, type=click.Path(path_type=Path),
    help="Ansible inventory of the estate.",
)  # fmt: skip
AT = click.option(
    "--at", multiple=True, metavar="NODE",
    help="Who holds the lease, such as a router between; else both ends.",
)  # fmt: skip
URL = click.option(
    "--url", default="", help="What users fetch meanwhile; else nobody plays the user."
)
USERS = click.option(
    "--users", "role", default="user", show_default=True, help="Role of the users' nodes."
)
RUN = click.argument("run_name", metavar="[RUN]", required=False)
REPORTS = click.option(
    "--reports", type=click.Path(path_type=Path), default=Path("reports"), show_default=True,
    help="Where runs are kept.",
)  # fmt: skip
KEY = click.option(
    "--key", type=click.Path(path_type=Path), help="OpenSSH Ed25519 key that signs the report."
)
ALLOWED = click.option(
    "--allowed-signers", type=click.Path(path_type=Path),
    help="OpenSSH allowed_signers file: whose signatures count.",
)  # fmt: skip
LOG = click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning"]), default="warning",
    show_default=True, help="Log lines on standard error, as JSON.",
)  # fmt: skip


def ask_passphrase(path: str) -> bytes:
    """Asked by the signing code where a key is encrypted."""
    return str(click.prompt(f"Passphrase of {path}", hide_input=True, err=True)).encode()
