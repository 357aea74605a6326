# SPDX-License-Identifier: Apache-2.0
"""A node that was cleaned: nothing of gameday is left, and the user may not be root."""

from __future__ import annotations

import pytest
from testinfra.host import Host

from gameday.nodes.suites.conftest import Told
from gameday.nodes.suites.test_ended import (
    test_no_guard_lives,
    test_no_lease_is_open,
    test_nothing_carries_the_tag,
)

__all__ = ["test_no_guard_lives", "test_no_lease_is_open", "test_nothing_carries_the_tag"]

BROUGHT = ("/etc/gameday", "/etc/sudoers.d/gameday", "/etc/modules-load.d/gameday.conf",
           "/var/lib/gameday", "/etc/systemd/system/gameday-boot.service",
           "/etc/systemd/system/multi-user.target.wants/gameday-boot.service")  # fmt: skip


@pytest.mark.parametrize("path", BROUGHT)
def test_nothing_is_left(host: Host, path: str) -> None:
    # A link to nowhere counts as well.
    assert host.run("test -e %s || test -L %s", path, path).rc == 1, f"still there: {path}"


def test_user_may_not_run_the_agent(host: Host, told: Told) -> None:
    user = host.user(told.user)
    if not user.exists:
        return
    # A user that was there before stays, without what gameday gave it.
    assert not host.file(f"{user.home}/.gameday").exists, "agents are left in its home"
    keys = host.file(f"{user.home}/.ssh/authorized_keys")
    content = keys.content_string if keys.exists else ""
    assert f"restrict {told.key}" not in content.splitlines(), "gameday's key still opens it"
