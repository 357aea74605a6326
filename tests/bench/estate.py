# SPDX-License-Identifier: Apache-2.0
"""Many small nodes on this machine: namespaces, a data and a management link, an sshd each.

Built from the lab's own parts, but with nothing on the nodes except sshd, so that fifty fit on
two cores. Like the lab it lives in namespaces of its own, and its processes are found by a mark
in their environment, so ``down`` works after anything was killed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from gameday.errors import CannotRun
from gameday.lab import nodes, system
from gameday.lab.parts import access
from gameday.transport import netns

STATES = Path("/run/gameday-bench")
MARK = "GAMEDAY_BENCH_MEMBER"
MANAGEMENT, CONTROLLER, SENDER = "198.19.0.0/22", "198.19.0.1", "198.18.3.250"
BROADCAST = "198.18.3.255"
FIRST = 10
"""Last number of the first node's addresses."""

NODES_MAX = 900
"""A bridge has 1024 ports, and the networks 1022 addresses."""

PERMANENT_ABOVE = 200
"""Beyond so many nodes neighbours are written down: all namespaces together learn only 1024."""

UP_TIMEOUT_S = 300
DOWN_TIMEOUT_S = 20


class Estate:
    """``count`` nodes b01, b02, ... of site "near", and a sender outside, in site "far".

    Attributes:
        names: of the nodes. inventory: path of the YAML file.
        control: directory for the sockets of Ansible's SSH masters.
        pids: process by name, "core" (bridges), "ctl" (controller), "far" (sender), nodes.
    """

    def __init__(self, count: int, name: str = "default") -> None:
        self.name, self.state = name, STATES / name
        if count > NODES_MAX:
            raise CannotRun(f"{count} nodes are more than {NODES_MAX}")
        self.names = [f"b{number:02}" for number in range(1, count + 1)]
        self.inventory = self.state / "inventory.yaml"
        self.control = self.state / "cp"
        self.pids: dict[str, int] = {}

    def __enter__(self) -> Estate:
        self.down()
        try:
            self._start()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def down(self) -> None:
        """Remove whatever is left of an estate of this name; idempotent."""
        self.end_connections()
        system.end_marked(f"{MARK}={self.name}", DOWN_TIMEOUT_S)
        system.remove_tree(self.state)
        with contextlib.suppress(OSError):
            STATES.rmdir()

    def end_connections(self) -> None:
        """End the masters that Ansible's ControlPersist leaves behind.

        They write over their own environment, so no mark would find them.
        """
        if self.control.is_dir():
            for path in self.control.iterdir():
                system.run_ok(["ssh", "-O", "exit", "-o", f"ControlPath={path}", "any"])

    def address(self, name: str) -> str:
        """Management address of a node."""
        return f"198.19.{self._place(name)}"

    def data_address(self, name: str) -> str:
        """Data address of a node."""
        return f"198.18.{self._place(name)}"

    def _place(self, name: str) -> str:
        """The last two numbers of a node's addresses."""
        number = FIRST + int(name[1:]) - 1
        return f"{number // 256}.{number % 256}"

    def inside(self, name: str) -> int:
        """Process 1 of a node, as this machine numbers it."""
        return system.only_child(self.pids[name])

    def _start(self) -> None:
        self.state.mkdir(parents=True)
        client = self.state / "id_ed25519"
        nodes.make_key(client, "gameday-bench")
        known = [self._make_node(name, client) for name in self.names]
        (self.state / "known_hosts").write_text("".join(known), encoding="ascii")
        self.inventory.write_text(self._inventory(), encoding="utf-8")
        for name in ("core", "ctl", "far"):
            self.pids[name] = self._spawn(name, ["unshare", "--net", "sleep", "infinity"])
        script = str(Path(__file__).with_name("node.sh"))
        for name in self.names:
            self.pids[name] = self._spawn(name, [
                "unshare", "--net", "--mount", "--uts", "--ipc", "--pid", "--fork",
                "--kill-child", "/bin/sh", script, str(self.state / name),
            ])  # fmt: skip
        for pid in self.pids.values():
            system.wait_own_netns(pid)
        self._wire()
        self._wait_ready()

    def _spawn(self, what: str, argv: list[str], more: Mapping[str, str] | None = None) -> int:
        with open(self.state / f"{what}.log", "ab") as log:
            return subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                cwd="/",
                env={"PATH": system.PATH, MARK: self.name, "HOME": "/root", **(more or {})},
            ).pid  # fmt: skip

    def _make_node(self, name: str, client: Path) -> str:
        """A node's directory; returns its line of known_hosts."""
        home = self.state / name
        for directory in ("etc/gameday-lab", "etc-work", "lib/sudo", "log", "home", "run/sshd"):
            (home / directory).mkdir(parents=True)
        files = access.identity_files(name)
        key = "/etc/gameday-lab/ssh_host_ed25519_key"
        files["gameday-lab/sshd_config"] = access.SSHD.format(key=key, pid="/run/sshd.pid")
        nodes.write_files(home / "etc", files)
        nodes.make_key(home / key[1:], name)
        nodes.make_homes(home / "home", client)
        lines = ["link set lo up", "link set data0 up", "link set mgmt0 up",
                 f"addr add {self.data_address(name)}/22 broadcast {BROADCAST} dev data0",
                 f"addr add {self.address(name)}/22 dev mgmt0"]  # fmt: skip
        if len(self.names) > PERMANENT_ABOVE:
            lines.append(f"neigh add {CONTROLLER} lladdr {_mac(CONTROLLER)} dev mgmt0")
            # Everybody may look at the first node.
            peers = self.names[1:] if name == self.names[0] else self.names[:1]
            lines += [f"neigh add {self.data_address(peer)} lladdr "
                      f"{_mac(self.data_address(peer))} dev data0" for peer in peers]  # fmt: skip
        (home / "ip").write_text("\n".join(lines) + "\n", encoding="ascii")
        public = (home / f"{key[1:]}.pub").read_text(encoding="ascii")
        return f"{self.address(name)} {public}"

    def _wire(self) -> None:
        links = [(name, "data", f"d-{name}", "data0") for name in [*self.names, "far"]]
        links += [(name, "mgmt", f"m-{name}", "mgmt0") for name in [*self.names, "ctl"]]
        lines = [f"link add name {bridge} type bridge\nlink set {bridge} up"
                 for bridge in ("data", "mgmt")]  # fmt: skip
        for name, bridge, outer, inner in links:
            mac = _mac(self._on(bridge, name))
            lines += [f"link add {outer} type veth peer name {inner} address {mac} "
                      f"netns {self.pids[name]}",
                      f"link set {outer} master {bridge}", f"link set {outer} up"]  # fmt: skip
        system.ip_batch(self.pids["core"], "\n".join(lines))
        for name, device, address in (("ctl", "mgmt0", CONTROLLER), ("far", "data0", SENDER)):
            system.ip_batch(self.pids[name], f"link set lo up\nlink set {device} up\n"
                            f"addr add {address}/22 broadcast + dev {device}\n")  # fmt: skip
        if len(self.names) > PERMANENT_ABOVE:
            known = [f"neigh add {self.address(name)} lladdr {_mac(self.address(name))} dev mgmt0"
                     for name in self.names]  # fmt: skip
            system.ip_batch(self.pids["ctl"], "\n".join(known))

    def _on(self, bridge: str, name: str) -> str:
        """A process's address on a bridge."""
        if name in ("ctl", "far"):
            return CONTROLLER if name == "ctl" else SENDER
        return self.address(name) if bridge == "mgmt" else self.data_address(name)

    def _wait_ready(self) -> None:
        """Wait for every node's sshd.

        Raises:
            CannotRun: naming a node whose sshd does not answer, with its log.
        """
        argv = [sys.executable, "-c", ANSWERS, f"{UP_TIMEOUT_S}", *map(self.address, self.names)]
        enter = ["nsenter", f"--net=/proc/{self.pids['ctl']}/ns/net"]
        done = subprocess.run([*enter, *argv], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            silent = next((n for n in self.names if self.address(n) == done.stdout.strip()), "")
            log = self._log_of(silent).read_text(encoding="utf-8") if silent else ""
            raise CannotRun(f"sshd of {silent or 'a node'} does not answer: "
                            f"{log[-300:]}{done.stderr[-300:]}")  # fmt: skip

    def _log_of(self, name: str) -> Path:
        """What a node's processes said."""
        return self.state / f"{name}.log"

    def _inventory(self) -> str:
        near: dict[str, Any] = {
            name: {"ansible_host": self.address(name),
                   "gameday_addresses": [self.data_address(name)]}
            for name in self.names
        }  # fmt: skip
        far = {"sender": {"ansible_host": SENDER, "gameday_addresses": [SENDER],
                       "gameday_vantage_only": True}}  # fmt: skip
        data = {"all": {
            "vars": {
                "ansible_user": "gameday",
                "ansible_ssh_private_key_file": f"{self.state}/id_ed25519",
                "ansible_ssh_common_args": f"-o UserKnownHostsFile={self.state}/known_hosts",
                "ansible_python_interpreter": "/usr/bin/python3",
                "gameday_known_hosts": f"{self.state}/known_hosts",
                "gameday_management": [MANAGEMENT],
            },
            "children": {"sites": {"children": {"near": {"hosts": near}, "far": {"hosts": far}}}},
        }}  # fmt: skip
        return yaml.safe_dump(data, sort_keys=False)


def _mac(address: str) -> str:
    """A link address that follows from an IPv4 address."""
    return ":".join(["02", "00", *(f"{int(part):02x}" for part in address.split("."))])


ANSWERS = """\
import socket, sys, time
until = time.clock_gettime(time.CLOCK_MONOTONIC) + float(sys.argv[1])
for address in sys.argv[2:]:
    while True:
        try:
            with socket.create_connection((address, 22), 1) as one:
                if one.recv(4) == b"SSH-":
                    break
        except OSError:
            pass
        if time.clock_gettime(time.CLOCK_MONOTONIC) > until:
            sys.stdout.write(address)
            sys.exit(1)
        time.sleep(0.02)
"""
"""Waits until every sshd answers; prints the first that does not in time."""


def share_agent(estate: Estate) -> None:
    """Give every node the agent that the first one has, as links to the same files.

    Pushing and compiling it takes each node a second of these cores; no real estate shares them.
    """
    first = estate.state / estate.names[0]
    for name in estate.names[1:]:
        (estate.state / name / "lib/gameday").mkdir(mode=0o700)
        for directory in ("lib/gameday/agent", "home/gameday/.gameday"):
            target = estate.state / name / directory
            system.run(["cp", "-a", "--link", str(first / directory), str(target)])


def forget_agent(estate: Estate, names: list[str]) -> None:
    """Remove the agent from nodes, so that the next connection pushes it anew."""
    for name in names:
        for directory in ("lib/gameday", "home/gameday/.gameday"):
            shutil.rmtree(estate.state / name / directory, ignore_errors=True)


def udp_socket(pid: int) -> socket.socket:
    """A UDP socket in the network namespace of a process."""
    back = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        netns.enter(f"/proc/{pid}/ns/net")
        return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    finally:
        netns.enter(f"/proc/self/fd/{back}")
        os.close(back)
