# SPDX-License-Identifier: Apache-2.0
"""A node whose leases have ended: nothing that carries gameday's tag is there, by its own tools."""

from __future__ import annotations

import re

import pytest
from testinfra.host import Host

from gameday.nodes.suites.test_armed import leases

TAGGED = {
    "iptables-save": r"GD-[0-9a-f]{8}|gameday:[0-9a-f]{8}",
    "ip6tables-save": r"GD-[0-9a-f]{8}|gameday:[0-9a-f]{8}",
    "ipset list -n": r"^gd-[0-9a-f]{8}",
    "tc qdisc show": r"qdisc \w+ 9ad0:",
    "systemctl list-units --all --plain --no-legend 'gameday-*.timer'": r"gameday-[0-9a-f]{8}",
}
"""Command to what its output must not have."""


def test_no_lease_is_open(host: Host) -> None:
    found = leases(host)
    assert not found, f"open: {', '.join(found)}"


@pytest.mark.parametrize("command", TAGGED)
def test_nothing_carries_the_tag(host: Host, command: str) -> None:
    if not host.exists(command.split(maxsplit=1)[0]):
        # What is not installed can hold nothing.
        return
    done = host.run(command)
    if command.startswith("systemctl") and not host.file("/run/systemd/system").exists:
        return
    assert done.rc == 0, f"cannot look: {done.stderr.strip()}"
    found = re.search(TAGGED[command], done.stdout, re.MULTILINE)
    assert not found, f"still there: {found.group(0) if found else ''}"


def test_no_guard_lives(host: Host) -> None:
    listed = host.check_output("cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '")
    guard = re.search(r"/var/lib/gameday/agent/\w+ (keep|reap|last) \w{8}", listed)
    assert not guard, f"still runs: {guard.group(0) if guard else ''}"
