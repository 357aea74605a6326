# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL: a primary in Frankfurt that streams to a standby in London, asynchronously."""

from __future__ import annotations

from gameday.lab import topology as t
from gameday.lab.parts import DATABASE_PASSWORD, Part, service

HOME = "/var/lib/postgresql"
DATA = f"{HOME}/data"
HBA_FILE = "/etc/gameday-lab/pg_hba.conf"
PRIMARY = "fra-1"

HBA = """\
local all all trust
host all postgres 127.0.0.1/32 trust
host all gameday 127.0.0.1/32 scram-sha-256
host all gameday 198.18.0.0/15 scram-sha-256
host replication gameday 198.18.0.0/15 scram-sha-256
"""


def part(node: t.Node) -> Part:
    """The server on role postgresql; the user ``gameday`` has the password ``gameday``."""
    if "user" in node.roles:
        return Part(DATABASE_PASSWORD)
    if "postgresql" not in node.roles:
        return Part()
    role = "primary" if node.name == PRIMARY else "standby"
    argv = ("/usr/bin/python3", "/etc/gameday-lab/postgres.py", role, DATA, HBA_FILE,
            t.v4(t.node(PRIMARY)), t.v4(node))  # fmt: skip
    files = {
        "gameday-lab/pg_hba.conf": HBA,
        "gameday-lab/postgres.py": (t.FILES / "postgres.py").read_text(encoding="utf-8"),
    }
    files |= DATABASE_PASSWORD
    return Part(files, [service("postgres", *argv)], ("postgresql",), (HOME,))
