# SPDX-License-Identifier: Apache-2.0
"""The node that a cell breaks: namespaces of a job, a peer, a volume, somebody else's rules."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from gameday import clock
from tests.guarantee import looks
from tests.guarantee.matrix import BYSTANDER, DATA, DEVICE, PEER, Case

CACHE, UNPACKED = "/run/agent-cache", "/var/lib/gameday/agent"
GROUP = Path("/sys/fs/cgroup/victim")
VOLUME_SECTORS = 524_288
"""256 MiB: a file system on it can be filled, and 64 MiB stay free."""

CALL_TIMEOUT_S = 40
WRITER_BEGINS_NS = 20 * clock.NS_PER_S

FOREIGN = """\
ip link add name wan0 type veth peer name far netns peer
ip addr add 198.18.0.1/24 dev wan0
ip link set wan0 up
ip -n peer addr add {peer}/24 dev far
ip -n peer addr add {bystander}/24 dev far
ip -n peer link set far up
ip -n peer link set lo up
tc qdisc add dev wan0 root handle 8005: fq_codel limit 500 target 7ms
ipset create theirs hash:ip
ipset add theirs 198.18.0.77
iptables-legacy -A INPUT -p tcp --dport 9999 -j DROP
iptables-legacy -t mangle -A POSTROUTING -m set --match-set theirs dst -j MARK --set-mark 7
ip6tables-legacy -A INPUT -p tcp --dport 9999 -j DROP
"""


class Session:
    """The agent's ``serve``, over pipes."""

    def __init__(self, package: str) -> None:
        environment = {
            "PATH": os.environ["PATH"],
            "SSH_CONNECTION": "198.19.0.1 50000 198.19.0.2 22",
        }
        self._process = subprocess.Popen(
            ["/usr/bin/python3", package, "serve"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, start_new_session=True, env=environment,
        )  # fmt: skip
        self._number = 0

    def call(self, name: str, **arguments: Any) -> Any:
        """Ask; raises RuntimeError with the agent's error, EOFError where it is gone."""
        if self._process.stdin is None or self._process.stdout is None:
            raise EOFError
        self._number += 1
        request = {"id": self._number, "call": name, "with": arguments}
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        if not select.select([self._process.stdout], [], [], CALL_TIMEOUT_S)[0]:
            raise EOFError(f"no answer to {name}")
        line = self._process.stdout.readline()
        if not line:
            raise EOFError("the agent ended")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["ok"]

    def answers(self) -> bool:
        """Whether the agent lives and answers."""
        try:
            return bool(self.call("clock"))
        except (EOFError, OSError, ValueError):
            return False

    def hang_up(self) -> None:
        """As sshd does where the controller is gone: close the pipes, SIGHUP."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None and not pipe.closed:
                pipe.close()
        self._process.send_signal(signal.SIGHUP)

    def freeze(self) -> None:
        """Nothing comes and nothing ends: what a cut path looks like to sshd for a while."""

    def thaw(self) -> None:
        """The path is back."""


class Node:
    """Set up on making; ``close`` removes what outlives a job's namespaces."""

    def __init__(self, case: Case, package: str) -> None:
        self.case, self.package = case, package
        self._children: list[subprocess.Popen[bytes]] = []
        # Unpacked once for all cells of a machine, as it stays on a real node between runs.
        for path in (CACHE, UNPACKED):
            os.makedirs(path, mode=0o700, exist_ok=True)
        run("mount", "--bind", CACHE, UNPACKED)
        os.makedirs("/run/netns", exist_ok=True)
        run("mount", "-t", "tmpfs", "tmpfs", "/run/netns")
        run("ip", "netns", "add", "peer")
        for line in FOREIGN.format(peer=PEER, bystander=BYSTANDER).splitlines():
            run(*line.split())
        self._start("peer.log", "echo-server", netns="peer")
        GROUP.mkdir(exist_ok=True)
        if case.look in ("write", "file", "free"):
            self._make_volume()

    def session(self) -> Session:
        """A new connection to the agent."""
        return Session(self.package)

    def look(self) -> Any:
        """Begin to look for the effect of the case."""
        if self.case.look == "echo":
            return looks.Echoes(PEER, self.case.size, self.case.period_ms)
        if self.case.look == "sent":
            return looks.Lines("/run/peer.log")
        target = {"write": DEVICE, "file": f"{DATA}/file", "free": f"{DATA}/file",
                  "gap": "/run/written"}.get(self.case.look, "/run/written")  # fmt: skip
        self._start("writer.log", "writer", target, self.case.look, group=True)
        # On a busy machine an interpreter takes a second to begin; before its first line the
        # writer has not got its name yet, and a lease that names it would be refused.
        deadline = clock.mono_ns() + WRITER_BEGINS_NS
        while not os.path.getsize("/run/writer.log"):
            if clock.mono_ns() > deadline:
                raise AssertionError("the writer did not begin to write")
            time.sleep(0.02)
        kind = looks.Gaps if self.case.look == "gap" else looks.Lines
        return kind("/run/writer.log")

    def fill_ledger(self) -> None:
        """No byte is left where the ledger is."""
        os.makedirs("/var/lib/gameday/ledger", mode=0o700, exist_ok=True)
        run("mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", "/var/lib/gameday/ledger")
        Path("/var/lib/gameday/ledger/full").write_bytes(b"x" * 4096)

    def free_ledger(self) -> None:
        """As it was."""
        run("umount", "/var/lib/gameday/ledger")

    def signal(self, role: str, number: int) -> list[int]:
        """Send a signal to every process of the agent in a role; whom it reached."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            ours = any(b"gameday" in word for word in words)
            if entry.name.isdigit() and ours and role.encode() in words:
                os.kill(int(entry.name), number)
                found.append(int(entry.name))
        return found

    def kill(self, *roles: str) -> None:
        """SIGKILL to all of them, before any of them can start another again."""
        pids = {role: self.signal(role, signal.SIGSTOP) for role in roles}
        for pid in {pid for found in pids.values() for pid in found}:
            os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        """Remove volume and group."""
        for child in self._children:
            child.kill()
            child.wait()
        subprocess.run(["umount", DATA], capture_output=True, check=False)
        subprocess.run(["dmsetup", "remove", "--retry", "data"], capture_output=True, check=False)

    def _start(self, log: str, *arguments: str, netns: str = "", group: bool = False) -> None:
        enter = ["ip", "netns", "exec", netns] if netns else []
        with open(f"/run/{log}", "wb") as file:
            child = subprocess.Popen(
                [*enter, sys.executable, looks.__file__, *arguments], stdout=file, stderr=None
            )
        self._children.append(child)
        if group:
            (GROUP / "cgroup.procs").write_text(str(child.pid), encoding="ascii")

    def _make_volume(self) -> None:
        run("dmsetup", "create", "data", "--table", f"0 {VOLUME_SECTORS} linear /dev/ubda 0")
        run("dmsetup", "mknodes")
        if self.case.look != "write":
            run("mkfs.ext4", "-q", "-F", DEVICE)
            Path(DATA).mkdir(exist_ok=True)
            run("mount", "-o", "noatime", DEVICE, DATA)
            Path(f"{DATA}/file").touch()


def snapshot() -> dict[str, str]:
    """Everything that a lease could have changed and not put back, as text."""
    found = {
        "rules": _saved("iptables-legacy-save"), "rules6": _saved("ip6tables-legacy-save"),
        "sets": run("ipset", "list"), "qdiscs": run("tc", "-d", "qdisc", "show"),
        "filters": run("tc", "filter", "show", "dev", "wan0"),
        "links": re.sub(r"(?m)^\d+: |@if\d+", "", run("ip", "-br", "link")),
        "ip rules": run("ip", "rule") + run("ip", "-6", "rule"),
        "routes": run("ip", "route", "show", "table", "all"),
        "mounts": Path("/proc/self/mounts").read_text(encoding="utf-8"),
        "volumes": run("dmsetup", "table"),
        "io limits": _read(GROUP / "io.max"), "frozen": _read(GROUP / "cgroup.freeze"),
        "files": "\n".join(sorted(os.listdir(DATA))) if os.path.isdir(DATA) else "",
        "units": "\n".join(sorted(os.listdir("/etc/systemd/system"))),
    }  # fmt: skip
    return found


def run(*argv: str) -> str:
    """Output of a program that must succeed."""
    done = subprocess.run(list(argv), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(argv)}: {done.stderr or done.stdout}")
    return done.stdout


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _saved(tool: str) -> str:
    """Rules without comments and counters; a table that holds nothing says nothing."""
    text = re.sub(r"(?m)^#.*\n| \[\d+:\d+\]$", "", run(tool))
    return re.sub(r"(?m)^\*\w+\n(?::\w+ ACCEPT\n)*COMMIT\n", "", text)
