# SPDX-License-Identifier: Apache-2.0
"""A node with a lease: its receipt is on disk, and somebody lives who ends it."""

from __future__ import annotations

from testinfra.host import Host

LEDGER = "/var/lib/gameday/ledger"


def leases(host: Host) -> list[str]:
    """Open leases by the node's ledger."""
    names = host.run("ls -1 %s", LEDGER).stdout.split()
    return [one[:8] for one in names if one.count(".") == 1 and one.endswith(".json")]


def test_a_receipt_is_on_disk(host: Host) -> None:
    assert leases(host), "the ledger has no open lease"
    mode = host.file(LEDGER).mode
    assert mode == 0o700, f"others can look into the ledger (mode {mode:04o})"


def test_every_lease_has_a_reaper_that_lives(host: Host) -> None:
    assert leases(host), "the ledger has no open lease"
    for lease in leases(host):
        pid = host.check_output("cat %s", f"{LEDGER}/{lease}.reap.pid").strip()
        command = host.file(f"/proc/{pid}/cmdline").content
        assert lease.encode() in command, f"nobody would end lease {lease}"
