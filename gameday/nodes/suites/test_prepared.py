# SPDX-License-Identifier: Apache-2.0
"""A node that is prepared: the user can run the agent as root, that one agent, and nothing else."""

from __future__ import annotations

import json
import re

import pytest
from testinfra.backend.base import CommandResult
from testinfra.host import Host

from gameday.nodes.suites.conftest import Told

REFUSED = re.compile(r"a password is required|not allowed to|may not run")
"""What sudo says where it refuses; whatever else fails proves nothing."""

FORBIDDEN = ("id", "{python} -c 1", "{python} {agent} serve", "{python} -I -S {agent} boot",
             "{python} -I -S /tmp/agent.pyz serve", "PYTHONPATH=/tmp {launch} serve")  # fmt: skip
PROGRAMS = ("ip", "tc", "iptables-save", "ip6tables-save", "ipset")


def test_user_is_opened_by_the_key(host: Host, told: Told) -> None:
    user = host.user(told.user)
    assert user.exists, f"no user {told.user}"
    keys = host.file(f"{user.home}/.ssh/authorized_keys")
    assert keys.exists and keys.user == told.user, f"no authorized_keys of {told.user}"
    assert f"restrict {told.key}" in keys.content_string.splitlines(), "another key, or none"


def test_only_root_can_change_the_agent(host: Host, told: Told) -> None:
    agent = host.file(told.agent)
    assert agent.exists, f"no {told.agent}: prepared for another version of gameday?"
    assert agent.sha256sum == told.sha256, "its digest is not this version's"
    for path in (told.agent, "/etc/gameday", "/etc", "/var/lib/gameday", told.python):
        # What a link points to counts: its own mode says nothing.
        mode, owner = host.check_output("stat -L -c '%%a %%u' %s", path).split()
        assert owner == "0", f"{path} belongs to user {owner}"
        assert int(mode, 8) & 0o022 == 0, f"{path} can be changed by others (mode {mode})"


def test_sudo_rule_is_valid(host: Host) -> None:
    rule = host.file("/etc/sudoers.d/gameday")
    assert rule.exists, "no /etc/sudoers.d/gameday"
    assert (rule.mode, rule.user) == (0o440, "root"), f"mode {rule.mode:04o} of {rule.user}"
    checked = host.run("visudo -c")
    assert checked.rc == 0, checked.stdout + checked.stderr


def as_user(host: Host, told: Told, command: str, stdin: str = "") -> CommandResult:
    """Run a shell command as the user, without sudo's help: root may not be in its rules."""
    return host.run("printf %%s %s | setpriv --reuid %s --regid %s --init-groups sh -c %s",
                    stdin, told.user, str(host.user(told.user).gid), command)  # fmt: skip


def test_user_starts_the_agent_as_root(host: Host, told: Told) -> None:
    question = json.dumps({"id": 1, "call": "clock", "with": {}}) + "\n"
    done = as_user(host, told, f"cd / && sudo -n {told.launch} serve", question)
    assert done.rc == 0, done.stderr.strip()
    assert json.loads(done.stdout)["ok"]["mono_ns"] > 0, done.stdout


@pytest.mark.parametrize("words", FORBIDDEN)
def test_user_may_run_nothing_else_as_root(host: Host, told: Told, words: str) -> None:
    command = words.format(python=told.python, agent=told.agent, launch=told.launch)
    done = as_user(host, told, f"cd / && sudo -n {command}")
    assert done.rc != 0, f"allowed: sudo {command}"
    assert REFUSED.search(done.stderr), f"sudo {command} failed otherwise: {done.stderr.strip()}"


def test_programs_that_faults_need_are_there(host: Host, told: Told) -> None:
    missing = [one for one in PROGRAMS if not told.vantage and not host.exists(one)]
    assert not missing, f"missing: {', '.join(missing)}"


def test_boot_unit_is_enabled(host: Host, told: Told) -> None:
    if not host.file("/run/systemd/system").is_directory:
        # Without systemd nothing is promised, and nothing shall pretend to be.
        assert not host.file("/etc/systemd/system/gameday-boot.service").exists
        return
    assert host.service("gameday-boot").is_enabled, "gameday-boot.service is not enabled"
    unit = host.check_output("systemctl cat gameday-boot.service")
    assert f"ExecStart={told.launch} boot" in unit, "it starts something else"
