# SPDX-License-Identifier: Apache-2.0
"""Uploads to a real sshd in a second namespace, over paths that are good, slow and broken.

A program for namespaces of its own, with /run and /var/tmp in memory; prints JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from gameday import clock
from gameday.errors import Unreachable
from gameday.transport import ssh

HOST = "198.18.0.2"
CONFIG = """\
ListenAddress {host}
HostKey {home}/host
AuthorizedKeysFile {home}/client.pub
PermitRootLogin yes
StrictModes no
UsePAM no
PidFile none
Subsystem sftp internal-sftp
"""
PATHS = {
    "good": [],
    "loses large packets": ["iptables-legacy", "-A", "OUTPUT", "-m", "length", "--length", "600:",
                            "-j", "DROP"],
    "slow": ["tc", "qdisc", "add", "dev", "near", "root", "tbf", "rate", "400kbit",
             "burst", "2kb", "limit", "100kb"],
}  # fmt: skip


def main(path: str, silent_s: float, whole_s: float, size: int) -> dict[str, Any]:
    """Upload ``size`` bytes over an old file; what happened, and what the node has then."""
    home = Path("/var/tmp/upload")
    home.mkdir()
    ssh.SILENT_MS, ssh.PUT_TIMEOUT_S = int(silent_s * 1000), whole_s  # type: ignore[misc,assignment]
    connection = ssh.Connection(_node(home))
    target = home / "file"
    target.write_bytes(b"old")
    if PATHS[path]:
        _run(PATHS[path])
    begin, content = clock.mono_ns(), os.urandom(size)
    try:
        connection.put(content, str(target))
        said = "done"
    except Unreachable as error:
        said = str(error)
    took = clock.mono_ns() - begin
    has = target.read_bytes()
    connection.close()
    return {"said": said, "took_s": took / clock.NS_PER_S,
            "has": "new" if has == content else "old" if has == b"old" else "damaged"}  # fmt: skip


def _node(home: Path) -> ssh.Address:
    """An sshd behind a veth pair; returns how to reach it."""
    for argv in (
        ["ip", "link", "set", "lo", "up"],
        ["ip", "netns", "add", "node"],
        ["ip", "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", "node"],
        ["ip", "addr", "add", "198.18.0.1/24", "dev", "near"],
        ["ip", "link", "set", "near", "up"],
        ["ip", "-n", "node", "addr", "add", f"{HOST}/24", "dev", "far"],
        ["ip", "-n", "node", "link", "set", "far", "up"],
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{home}/host"],
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{home}/client"],
    ):  # fmt: skip
        _run(argv)
    (home / "config").write_text(CONFIG.format(host=HOST, home=home), encoding="ascii")
    public = (home / "host.pub").read_text(encoding="ascii")
    (home / "known_hosts").write_text(f"{HOST} {public}", encoding="ascii")
    Path("/run/sshd").mkdir(exist_ok=True)
    _run(["ip", "netns", "exec", "node", "/usr/sbin/sshd", "-f", f"{home}/config"])
    # It goes to the background before it listens.
    for _ in range(100):
        with contextlib.suppress(OSError), socket.create_connection((HOST, 22), 5):
            break
        clock.sleep_until_mono(clock.mono_ns() + 100 * clock.NS_PER_MS)
    return ssh.Address("node", HOST, 22, "root", f"{home}/client", f"{home}/known_hosts",
                       "/usr/bin/python3")  # fmt: skip


def _run(argv: list[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}: {done.stderr}"


if __name__ == "__main__":
    json.dump(main(**json.loads(sys.argv[1])), sys.stdout)
