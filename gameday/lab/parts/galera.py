# SPDX-License-Identifier: Apache-2.0
"""MariaDB with Galera: one member in each main site and one beside the witness."""

from __future__ import annotations

from gameday.lab import topology as t
from gameday.lab.parts import DATABASE_PASSWORD, Part, service

HOME = "/var/lib/mysql"
DATA = f"{HOME}/data"


def part(node: t.Node) -> Part:
    """The member on role galera; the user ``gameday`` has the password ``gameday``."""
    members = t.with_role("galera")
    if "user" in node.roles:
        return Part(DATABASE_PASSWORD)
    if node not in members:
        return Part()
    argv = ("/usr/bin/python3", "/etc/gameday-lab/galera.py", node.name, DATA, t.v4(node),
            t.v4(members[0]), ",".join(t.v4(one) for one in members))  # fmt: skip
    files = {"gameday-lab/galera.py": (t.FILES / "galera.py").read_text(encoding="utf-8")}
    files |= DATABASE_PASSWORD
    return Part(files, [service("mariadb", *argv)], ("mariadb-server", "galera-4"), (HOME,))
