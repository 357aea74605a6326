# SPDX-License-Identifier: Apache-2.0
"""A whole kernel as one process, in which tests do what the host's kernel lacks or must not see.

Debian's user-mode-linux boots once on a copy-on-write view of the host's files, in mount,
network and PID namespaces of its own, and then runs Python files of ``tests/uml/inside`` on
demand, each in a fresh process with its own network, PID and mount namespace. Jobs and their
results are JSON files in a directory that both sides see. What a job leaves in the kernel
beyond its namespaces (device-mapper, loop devices, cgroups) it must remove itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from gameday import clock
from gameday.lab import routers, system

REPOSITORY = Path(__file__).resolve().parents[2]
INSIDE = Path(__file__).parent / "inside"

MEMORY_MIB = 384
DISK_MIB = 1024
"""/dev/ubda, a scratch disk for tests; sparse, so it takes what is written to it."""

BOOT_TIMEOUT_S = 180
"""Takes 2 to 4 s, and 15 on a busy machine with two cores; nobody waits longer than it takes."""

GRACE_S = 60
"""Over a job's own time limit, before the machine is given up and killed."""

POLL_NS = 10 * clock.NS_PER_MS


class MachineFailed(Exception):
    """The machine did not boot, or stopped answering; with the end of its console."""


class JobFailed(AssertionError):
    """A job raised, died or took too long; with its traceback and its output."""


class Kernel:
    """One user-mode-linux process and the directory that both sides see.

    Attributes:
        share: that directory, writable, at the same path on both.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.share = directory / "share"
        self._process: subprocess.Popen[bytes] | None = None
        self._jobs = 0

    @property
    def runs(self) -> bool:
        """Whether its process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self, init: str, *options: str, netns: str = "") -> None:
        """Boot with ``init`` as the text of process 1's script, and wait until it takes jobs.

        Args:
            options: more words for the kernel's command line.
            netns: path of the network namespace that its taps are in; its own if empty.

        Raises:
            MachineFailed: with the end of the console.
        """
        self.share.mkdir(parents=True, exist_ok=True)
        (self.directory / "memory").mkdir(exist_ok=True)
        # What an earlier boot did not finish must not run again.
        for path in self.share.iterdir():
            path.unlink()
        script = self.directory / "init.sh"
        script.write_text(init, encoding="utf-8")
        script.chmod(0o755)
        with open(self.directory / "console", "ab") as console:
            self._process = subprocess.Popen(
                [*argv(self.directory, netns), *options], stdin=subprocess.DEVNULL,
                stdout=console, stderr=subprocess.STDOUT, start_new_session=True, cwd="/",
                env={"PATH": system.PATH, "HOME": "/root",
                     "TMPDIR": str(self.directory / "memory")},
            )  # fmt: skip
        self._wait(self.share / "ready.result", BOOT_TIMEOUT_S, "boot")

    def ask(self, job: dict[str, Any]) -> dict[str, Any]:
        """Have a job done that ``inside/init.py`` knows; its answer, and its output as "log".

        Raises:
            MachineFailed: where the machine did not answer.
        """
        name = self.post(job)
        answer = self._wait(self.share / f"{name}.result", job["timeout_s"] + GRACE_S, "job")
        said = (self.share / f"{name}.log").read_text(encoding="utf-8", errors="replace")
        return {**answer, "log": said}

    def post(self, job: dict[str, Any]) -> str:
        """Have a job done without waiting for it; returns its name."""
        self._jobs += 1
        name = f"{self._jobs:04d}"
        draft = self.share / f"{name}.draft"
        draft.write_text(json.dumps(job), encoding="utf-8")
        draft.rename(self.share / f"{name}.job")
        return name

    def console(self) -> str:
        """What the kernel and process 1 said."""
        with contextlib.suppress(OSError):
            return (self.directory / "console").read_text(encoding="utf-8", errors="replace")
        return ""

    def kill(self) -> None:
        """End it at once with everything in it, as a power cut does; idempotent."""
        process, self._process = self._process, None
        if process is None:
            return
        # The kernel kills all of a PID namespace with its process 1, which --kill-child ends.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)

    def _wait(self, path: Path, timeout_s: float, what: str) -> dict[str, Any]:
        deadline = clock.mono_ns() + int(timeout_s * clock.NS_PER_S)
        while not path.exists():
            died = not self.runs
            if died or clock.mono_ns() > deadline:
                self.kill()
                how = "the machine died" if died else f"no answer in {timeout_s:.0f} s"
                raise MachineFailed(f"{what}: {how}\n--- console:\n{self.console()[-4000:]}")
            clock.sleep_until_mono(clock.mono_ns() + POLL_NS)
        answer: dict[str, Any] = json.loads(path.read_bytes())
        return answer


class Machine(Kernel):
    """Runs Python files; boots with the first one, and again after one that broke it."""

    def run(
        self,
        script: str,
        arguments: dict[str, Any] | None = None,
        *,
        function: str = "main",
        timeout_s: float = 60,
    ) -> Any:
        """Call ``function(**arguments)`` of a Python file inside; returns what it returns.

        Args:
            script: path from the repository's root, or a name in ``tests/uml/inside``.
            arguments: JSON; so is what comes back.
            timeout_s: by the machine's own clock; then the job is killed with all its children.

        Raises:
            JobFailed: where the function raised, or took too long.
            MachineFailed: where the machine itself did not answer.
        """
        self.up()
        path = REPOSITORY / script
        if not path.exists():
            path = INSIDE / script
        answer = self.ask({"script": str(path), "function": function,
                           "arguments": arguments or {}, "timeout_s": timeout_s})  # fmt: skip
        if "ok" not in answer:
            raise JobFailed(
                f"{script} {function}: {answer['error']}\n--- its output:\n{answer['log']}"
            )
        return answer["ok"]

    def up(self) -> None:
        """Boot, unless it runs.

        Raises:
            MachineFailed: with the end of the console.
        """
        if self.runs:
            return
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        disk = self.directory / "disk"
        disk.touch()
        os.truncate(disk, DISK_MIB << 20)
        self.start(init_script(self.directory), f"ubd0={disk}")

    def down(self) -> None:
        """Kill it with everything in it; idempotent."""
        self.kill()


def argv(directory: Path, netns: str = "") -> list[str]:
    """user-mode-linux in namespaces of its own, which dies with the thread that starts it."""
    # Its memory is a file that is executed from: on a tmpfs of its own, gone with the namespace.
    mount = f'mount -t tmpfs -o size={MEMORY_MIB + 32}m tmpfs {directory}/memory && exec "$@"'
    network = ["nsenter", f"--net={netns}", "unshare"] if netns else ["unshare", "--net"]
    return [
        "setpriv", "--pdeathsig", "KILL",
        *network, "--mount", "--pid", "--fork", "--kill-child",
        "sh", "-c", mount, "sh",
        "linux.uml", f"uml_dir={directory}/memory", "rootfstype=hostfs", "root=/dev/root", "ro",
        f"mem={MEMORY_MIB}M", f"init={directory}/init.sh",
        "con=null", "con0=null,fd:1", "quiet", "loglevel=4",
    ]  # fmt: skip


def init_script(directory: Path) -> str:
    """Process 1, as long as it is a shell: the file systems; then it becomes init.py.

    The root is an overlay, so that a test can write anywhere and the host sees nothing of it.
    Kernel threads follow ``pivot_root``: modprobe, which they start, finds the modules there.
    """
    modules = routers.uml_modules()
    return f"""#!/bin/sh
set -e
export PATH={system.PATH} HOME=/root LANG=C.UTF-8
mount -t proc proc /proc
mount -t tmpfs tmpfs /tmp
mkdir -p /tmp/upper /tmp/work /tmp/root /tmp/first/lib/modules
ln -s {modules} /tmp/first/lib/modules/$(uname -r)
modprobe -d /tmp/first overlay
mount -t overlay overlay -o lowerdir=/,upperdir=/tmp/upper,workdir=/tmp/work /tmp/root
cd /tmp/root
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t devtmpfs dev dev
mkdir -p dev/pts dev/shm lib/modules
mount -t devpts devpts dev/pts
mount -t tmpfs tmpfs dev/shm
mount -t tmpfs -o mode=755 tmpfs run
mkdir run/old
pivot_root . run/old
cd /
rm -rf /lib/modules/$(uname -r)
ln -s {modules} /lib/modules/$(uname -r)
mount -t cgroup2 cgroup /sys/fs/cgroup
for one in cpu io memory pids; do echo +$one > /sys/fs/cgroup/cgroup.subtree_control || :; done
mount -t hostfs -o {directory}/share none {directory}/share
hostname uml
ip link set lo up
ulimit -n 4096
export PYTHONPATH={REPOSITORY} PYTHONDONTWRITEBYTECODE=1
exec {sys.executable} {INSIDE}/init.py {directory}/share
"""
