# SPDX-License-Identifier: Apache-2.0
"""Watches a run from outside of gameday: packet captures in the nodes, and the servers' logs."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from gameday import clock
from gameday.clock import NS_PER_MS
from gameday.lab import Lab
from gameday.lab import topology as t

EYE = Path(__file__).with_name("eye.py")
PULSE_PORT = 7777
STATE_NS = 2 * NS_PER_MS
PULSE_NS, ASK_NS, WRITE_NS, LOOK_NS = (
    2 * NS_PER_MS,
    20 * NS_PER_MS,
    60 * NS_PER_MS,
    20 * NS_PER_MS,
)
FILTER = (f"udp port 53 or udp port {PULSE_PORT} or tcp port {t.ETCD_CLIENT} "
          f"or tcp port {t.WEBHOOK_PORT}")  # fmt: skip
SNAP_BYTES = 4096
PAIR = {"frankfurt": ("lon-1", "fra-1"), "london": ("fra-1", "lon-1")}
"""Per site that is cut off: who sends numbered packets to whom across the cut."""


class Oracle:
    """Captures and traffic of one run, in ``directory``; used with ``with``.

    Args:
        site: what is hit. pause: role and name of the processes there that will be stopped, if any.
        routes: whether each server cuts itself off, at a moment of its own.
    """

    def __init__(
        self, lab: Lab, directory: Path, site: str, pause: tuple[str, str] | None = None,
        routes: bool = False,
    ) -> None:  # fmt: skip
        self._lab, self._directory, self._site, self._pause = lab, directory, site, pause
        self._routes = routes
        self._sender, self._receiver = PAIR[site]
        self._running: list[subprocess.Popen[Any]] = []
        self._wall_minus_mono: list[int] = []
        self._logged: dict[str, int] = {}

    def __enter__(self) -> Oracle:
        self._directory.mkdir(parents=True, exist_ok=True)
        self._wall_minus_mono.append(clock.wall_ns() - clock.mono_ns())
        self._logged = {one.name: self._log(one.name).stat().st_size for one in t.with_role("etcd")}
        for node in t.NODES:
            if node.name == "cli-1":
                continue
            self._watch(node)
        return self

    def _log(self, member: str) -> Path:
        return self._lab.state / "nodes" / member / "log" / "etcd.log"

    def _watch(self, node: t.Node) -> None:
        home = self._directory
        self._start(node.name, [
            "tcpdump", "-i", "any", "-y", "LINUX_SLL", "-n", "-U", "-Z", "root", "-B", "16384",
            "-s", str(SNAP_BYTES), "--time-stamp-precision=nano", "-w",
            str(home / f"{node.name}.pcap"), FILTER,
        ])  # fmt: skip
        jobs = self._jobs(node)
        if jobs:
            spec = home / f"{node.name}.json"
            spec.write_text(json.dumps({"jobs": jobs}), encoding="utf-8")
            out = home / f"{node.name}.jsonl"
            self._start(node.name, [sys.executable, "-I", str(EYE), str(spec), str(out)])

    def _jobs(self, node: t.Node) -> list[dict[str, Any]]:
        jobs: list[dict[str, Any]] = []
        if self._pause and node.site == self._site and self._pause[0] in node.roles:
            pids = self._processes(node.name, self._pause[1])
            jobs.append({"do": "state", "pids": pids, "period_ns": STATE_NS})
        if node.name == self._sender or (self._routes and "etcd" in node.roles):
            across = self._sender if node.site == self._site else self._receiver
            address = t.v4(t.node(across))
            jobs.append({"do": "pulse", "address": address, "port": PULSE_PORT,
                         "period_ns": PULSE_NS})  # fmt: skip
        if node.name == self._receiver:
            jobs.append({"do": "receive", "port": PULSE_PORT})
        if "gslb" in node.roles:
            jobs.append({"do": "ask", "server": t.v4(node), "name": t.APP_NAME,
                         "period_ns": ASK_NS})  # fmt: skip
        if "etcd" in node.roles:
            jobs.append({"do": "write", "address": t.v4(node), "port": t.ETCD_CLIENT,
                         "period_ns": WRITE_NS})  # fmt: skip
            jobs.append({"do": "look", "address": t.v4(node), "port": t.ETCD_CLIENT,
                         "period_ns": LOOK_NS})  # fmt: skip
        return jobs

    def _processes(self, node: str, name: str) -> list[int]:
        """Processes of that name in a node, by this machine's numbers."""
        space = os.readlink(f"/proc/{self._lab.pid(node)}/ns/net")
        found = []
        for comm in Path("/proc").glob("[0-9]*/comm"):
            # A process may end while we look.
            with contextlib.suppress(OSError):
                own = os.readlink(comm.parent / "ns" / "net") == space
                if own and comm.read_text(encoding="utf-8").strip() == name:
                    found.append(int(comm.parent.name))
        assert found, f"no process {name} on {node}"
        return found

    def _start(self, node: str, argv: list[str]) -> None:
        """Only the node's network is entered: programs and files are this machine's."""
        log = open(self._directory / f"{node}.log", "ab")  # noqa: SIM115 - the child's
        self._running.append(
            subprocess.Popen(
                ["nsenter", "-t", str(self._lab.pid(node)), "--net", *argv],
                stdin=subprocess.PIPE, stdout=log, stderr=log,
            )
        )  # fmt: skip

    def __exit__(self, *unused: object) -> None:
        for process in self._running:
            process.terminate()
        for process in self._running:
            process.communicate(timeout=20)
        self._wall_minus_mono.append(clock.wall_ns() - clock.mono_ns())
        for member, size in self._logged.items():
            with open(self._log(member), "rb") as file:
                file.seek(size)
                (self._directory / f"{member}.etcd.log").write_bytes(file.read())
        found = {"wall_minus_mono": [min(self._wall_minus_mono), max(self._wall_minus_mono)],
                 "paused": self._pause is not None, "sender": self._sender,
                 "receiver": self._receiver}  # fmt: skip
        (self._directory / "oracle.json").write_text(json.dumps(found), encoding="utf-8")
