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

RESTART_S = 1.0
RESTARTS_MAX = 100
LINK_WAIT_S = 20


def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)


def isolate(home):
    """Own /etc, /run, /tmp, /var/lib, /var/log, /home below the node's directory."""
    mount("--make-rprivate", "/")
    mount("-t", "proc", "proc", "/proc")
    mount("-t", "sysfs", "sysfs", "/sys")
    upper, work = home + "/etc", home + "/etc-work"
    mount("-t", "overlay", "overlay", "-o",
          "lowerdir=/etc,upperdir=%s,workdir=%s" % (upper, work), "/etc")
    for name, target in (("lib", "/var/lib"), ("log", "/var/log"), ("home", "/home")):
        mount("--bind", home + "/" + name, target)
    mount("-t", "tmpfs", "tmpfs", "/tmp")
    mount("-t", "tmpfs", "tmpfs", "/root")
    mount("--bind", home + "/run", "/run")
    os.makedirs("/run/sshd", exist_ok=True)


def wait_links(names):
    """Interfaces are moved in from outside; wait for them, with a bound."""
    deadline = time.monotonic() + LINK_WAIT_S  # gameday.clock is not here
    while not all(os.path.exists("/sys/class/net/" + name) for name in names):
        if time.monotonic() > deadline:
            sys.exit("interfaces %s did not appear" % names)
        time.sleep(0.02)


def start(service):
    log = open("/var/log/%s.log" % service["name"], "ab")
    return subprocess.Popen(
        service["argv"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", **service.get("env", {})},
    )


def main(home):
    with open(home + "/spec.json") as file:
        spec = json.load(file)
    socket.sethostname(spec["name"])
    isolate(home)
    wait_links(spec["links"])
    subprocess.run(["ip", "-batch", "-"], input=spec["ip"].encode(), check=True)
    running, due, count = {}, {}, {}
    for service in spec["services"]:
        due[service["name"]] = 0.0
    services = {service["name"]: service for service in spec["services"]}
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        now = time.monotonic()
        for name in [n for n, when in due.items() if when <= now]:
            del due[name]
            running[start(services[name]).pid] = name
        try:
            while True:
                pid, _ = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                name = running.pop(pid, None)
                if name and count.setdefault(name, 0) < RESTARTS_MAX:
                    count[name] += 1
                    due[name] = time.monotonic() + RESTART_S
        except ChildProcessError:
            pass  # Nothing runs at this moment; what is due is started next.
        time.sleep(0.05)


main(sys.argv[1])
