# SPDX-License-Identifier: Apache-2.0
"""What every other job relies on: modules, cgroups, own namespaces, a scratch disk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from gameday import clock

WANTED = ("loop", "dm_mod", "dm_delay", "dm_flakey", "ext4", "xfs", "sch_netem", "sch_prio",
          "sch_htb", "sch_tbf", "ifb", "em_ipset", "act_mirred", "cls_basic", "ip_set",
          "ip_set_hash_net", "xt_set", "xt_time", "xt_comment",
          "xt_CLASSIFY", "nft_compat")  # fmt: skip


def main() -> dict[str, Any]:
    """What this kernel and this job's namespaces have."""
    missing = [one for one in WANTED if _run("modprobe", one)[0]]
    _, links = _run("ip", "-o", "link")
    return {
        "release": os.uname().release,
        "missing": missing,
        "controllers": Path("/sys/fs/cgroup/cgroup.subtree_control").read_text().split(),
        "links": [line.split(":")[1].strip() for line in links.splitlines()],
        "sys_links": sorted(os.listdir("/sys/class/net")),
        "pid": os.getpid(),
        "disk_mib": int(Path("/sys/block/ubda/size").read_text()) >> 11,
    }


def ping_with_delay(delay_ms: int) -> dict[str, Any]:
    """Round trip between two namespaces of this job, with a netem qdisc made by tc."""
    for argv in (
        ["ip", "link", "add", "name", "near", "type", "veth", "peer", "name", "far"],
        ["ip", "netns", "add", "other"],
        ["ip", "link", "set", "far", "netns", "other"],
        ["ip", "addr", "add", "198.18.0.1/24", "dev", "near"],
        ["ip", "link", "set", "near", "up"],
        ["ip", "-n", "other", "addr", "add", "198.18.0.2/24", "dev", "far"],
        ["ip", "-n", "other", "link", "set", "far", "up"],
        ["tc", "qdisc", "add", "dev", "near", "root", "netem", "delay", f"{delay_ms}ms"],
    ):  # fmt: skip
        status, said = _run(*argv)
        assert status == 0, f"{argv}: {said}"
    _, said = _run("ping", "-n", "-c", "5", "-i", "0.2", "198.18.0.2")
    summary = said.strip().splitlines()[-1]
    return {"rtt_min_ms": float(summary.split("=")[1].split("/")[0])}


def dirty() -> str:
    """Leaves a namespace's link, a state file, a process and an own root file behind."""
    _run("ip", "link", "add", "left", "type", "dummy")
    Path("/var/lib/gameday/left").touch()
    left = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    return str(left.pid)


def state() -> list[str]:
    """What a job finds of those before it."""
    _, links = _run("ip", "-o", "link")
    _, sleeps = _run("pgrep", "-x", "sleep")
    return [*os.listdir("/var/lib/gameday"), *sleeps.split(),
            *(line.split(":")[1].strip() for line in links.splitlines())]  # fmt: skip


def fail() -> None:
    """Says something and raises."""
    sys.stderr.write("this is what it said\n")
    raise ValueError("on purpose")


def hang() -> None:
    """Does not end."""
    while True:
        clock.sleep_until_mono(clock.mono_ns() + clock.NS_PER_S)


def _run(*argv: str) -> tuple[int, str]:
    done = subprocess.run(list(argv), capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr
