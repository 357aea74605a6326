# SPDX-License-Identifier: Apache-2.0
"""Process 1 of a lab node: mounts, addresses, services. Standard library only.

    python3 init.py <node directory>

Runs until killed; everything in the node dies with it, since it is process 1 of the node's
own PID namespace. A service that ends is started again after a pause, as systemd would.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from typing import Any

RESTART_S = 1.0
RESTARTS_MAX = 1000
"""A member whose disk is read-only for a minute ends sixty times; one that never works does not
go on for days."""
LINK_WAIT_S = 20

Started = tuple[str, "subprocess.Popen[bytes]"]
"""A service that runs. The object is kept: where it goes, ``subprocess`` collects its process
at some later start, and nobody hears that the service ended."""


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def isolate(home: str) -> None:
    """Own /etc, /run, /tmp, /var/lib, /var/log, /home below the node's directory."""
    mount("--make-rprivate", "/")
    mount("-t", "proc", "proc", "/proc")
    mount("-t", "sysfs", "sysfs", "/sys")
    upper, work = home + "/etc", home + "/etc-work"
    mount(
        "-t", "overlay", "overlay", "-o", f"lowerdir=/etc,upperdir={upper},workdir={work}", "/etc"
    )
    for name, target in (("lib", "/var/lib"), ("log", "/var/log"), ("home", "/home")):
        mount("--bind", home + "/" + name, target)
    mount("-t", "tmpfs", "tmpfs", "/tmp")  # noqa: S108 - the node's own
    mount("-t", "tmpfs", "tmpfs", "/root")
    mount("--bind", home + "/run", "/run")
    os.makedirs("/run/sshd", exist_ok=True)


def disks(points: list[str]) -> None:
    """File systems of their own, so that what happens to one happens to nothing else."""
    for point in points:
        os.makedirs(point, mode=0o700, exist_ok=True)
        mount("-t", "tmpfs", "-o", "mode=0700", "tmpfs", point)


def wait_links(names: list[str]) -> None:
    """Interfaces are moved in from outside; wait for them, with a bound."""
    deadline = time.monotonic() + LINK_WAIT_S  # gameday.clock is not here
    while not all(os.path.exists("/sys/class/net/" + name) for name in names):
        if time.monotonic() > deadline:
            sys.exit(f"interfaces {names} did not appear")
        time.sleep(0.02)


def start(service: dict[str, Any]) -> subprocess.Popen[bytes]:
    """Start a service with its log."""
    with open(f"/var/log/{service['name']}.log", "ab") as log:
        return subprocess.Popen(
            service["argv"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"},
        )  # fmt: skip


def may_start(service: dict[str, Any]) -> bool:
    """Whether what the service waits for is there, and nobody holds it back."""
    if os.path.exists(f"/run/lab-hold-{service['name']}"):
        return False
    return not service["after"] or os.path.exists(service["after"])


def ended(running: dict[int, Started]) -> list[str]:
    """Collect every process that ended; names of those that are services."""
    found: list[str] = []
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        if pid in running:
            found.append(running.pop(pid)[0])


def main(home: str) -> None:
    with open(home + "/spec.json") as file:
        spec = json.load(file)
    socket.sethostname(spec["name"])
    isolate(home)
    disks(spec["disks"])
    wait_links(spec["links"])
    subprocess.run(["ip", "-batch", "-"], input=spec["ip"].encode(), check=True)
    running: dict[int, Started] = {}
    due: dict[str, float] = {}
    count: dict[str, int] = {}
    for service in spec["services"]:
        due[service["name"]] = 0.0
    services = {service["name"]: service for service in spec["services"]}
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        now = time.monotonic()
        for name in [n for n, when in due.items() if when <= now and may_start(services[n])]:
            del due[name]
            process = start(services[name])
            running[process.pid] = (name, process)
        for name in ended(running):
            if count.setdefault(name, 0) < RESTARTS_MAX:
                count[name] += 1
                due[name] = time.monotonic() + RESTART_S
        time.sleep(0.05)


main(sys.argv[1])
