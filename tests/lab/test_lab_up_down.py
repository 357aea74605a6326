# SPDX-License-Identifier: Apache-2.0
"""The lab itself, for real: it comes up, is what it says, and goes without a trace.

Uses a lab of its own by name, so a lab that somebody works with stays as it is.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest

from gameday import clock
from gameday.lab import Lab
from gameday.lab import topology as t

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="the lab needs root, for namespaces"),
]

NAME = "updown"
CLI = [sys.executable, "-m", "gameday.cli.main", "lab"]
RTT_MARGIN_MS = 6
"""A busy machine adds some; netem itself stays within 0.5 ms."""


def cli(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CLI, *arguments], capture_output=True, text=True, timeout=120, check=False
    )


def machine_network() -> str:
    """All that the lab must leave alone in the machine's own network namespace."""
    commands = (["ip", "-o", "link"], ["ip", "-o", "addr"], ["ip", "route"], ["ip", "rule"],
                ["iptables-save"], ["ip6tables-save"])  # fmt: skip
    found = [Path("/proc/sys/net/ipv4/ip_forward").read_text(encoding="ascii")]
    for argv in commands:
        found.append(subprocess.run(argv, capture_output=True, text=True, check=False).stdout)
    # Lifetimes and comments with a date change by themselves.
    return re.sub(r"(valid_lft|preferred_lft) \S+|#.*", "", "\n".join(found))


def traces(lab: Lab) -> list[str]:
    """Whatever of a lab can be found on this machine."""
    found = [f"process {pid}" for pid in lab.processes()]
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if str(lab.state) in command:
            found.append(f"process {entry.name}: {command}")
    mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    found += [line for line in mounts if f"{lab.state}/" in line]
    if lab.state.exists():
        found.append(str(lab.state))
    return found


def ssh(
    lab: Lab, user: str, address: str, *command: str, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["nsenter", f"--net={lab.state}/ctl.netns", "ssh", "-F", "none", "-o", "BatchMode=yes",
         "-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={lab.state}/known_hosts",
         "-o", "IdentitiesOnly=yes", "-i", f"{lab.state}/id_ed25519", f"{user}@{address}",
         *command],
        capture_output=True, text=True, timeout=30, check=False, input=stdin,
    )  # fmt: skip


@pytest.fixture(scope="module")
def before() -> str:
    return machine_network()


@pytest.fixture(scope="module")
def lab(before: str) -> Iterator[Lab]:
    one = Lab(NAME)
    one.down()
    done = cli("up", "--name", NAME)
    assert done.returncode == 0, done.stdout + done.stderr
    yield one
    one.down()
    assert traces(one) == []


def test_status_is_healthy_and_the_leader_is_in_frankfurt(lab: Lab) -> None:
    done = cli("status", "--name", NAME, "--json")
    assert done.returncode == 0, done.stdout
    found = json.loads(done.stdout)
    assert found["healthy"]
    assert found["problems"] == []
    assert found["leader"] == t.LEADER


def test_the_machines_own_network_is_not_touched(lab: Lab, before: str) -> None:
    assert machine_network() == before


def test_the_lab_has_no_way_out(lab: Lab) -> None:
    # A TEST-NET-3 address: nobody's, so this finds a default route and harms nobody.
    for node in ("fra-1", "cli-1", "mon-1"):
        done = lab.exec(node, ["ip", "route", "get", "203.0.113.1"])
        assert done.returncode != 0, done.stdout
        assert "unreachable" in done.stderr


@pytest.mark.parametrize(("a", "b"), list(combinations(t.SITES, 2)), ids=lambda site: site.code)
def test_round_trips_between_sites_are_as_planned(lab: Lab, a: t.Site, b: t.Site) -> None:
    source = next(one for one in t.NODES if one.site == a.name)
    target = next(one for one in t.NODES if one.site == b.name)
    for address in (t.v4(target), t.v6(target)):
        done = lab.exec(source.name, ["ping", "-c", "6", "-i", "0.1", "-q", address])
        assert done.returncode == 0, done.stdout + done.stderr
        lowest = float(re.search(r"= ([\d.]+)/", done.stdout)[1])  # type: ignore[index]
        assert t.RTT_MS[(a.name, b.name)] <= lowest < t.RTT_MS[(a.name, b.name)] + RTT_MARGIN_MS


@pytest.mark.parametrize("node", t.NODES, ids=lambda node: node.name)
def test_a_node_is_reached_by_ssh_under_its_own_host_key_and_sudo_works(
    lab: Lab, node: t.Node
) -> None:
    done = ssh(lab, "gameday", node.management, "hostname; sudo -n id -u")
    assert done.stdout.split() == [node.name, "0"], done.stderr


@pytest.mark.parametrize("site", t.SITES, ids=lambda site: site.code)
def test_a_router_is_reached_by_ssh_and_shapes_its_links(lab: Lab, site: t.Site) -> None:
    done = ssh(lab, "gameday", t.router_management(site), "sudo -n tc qdisc show")
    assert done.stdout.count("netem") == len(t.SITES) - 1, done.stdout + done.stderr


def test_bulk_data_reaches_a_router(lab: Lab) -> None:
    """More than the sockets' buffers take; without care at its port this stalls for ever."""
    size = 4 << 20
    address = t.router_management(t.SITES[0])
    done = ssh(lab, "gameday", address, "wc -c", stdin="x" * size)
    assert done.stdout.strip() == str(size), done.stderr


def test_sudo_asks_ops_for_a_password(lab: Lab) -> None:
    done = ssh(lab, "ops", t.node("fra-1").management, "sudo -n id -u")
    assert done.returncode != 0
    assert "password" in done.stderr


def test_a_host_key_that_changed_is_refused(lab: Lab) -> None:
    known = lab.state / "known_hosts"
    good = known.read_text(encoding="ascii")
    mine, other = t.node("fra-1").management, t.node("lon-1").management
    key = next(line.split(" ", 1)[1] for line in good.splitlines() if line.startswith(f"{other} "))
    rest = [line for line in good.splitlines() if not line.startswith(f"{mine} ")]
    known.write_text("\n".join([*rest, f"{mine} {key}"]) + "\n", encoding="ascii")
    try:
        done = ssh(lab, "gameday", mine, "true")
    finally:
        known.write_text(good, encoding="ascii")
    assert done.returncode == 255
    assert "Host key verification failed" in done.stderr
    assert ssh(lab, "gameday", mine, "true").returncode == 0


def test_rules_in_one_node_are_seen_by_no_other_and_a_window_can_be_matched(lab: Lab) -> None:
    batch = (
        "*raw\n-A PREROUTING -m set --match-set lab-test src -m time"
        " --datestart 2036-01-01T00:00:00 --datestop 2036-01-02T00:00:00"
        ' -m comment --comment "lab test" -j DROP\nCOMMIT\n'
    )
    script = (
        "ipset create lab-test hash:net timeout 30 && ipset add lab-test 203.0.113.0/24 && "
        f"printf '{batch}' | iptables-restore --noflush -w && iptables-save -t raw"
    )
    undo = "iptables -t raw -D PREROUTING 1; iptables -t raw -X; ipset destroy lab-test"
    try:
        done = ssh(lab, "gameday", t.node("lon-1").management, f"sudo -n sh -c {quoted(script)}")
        assert "lab test" in done.stdout, done.stderr
        other = lab.exec("lon-2", ["iptables-save"])
        assert "lab test" not in other.stdout
    finally:
        lab.exec("lon-1", ["sh", "-c", undo])
    assert "lab test" not in lab.exec("lon-1", ["iptables-save"]).stdout


def quoted(script: str) -> str:
    return "'" + script.replace("'", "'\\''") + "'"


def test_a_service_that_is_killed_comes_back(lab: Lab) -> None:
    def pid_of_etcd() -> str:
        return lab.exec("ams-1", ["pgrep", "-x", "etcd"]).stdout.strip()

    first = pid_of_etcd()
    assert first
    assert lab.exec("ams-1", ["pkill", "-9", "-x", "etcd"]).returncode == 0
    deadline = clock.mono_ns() + 15 * clock.NS_PER_S
    while lab.status()["problems"] or pid_of_etcd() in ("", first):
        assert clock.mono_ns() < deadline, lab.status()
        clock.sleep_until_mono(clock.mono_ns() + 200 * clock.NS_PER_MS)


def test_up_on_a_running_lab_says_so_and_puts_the_leader_back(lab: Lab) -> None:
    before = lab.processes()
    endpoints = ",".join(f"{t.v4(one)}:{t.ETCD_CLIENT}" for one in t.with_role("etcd"))
    environment = ["env", "ETCDCTL_API=3", "etcdctl", f"--endpoints={endpoints}"]
    listing = lab.exec("fra-1", [*environment, "member", "list"]).stdout
    target = next(line.split(",")[0] for line in listing.splitlines() if "lon-1" in line)
    moved = lab.exec("fra-1", [*environment, "move-leader", target])
    assert moved.returncode == 0, moved.stderr
    assert lab.status()["leader"] == "lon-1"
    done = cli("up", "--name", NAME)
    assert done.returncode == 0, done.stderr
    assert "up already" in done.stdout
    assert lab.status()["leader"] == t.LEADER
    assert lab.processes() == before


def test_up_puts_the_routers_clock_right(lab: Lab) -> None:
    """Only where the routers have a kernel, and so a clock, of their own."""
    address = t.router_management(t.SITES[0])
    kernel = ssh(lab, "gameday", address, "cat /proc/cpuinfo").stdout
    if "User Mode Linux" not in kernel:
        assert "clock" not in cli("up", "--name", NAME).stdout
        return
    assert ssh(lab, "gameday", address, "sudo -n date -s '7 seconds ago'").returncode == 0
    done = cli("up", "--name", NAME)
    assert re.search(r"clock was -[67]\.\d+ s off and was stepped", done.stdout), done.stdout
    assert "clock" not in cli("up", "--name", NAME).stdout


def test_a_dead_node_is_told_and_up_makes_the_lab_anew(lab: Lab) -> None:
    os.kill(lab.pid("lon-1"), signal.SIGKILL)
    done = cli("status", "--name", NAME)
    assert done.returncode == 3
    assert "lon-1" in done.stdout
    done = cli("up", "--name", NAME)
    assert done.returncode == 0, done.stdout + done.stderr
    assert lab.status()["healthy"]


def test_down_after_kill_9_of_everything_leaves_nothing_and_is_idempotent(
    lab: Lab, before: str
) -> None:
    for pid in lab.processes():
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue  # It died with the one before it.
    assert lab.state.exists()
    assert cli("status", "--name", NAME).returncode == 3
    assert cli("down", "--name", NAME).returncode == 0
    assert traces(lab) == []
    assert cli("down", "--name", NAME).returncode == 0
    assert machine_network() == before


@pytest.mark.parametrize("after_ms", [200, 500, 1000, 3000])
def test_down_after_up_was_killed_half_way_leaves_nothing(after_ms: int) -> None:
    lab = Lab("halfway")
    starting = subprocess.Popen(
        [*CLI, "up", "--name", lab.name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    clock.sleep_until_mono(clock.mono_ns() + after_ms * clock.NS_PER_MS)
    starting.kill()
    starting.wait()
    assert cli("down", "--name", lab.name).returncode == 0
    assert traces(lab) == []
