# SPDX-License-Identifier: Apache-2.0
"""A node that boots systemd, and that can be rebooted, cut off its power, and set to another time.

A user-mode-linux whose root is the host's files under an image of its own (``image``). sshd
answers in a controller's network namespace, where gameday's command line works with the
inventory that is written here. ``exec`` does not need the network: a fault may cut it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

from gameday import clock
from gameday.lab import routers, system
from gameday.transport.agent import Agent
from gameday.transport.netns import enter
from gameday.transport.ssh import Address
from tests.guarantee import image, on_node
from tests.uml.harness import POLL_NS, REPOSITORY, JobFailed, Kernel, MachineFailed

CONTROLLER, MANAGEMENT = "198.19.1.1", "198.19.1.2"
"""Of the management link, tap r0 and mgmt0."""

PEER, OWN = "198.18.1.1", "198.18.1.2"
"""Of the link that faults may cut, tap r1 and wan0."""

HALT_TIMEOUT_S = 120
SSH_TIMEOUT_S = 90
TOOL_TIMEOUT_S = 180
EXEC_TIMEOUT_S = 90
"""Bounds for a machine that hangs. On a busy host everything in it takes ten times as long as it
usually does, and a command that ends is waited for no longer."""

INIT = """\
#!/bin/sh
set -e
export PATH={path}
mount -t proc proc /proc
mount -t tmpfs tmpfs /tmp
mkdir -p /tmp/disk /tmp/root /tmp/first/lib/modules
ln -s {modules} /tmp/first/lib/modules/$(uname -r)
modprobe -d /tmp/first overlay
mount -t ext4 /dev/ubda /tmp/disk
mount -t overlay overlay -o lowerdir=/,upperdir=/tmp/disk/upper,workdir=/tmp/disk/work /tmp/root
cd /tmp/root
mkdir -p lib/modules
[ -e lib/modules/$(uname -r) ] || ln -s {modules} lib/modules/$(uname -r)
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t devtmpfs dev dev
mount -t tmpfs -o mode=755 tmpfs run
mkdir run/old run/lock
mount -t hostfs -o {share} none ./{share}
hostname node
ip link set lo up
ip link set vec0 name mgmt0
ip link set vec1 name wan0
ip addr add {management}/24 dev mgmt0
ip addr add {own}/24 dev wan0
ip link set mgmt0 up
ip link set wan0 up
pivot_root . run/old
cd /
umount -l /run/old
exec /lib/systemd/systemd
"""


class SystemdMachine(Kernel):
    """The node.

    Attributes:
        inventory: path of the controller's inventory. netns: path of its network namespace.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.inventory = directory / "inventory.yaml"
        self._disk = directory / "disk"
        self._controller: subprocess.Popen[bytes] | None = None

    @property
    def netns(self) -> str:
        """Where the controller's end of both links is."""
        if self._controller is None:
            raise MachineFailed("the machine is not up")
        return f"/proc/{self._controller.pid}/ns/net"

    def up(self) -> float:
        """Boot, with the disk as the last boot left it; returns the seconds it took.

        Raises:
            MachineFailed: with the end of the console.
        """
        if self.runs:
            return 0.0
        begin = clock.mono_ns()
        if self._controller is None:
            self._prepare()
        taps = [f"vec{n}:transport=tap,ifname=r{n},depth=64" for n in (0, 1)]
        init = INIT.format(path=system.PATH, modules=routers.uml_modules(), share=self.share,
                           management=MANAGEMENT, own=OWN)  # fmt: skip
        self.start(init, f"ubd0={self._disk}", *taps, "systemd.unified_cgroup_hierarchy=1",
                   "systemd.show_status=0", netns=self.netns)  # fmt: skip
        return (clock.mono_ns() - begin) / clock.NS_PER_S

    def reboot(self) -> float:
        """Shut down in order and boot again; returns the seconds that the boot took.

        Raises:
            MachineFailed: where it does not shut down or boot.
        """
        # The answer could come too late to be written.
        self.post({"argv": ["systemctl", "poweroff"], "timeout_s": HALT_TIMEOUT_S})
        deadline = clock.mono_ns() + HALT_TIMEOUT_S * clock.NS_PER_S
        while self.runs:
            if clock.mono_ns() > deadline:
                raise MachineFailed(f"does not shut down\n{self.console()[-4000:]}")
            clock.sleep_until_mono(clock.mono_ns() + POLL_NS)
        self.kill()
        return self.up()

    def power_cut(self) -> float:
        """Kill it and boot again: what was not synced to the disk is lost; as ``reboot``."""
        self.kill()
        return self.up()

    def down(self) -> None:
        """End everything; idempotent. The disk stays in the directory."""
        self.kill()
        controller, self._controller = self._controller, None
        if controller is not None:
            controller.kill()
            controller.wait()

    def exec(
        self, *argv: str, stdin: str = "", timeout_s: float = EXEC_TIMEOUT_S, check: bool = True
    ) -> str:
        """Output of a command inside, as root, in no session; not over the network.

        Raises:
            JobFailed: where it failed (unless told not to check), or did not end in time.
        """
        answer = self.ask({"argv": list(argv), "stdin": stdin, "timeout_s": timeout_s})
        if "error" in answer:
            raise JobFailed(f"{argv}: {answer['error']}")
        done = answer["ok"]
        if check and done["status"] != 0:
            raise JobFailed(f"{argv}: {done['status']}: {answer['log']}{done['out']}")
        return str(done["out"])

    def tool(self, *arguments: str) -> str:
        """Run ``on_node.py`` inside; its output."""
        return self.exec("python3", "-S", on_node.__file__, *arguments, timeout_s=TOOL_TIMEOUT_S)

    def ssh(self, *argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """A command as the user gameday, through sshd and PAM, in a session of logind."""
        key = self.directory / "id_ed25519"
        return subprocess.run(
            ["nsenter", f"--net={self.netns}", "ssh", "-F", "none", "-o", "BatchMode=yes",
             "-o", f"UserKnownHostsFile={self.directory}/known_hosts", "-o", "IdentitiesOnly=yes",
             "-i", str(key), f"gameday@{MANAGEMENT}", *argv],
            capture_output=True, text=True, timeout=SSH_TIMEOUT_S, check=False, input=stdin,
        )  # fmt: skip

    def gameday(
        self, *argv: str, home: Path, timeout_s: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """gameday's command line as a user has it, with ``home`` as the home directory."""
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / "config"), "PYTHONPATH": str(REPOSITORY),
        }  # fmt: skip
        return subprocess.run(
            [sys.executable, "-m", "gameday.cli.main", *argv], capture_output=True, text=True,
            cwd=home, env=environment, timeout=timeout_s, check=False,
        )  # fmt: skip

    def step_clock(self, seconds: float) -> None:
        """Step the node's wall clock; the monotonic one goes on."""
        self.tool("step", str(seconds))

    def settled(self, timeout_s: float = EXEC_TIMEOUT_S) -> list[str]:
        """Wait until systemd has nothing more to start; units that failed."""
        self.exec("systemctl", "is-system-running", "--wait", timeout_s=timeout_s, check=False)
        out = self.exec("systemctl", "list-units", "--failed", "--plain", "--no-legend")
        return [line.split()[0] for line in out.splitlines()]

    def _prepare(self) -> None:
        """Keys, inventory, the controller's namespace with its ends of the links, the disk."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.share.mkdir(exist_ok=True)
        # It dies with the thread that starts it, as the machine does.
        self._controller = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "sleep", "infinity"]
        )
        system.wait_own_netns(self._controller.pid)
        lines = ["link set lo up"]
        for tap, address in (("r0", CONTROLLER), ("r1", PEER)):
            # gso_max_segs: see gameday/lab/lab.py.
            lines += [f"tuntap add dev {tap} mode tap", f"link set {tap} gso_max_segs 1",
                      f"addr add {address}/24 dev {tap}", f"link set {tap} up"]  # fmt: skip
        system.ip_batch(self._controller.pid, "\n".join(lines) + "\n")
        client, host = self.directory / "id_ed25519", self.directory / "host_ed25519"
        for path in (client, host):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            _keygen(path)
        public = host.with_suffix(".pub").read_text(encoding="ascii").strip()
        (self.directory / "known_hosts").write_text(f"{MANAGEMENT} {public}\n", encoding="ascii")
        self.inventory.write_text(yaml.safe_dump(self._inventory()), encoding="utf-8")
        if not self._disk.exists():
            image.make(self._disk, self.share, host, client.with_suffix(".pub").read_text())

    def _inventory(self) -> dict[str, object]:
        host = {"ansible_host": MANAGEMENT, "gameday_addresses": [OWN]}
        return {
            "all": {
                "vars": {
                    "ansible_user": "gameday",
                    "ansible_ssh_private_key_file": f"{self.directory}/id_ed25519",
                    "ansible_python_interpreter": "/usr/bin/python3",
                    "gameday_known_hosts": f"{self.directory}/known_hosts",
                    "gameday_controller_netns": self.netns,
                    "gameday_management": ["198.19.1.0/24"],
                },
                "children": {
                    "sites": {"children": {"here": {"hosts": {"node": host}}}},
                    "roles": {"children": {"server": {"hosts": {"node": {}}}}},
                },
            }
        }


class Controller:
    """The agent on the node, called from the controller's namespace over SSH."""

    def __init__(self, machine: SystemdMachine, user: str = "gameday") -> None:
        directory = machine.directory
        address = Address(
            "node", MANAGEMENT, 22, user, str(directory / "id_ed25519"),
            str(directory / "known_hosts"), "/usr/bin/python3",
        )  # fmt: skip
        # Only this thread and those that it starts move to the namespace.
        self._pool = ThreadPoolExecutor(1, initializer=enter, initargs=(machine.netns,))
        self._agent = Agent(address)

    def __enter__(self) -> Controller:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.submit(self._agent.close).result()
        self._pool.shutdown()

    def call(self, name: str, **arguments: Any) -> Any:
        """As ``Agent.call``."""
        return self._pool.submit(self._agent.call, name, **arguments).result()


def _keygen(path: Path) -> None:
    system.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)])
