# SPDX-License-Identifier: Apache-2.0
"""What the lab needs of this machine: commands, processes, namespaces, mounts."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from gameday import clock
from gameday.errors import CannotRun

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
WAIT_S = 10

PROGRAMS = {
    "ip": "iproute2", "tc": "iproute2", "unshare": "util-linux", "nsenter": "util-linux",
    "etcd": "etcd-server", "gdnsd": "gdnsd", "nginx": "nginx-light", "sshd": "openssh-server",
    "ssh-keygen": "openssh-client", "sudo": "sudo", "iptables": "iptables",
    "ping": "iputils-ping",
}  # fmt: skip
"""Program to the Debian package that has it; ``optional.TABLE`` has those of optional parts."""


def check_machine(more: Mapping[str, str], missing: Sequence[str] = ()) -> None:
    """Is everything there that the lab needs?

    Args:
        more: programs of its optional parts, to the packages that have them.
        missing: what else its optional parts miss, in words.

    Raises:
        CannotRun: with everything that is missing and what to do.
    """
    problems = list(missing)
    if os.geteuid() != 0:
        problems.append("the lab needs root, for namespaces: run it with sudo")
    programs = {**PROGRAMS, **more}
    absent = {name for name in programs if not shutil.which(name, path=PATH)}
    packages = sorted({programs[name] for name in absent})
    if packages:
        problems.append(f"Debian packages are missing: apt-get install {' '.join(packages)}")
    if not problems:
        if run_ok(["unshare", "--net", "--mount", "--uts", "--ipc", "--pid", "--cgroup", "--fork",
                   "true"]):  # fmt: skip
            problems.append("this kernel or container does not let us make namespaces (unshare)")
        if "overlay" not in Path("/proc/filesystems").read_text(encoding="ascii"):
            run_ok(["modprobe", "overlay"])
        if "overlay" not in Path("/proc/filesystems").read_text(encoding="ascii"):
            problems.append("the kernel has no overlayfs (CONFIG_OVERLAY_FS)")
        if not has_netem():
            if not shutil.which("linux.uml", path=PATH):
                problems.append(
                    "the kernel has no netem (sch_netem), and there is no user-mode-linux to "
                    "replace it: apt-get install user-mode-linux"
                )
            if not Path("/dev/net/tun").exists():
                problems.append("the kernel has no tun device, which user-mode-linux needs")
    if problems:
        raise CannotRun("this machine cannot run the lab", problems=problems)


def has_netem() -> bool:
    """Whether a netem qdisc can be made, tried in a namespace that is thrown away."""
    argv = ["unshare", "--net", "tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"]
    return not run_ok(argv)


def run_ok(argv: Sequence[str]) -> int:
    """Exit status of a command whose output does not matter."""
    return subprocess.run(
        list(argv), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={"PATH": PATH}, check=False,
    ).returncode  # fmt: skip


def run(argv: Sequence[str], stdin: str = "") -> str:
    """Output of a command that must succeed.

    Raises:
        CannotRun: with what it said.
    """
    done = subprocess.run(
        list(argv), input=stdin, capture_output=True, text=True, check=False,
        env={"PATH": PATH}, timeout=60,
    )  # fmt: skip
    if done.returncode != 0:
        raise CannotRun(f"{' '.join(argv)} failed: {(done.stderr or done.stdout).strip()[:500]}")
    return done.stdout


def ip_batch(pid: int, lines: str) -> None:
    """Apply ``ip -batch`` lines in the network namespace of a process.

    Raises:
        CannotRun: with what ip said.
    """
    run(["nsenter", f"--net=/proc/{pid}/ns/net", "ip", "-batch", "-"], lines)


def wait_own_netns(pid: int) -> None:
    """Wait until a process that we started has left our network namespace.

    Raises:
        CannotRun: where it died, or did not do so in time.
    """
    ours = os.readlink("/proc/self/ns/net")
    deadline = clock.mono_ns() + WAIT_S * clock.NS_PER_S
    while clock.mono_ns() < deadline:
        try:
            if os.readlink(f"/proc/{pid}/ns/net") != ours:
                return
        except OSError as error:
            raise CannotRun(f"a process of the lab died at once: {error}") from error
        clock.sleep_until_mono(clock.mono_ns() + 5 * clock.NS_PER_MS)
    raise CannotRun("a process of the lab did not make its namespaces")


def only_child(pid: int) -> int:
    """The child of ``unshare --fork``: process 1 of the new PID namespace.

    Raises:
        CannotRun: where it is gone.
    """
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:
        children = []
    if not children:
        raise CannotRun("a node of the lab is dead", "gameday lab up makes it anew")
    return int(children[0])


def marked(mark: str) -> list[int]:
    """Processes whose environment holds ``mark``; zombies have none."""
    wanted, found = mark.encode(), []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            environment = Path(f"/proc/{entry}/environ").read_bytes()
        except OSError:
            continue
        if wanted in environment.split(b"\0"):
            found.append(int(entry))
    return sorted(found)


def end_marked(mark: str, timeout_s: float) -> int:
    """Kill every process whose environment holds ``mark``; returns how many there were.

    Raises:
        CannotRun: where some are still there after ``timeout_s``.
    """
    found = len(marked(mark))
    deadline = clock.mono_ns() + int(timeout_s * clock.NS_PER_S)
    while pids := marked(mark):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        reap_children()
        if clock.mono_ns() > deadline:
            raise CannotRun(f"processes with {mark} will not die: {pids}")
        clock.sleep_until_mono(clock.mono_ns() + 20 * clock.NS_PER_MS)
    return found


def remove_tree(directory: Path) -> None:
    """Unmount whatever is mounted below a directory, and remove it."""
    for point in mounts_below(directory):
        run(["umount", "--lazy", point])
    shutil.rmtree(directory, ignore_errors=True)


def mounts_below(directory: Path) -> list[str]:
    """Mount points below a directory, deepest first."""
    prefix = f"{directory}/"
    with open("/proc/self/mounts", encoding="utf-8") as file:
        points = [line.split()[1] for line in file]
    return sorted((p for p in points if p.startswith(prefix)), key=len, reverse=True)


def reap_children() -> None:
    """Collect children of ours that ended."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
