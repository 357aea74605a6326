# SPDX-License-Identifier: Apache-2.0
"""Ansible module: what a node has of all that gameday brings to it. Changes nothing.

Runs on nodes: standard library only, Python 3.9.
"""

from __future__ import annotations

import json
import os
import platform
import pwd
import re
import shutil
import subprocess
from pathlib import Path

DOCUMENTATION = """
module: gameday_node
short_description: Says what a node has of all that gameday brings to it
options:
  user: {description: The user that gameday logs in as., type: str, required: true}
  commands: {description: Programs that must be there., type: list, elements: str}
  modules: {description: Kernel modules that are wanted., type: list, elements: str}
"""

POLICY, STATE = Path("/etc/gameday"), Path("/var/lib/gameday")
BEFORE = POLICY / "before.json"
LEASE = re.compile(r"[0-9a-f]{8}\.json")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
OURS = re.compile(rb"/(var/lib/gameday/agent/|etc/gameday/agent-)")
FILES = ("/etc/gameday", "/etc/sudoers.d/gameday", "/etc/modules-load.d/gameday.conf",
         "/etc/systemd/system/gameday-boot.service", "/var/lib/gameday",
         "/etc/systemd/system/multi-user.target.wants/gameday-boot.service")  # fmt: skip
"""All that ``prepare`` and the agent leave outside the user's home."""


def look(user, commands, modules):
    """Everything, as JSON."""
    return {
        "user": user_of(user),
        "before": before(),
        "leases": leases(STATE / "ledger"),
        "processes": processes(Path("/proc")),
        "missing": [name for name in commands if not shutil.which(name, path=PATH)],
        "modules": {name: module(name) for name in modules},
        "systemd": os.path.isdir("/run/systemd/system"),
        "family": family(Path("/etc/os-release")),
        "kernel": platform.release(),
        "agents": sorted(str(one) for one in POLICY.glob("agent-*.pyz")),
        "left": [one for one in FILES if os.path.lexists(one)],
    }


def user_of(name):
    """Home of a user, and links where its keys should be; empty where there is no user."""
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        return {}
    keys = Path(found.pw_dir) / ".ssh"
    odd = [str(one) for one in (keys, keys / "authorized_keys") if one.is_symlink()]
    return {"home": found.pw_dir, "odd": odd}


def before():
    """What was there before the first ``prepare``; empty where nobody prepared the node."""
    if not BEFORE.exists():
        return {}
    return json.loads(BEFORE.read_text(encoding="utf-8"))


def leases(ledger):
    """Leases that may still have an effect on this node."""
    if not ledger.is_dir():
        return []
    return sorted(one.name[:8] for one in ledger.iterdir() if LEASE.fullmatch(one.name))


def processes(proc):
    """Processes of the agent: a session, a probe loop, or the guard of a lease."""
    found = []
    for one in proc.iterdir():
        if not one.name.isdigit():
            continue
        try:
            words = (one / "cmdline").read_bytes().split(b"\0")
        except OSError:
            # It ended meanwhile.
            continue
        # An interpreter that runs the agent, not an editor that shows one of its files.
        if b"python" in words[0] and any(OURS.match(word) for word in words[1:4]):
            found.append(int(one.name))
    return sorted(found)


def module(name):
    """ "loaded" (or part of the kernel), "available", or "missing"."""
    if os.path.isdir("/sys/module/" + name):
        return "loaded"
    tool = shutil.which("modprobe", path=PATH)
    if tool is None:
        return "missing"
    done = subprocess.run([tool, "--dry-run", "--show-depends", name], check=False,
                          capture_output=True, text=True)  # fmt: skip
    if done.returncode != 0:
        return "missing"
    return "loaded" if done.stdout.startswith("builtin") else "available"


def family(release):
    """ "debian" or "rhel" with all that is made of them; else what the system calls itself."""
    if not release.exists():
        return "unknown"
    lines = release.read_text(encoding="utf-8").splitlines()
    pairs = dict(line.split("=", 1) for line in lines if "=" in line)
    names = [pairs.get(name, "").strip("\"'") for name in ("ID", "ID_LIKE")]
    words = " ".join(names).split()
    for own, others in (("debian", {"debian", "ubuntu"}), ("rhel", {"rhel", "fedora", "centos"})):
        if others & set(words):
            return own
    return words[0] if words else "unknown"


def main():
    """Answer Ansible."""
    from ansible.module_utils.basic import AnsibleModule

    words = {"type": "list", "elements": "str", "default": []}
    ansible = AnsibleModule(
        {"user": {"type": "str", "required": True}, "commands": words, "modules": words},
        supports_check_mode=True,
    )
    if os.geteuid() != 0:
        ansible.fail_json(msg="this needs root: name an administrator with --as")
    ansible.exit_json(changed=False, found=look(**ansible.params))


if __name__ == "__main__":
    main()
