# SPDX-License-Identifier: Apache-2.0
"""Bring the lab up and down.

Everything is in namespaces: one process per node is process 1 of its own PID namespace, so
killing it kills the node; a core namespace holds the bridges, and the controller has one of
its own. The machine's own network is not touched. Processes are found by GAMEDAY_LAB_MEMBER in
their environment, so ``down`` works after anything was killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gameday import clock
from gameday.errors import CannotRun
from gameday.lab import host_time, nodes, optional, ready, routers, system
from gameday.lab import topology as t
from gameday.lab.inventory import render
from gameday.lab.parts import READY

STATES = Path("/run/gameday-lab")
MARK = "GAMEDAY_LAB_MEMBER"
UP_TIMEOUT_S = 180
"""Usually 15 s; Galera's members have taken 80 s to be one cluster on a machine that was three
times slower. Nobody waits longer than it takes."""

SETTLE_TIMEOUT_S = 15
"""For a lab that is up, to be healthy again (an election, a service's restart) before it is made
anew, which takes longer than waiting."""

DOWN_TIMEOUT_S = 10


class Lab:
    """One lab by name; several can be up at a time.

    Attributes:
        state: its directory; inventory: path of its inventory.
    """

    def __init__(self, name: str = "default") -> None:
        if not name.isidentifier():
            raise CannotRun(f"not a lab's name: {name!r}", "letters, digits and _")
        self.name = name
        self.state = STATES / name
        self.inventory = self.state / "inventory.yaml"

    def up(self, without: Sequence[str] = (), also: Sequence[str] = ()) -> list[str]:
        """Bring it up, or make sure that it is; returns what was done, in lines.

        A lab that is up with other optional parts than these is made anew.

        Args:
            without: names in ``optional.TABLE`` that are left out.
            also: names of those that only come where they are asked for.

        Raises:
            CannotRun: what is missing on this machine, or what did not come up.
        """
        parts = optional.chosen(without, also)
        system.check_machine(optional.programs(parts), optional.missing(parts))
        if self.whole() and self.parts() == parts:
            with contextlib.suppress(CannotRun):
                ready.wait(self, SETTLE_TIMEOUT_S)
                done = ["the lab was up already", ready.place_leader(self), self._keep_time()]
                return [line for line in done if line]
        self.down()
        begin = clock.mono_ns()
        try:
            self._start(parts)
            ready.wait(self, UP_TIMEOUT_S, "estate")
            for one in t.NODES:
                (self.state / "nodes" / one.name / "run" / READY).touch()
            ready.wait(self, UP_TIMEOUT_S)
            placed = ready.place_leader(self)
            stepped = self._keep_time()
            ready.wait(self, UP_TIMEOUT_S)
        except BaseException:
            self._keep_logs()
            self.down()
            raise
        took = (clock.mono_ns() - begin) / clock.NS_PER_S
        done = [f"the lab is up ({took:.1f} s)", placed, stepped, f"inventory: {self.inventory}"]
        return [line for line in done if line]

    def _keep_time(self) -> str:
        """Routers that have a kernel of their own get the host's clock; what was done."""
        return "" if self._known()["netem"] else host_time.keep(self)

    def _start(self, parts: tuple[str, ...]) -> None:
        self.state.mkdir(parents=True, mode=0o700)
        # Users of the nodes pass through these on the way to their own files.
        os.chmod(STATES, 0o755)  # noqa: S103
        os.chmod(self.state, 0o755)  # noqa: S103
        keys = nodes.make_keys(self.state)
        optional.prepare(parts, self.state)
        netem = system.has_netem()
        core = self._spawn("core", ["unshare", "--net", "sleep", "infinity"])
        ctl = self._spawn("ctl", ["unshare", "--net", "sleep", "infinity"])
        pids = {}
        for one in t.NODES:
            home = nodes.make_node(self.state, one, keys, parts)
            pids[one.name] = self._spawn(one.name, [
                "unshare", "--net", "--mount", "--uts", "--ipc", "--pid", "--cgroup", "--fork",
                "--kill-child", "/usr/bin/python3", str(t.FILES / "init.py"), str(home),
            ])  # fmt: skip
        for pid in (core, ctl, *pids.values()):
            system.wait_own_netns(pid)
        handle = self.state / "ctl.netns"
        handle.touch()
        system.run(["mount", "--bind", f"/proc/{ctl}/ns/net", str(handle)])
        self._wire(core, ctl, pids, netem, parts)
        self.inventory.write_text(render(str(self.state), parts), encoding="utf-8")
        (self.state / "lab.json").write_text(
            json.dumps({"core": core, "ctl": ctl, "netem": netem, "nodes": pids, "parts": parts}),
            encoding="utf-8",
        )

    def _wire(
        self, core: int, ctl: int, pids: dict[str, int], netem: bool, parts: tuple[str, ...]
    ) -> None:
        """Bridges in the core namespace, one link per node and network, and the routers."""
        lines = ["link set lo up", "link add name mgmt type bridge", "link set mgmt up",
                 f"link add ctl type veth peer name mgmt0 netns {ctl}",
                 "link set ctl master mgmt", "link set ctl up"]  # fmt: skip
        for site in t.SITES:
            lines += [f"link add name {site.code} type bridge", f"link set {site.code} up"]
        for one in t.NODES:
            code, pid = t.site(one.site).code, pids[one.name]
            for link, bridge in ((f"{one.name}-w", code), (f"{one.name}-m", "mgmt")):
                inner = "wan0" if link.endswith("w") else "mgmt0"
                lines += [f"link add {link} type veth peer name {inner} netns {pid}",
                          f"link set {link} master {bridge}", f"link set {link} up"]  # fmt: skip
        ports = [*(site.code for site in t.SITES), "mgmt"]
        directory = nodes.make_routers(self.state, netem, parts)
        if netem:
            machine = self._spawn("routers", [
                "unshare", "--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child",
                "sh", str(directory / "namespace-init.sh"),
            ])  # fmt: skip
            system.wait_own_netns(machine)
            for number, bridge in enumerate(ports):
                lines += [f"link add r{number} type veth peer name lan{number} netns {machine}",
                          *_port(number, bridge)]  # fmt: skip
            system.ip_batch(core, "\n".join(lines))
            (directory / "go").touch()
        else:
            for number, bridge in enumerate(ports):
                lines += [f"tuntap add dev r{number} mode tap", *_port(number, bridge)]
            system.ip_batch(core, "\n".join(lines))
            self._spawn("routers", [
                "nsenter", f"--net=/proc/{core}/ns/net", "unshare", "--mount", "--pid", "--fork",
                "--kill-child", *routers.uml_argv(str(directory), len(ports)),
            ])  # fmt: skip
        system.ip_batch(
            ctl,
            f"link set lo up\nlink set mgmt0 up\naddr add {t.CONTROLLER}/24 dev mgmt0\n",
        )

    def _spawn(self, what: str, argv: Sequence[str]) -> int:
        """Start a process of the lab, detached; returns its id on this machine."""
        log = self.state / f"{what}.log"
        with open(log, "ab") as file:
            process = subprocess.Popen(
                list(argv), stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd="/",
                start_new_session=True,
                env={"PATH": system.PATH, **self.mark(), "HOME": "/root",
                     "TMPDIR": "/tmp"},  # noqa: S108 - user-mode-linux keeps its memory file there
            )  # fmt: skip
        return process.pid

    def mark(self) -> dict[str, str]:
        """What every process of this lab has in its environment, so that it is found again."""
        return {MARK: self.name}

    def down(self) -> list[str]:
        """Remove all of it, whatever is left of it; idempotent.

        Raises:
            CannotRun: where something would not go.
        """
        found = system.end_marked(f"{MARK}={self.name}", DOWN_TIMEOUT_S)
        existed = self.state.exists()
        system.remove_tree(self.state)
        with contextlib.suppress(OSError):
            STATES.rmdir()
        if not found and not existed:
            return ["the lab was not up"]
        return [f"the lab is down ({found} processes)"]

    def status(self) -> dict[str, Any]:
        """What answers and what does not: {"healthy": bool, "problems": [...], ...}."""
        if not self.processes():
            return {"up": False, "healthy": False, "problems": ["the lab is not up"]}
        problems = ready.problems(self)
        return {"up": True, "healthy": not problems, "problems": problems,
                "leader": ready.leader(self), "inventory": str(self.inventory)}  # fmt: skip

    def whole(self) -> bool:
        """Whether every node's process 1 lives; says nothing of what runs in it."""
        try:
            return all(self.pid(one.name) for one in t.NODES)
        except CannotRun:
            return False

    def processes(self) -> list[int]:
        """Processes of this lab on this machine, found by their environment."""
        return system.marked(f"{MARK}={self.name}")

    def pid(self, node: str) -> int:
        """Process id, on this machine, of a node's init.

        Raises:
            CannotRun: where the lab is not up.
        """
        known = self._known()
        if node in ("ctl", "core"):
            return int(known[node])
        if node not in known["nodes"]:
            raise CannotRun(f"no node {node} in the lab", f"nodes: {', '.join(known['nodes'])}")
        outer = int(known["nodes"][node])
        return system.only_child(outer)

    def parts(self) -> tuple[str, ...]:
        """Optional parts that it was brought up with.

        Raises:
            CannotRun: where the lab is not up.
        """
        return tuple(self._known().get("parts", optional.chosen(())))

    def _known(self) -> dict[str, Any]:
        try:
            known: dict[str, Any] = json.loads((self.state / "lab.json").read_bytes())
        except OSError as error:
            raise CannotRun(f"the lab {self.name} is not up", "gameday lab up") from error
        return known

    def enter_argv(self, node: str, argv: Sequence[str]) -> list[str]:
        """An argv that runs ``argv`` in a node's namespaces."""
        pid = self.pid(node)
        kinds = ["--net"] if node in ("ctl", "core") else ["--net", "--mount", "--uts", "--pid"]
        return ["nsenter", "-t", str(pid), *kinds, *argv]

    def exec(
        self, node: str, argv: Sequence[str], timeout_s: float = 30
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in a node; its output as text."""
        return subprocess.run(
            self.enter_argv(node, argv), capture_output=True, text=True, timeout=timeout_s,
            check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def popen(self, node: str, argv: Sequence[str]) -> subprocess.Popen[str]:
        """Start a command in a node; its output can be read as text.

        It stays out of the node's PID namespace: entering one forks, and signals would reach
        only the parent.
        """
        entered = [x for x in self.enter_argv(node, argv) if x != "--pid"]
        return subprocess.Popen(
            entered, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    def _keep_logs(self) -> None:
        """After a failed start, keep the logs where the message says they are."""
        target = Path("/tmp") / f"gameday-lab-{self.name}-failed"  # noqa: S108 - for people to read
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        for log in [*self.state.glob("*.log"), *self.state.glob("nodes/*/log/*.log")]:
            where = target / str(log.relative_to(self.state)).replace("/", "-")
            shutil.copy(log, where)


def _port(number: int, bridge: str) -> list[str]:
    # Packets reach a router one by one, as on a wire. TCP on the nodes hands 64 KiB at a time to
    # its link; user-mode-linux takes tap frames of one MTU and drops longer ones, which stalls
    # every larger transfer, and netem elsewhere would delay or lose 64 KiB as one packet.
    return [f"link set r{number} gso_max_segs 1",
            f"link set r{number} master {bridge}", f"link set r{number} up"]  # fmt: skip
