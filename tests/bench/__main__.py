# SPDX-License-Identifier: Apache-2.0
"""Run all benchmarks and write docs/benchmarks.md: ``python -m tests.bench [--quick | --clean]``.

--quick measures two sizes once and prints the page without writing it; --clean only removes what
a killed benchmark left. Exit code 1 where something that is asked was not reached.
"""

from __future__ import annotations

import logging
import os
import platform
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import structlog

from gameday import clock
from gameday.clock import NS_PER_S
from gameday.errors import CannotRun, GamedayError
from gameday.lab import system
from gameday.transport import netns
from tests.bench import arming, changes, footprint, load, page, volume
from tests.bench.estate import Estate

PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
PLAN = ((5, 6, 2), (10, 2, 1), (20, 2, 1), (50, 4, 2))
"""Nodes, cuts, and after how many of them Ansible runs."""

QUICK = ((2, 1, 1), (5, 1, 1))


VOLUME = 5_000_000
"""Samples in the record that is measured."""


def main(arguments: list[str]) -> int:
    """Dispatch; returns the exit code."""
    if arguments not in ([], ["--quick"], ["--clean"]):
        sys.stderr.write(__doc__ or "")
        return 2
    if arguments == ["--clean"]:
        Estate(0).down()
        return 0
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    signal.signal(signal.SIGTERM, stop)
    try:
        return bench(QUICK if arguments else PLAN, not arguments)
    except GamedayError as error:
        for line in (error.message, *getattr(error, "problems", ())):
            say(line)
        return error.exit_code


def bench(plan: tuple[tuple[int, int, int], ...], write: bool) -> int:
    """Measure everything on one estate; returns the exit code."""
    system.check_machine({})
    begin = clock.mono_ns()
    with Estate(max(nodes for nodes, _, _ in plan)) as estate:
        say(f"{len(estate.names)} nodes are up")
        netns.enter(f"/proc/{estate.pids['ctl']}/ns/net")
        cost = footprint.measure(estate)
        say("agent measured on one node")
        push_s = arming.push(estate)
        say(f"agent pushed to all nodes in {push_s:.1f} s")
        sizes = []
        for nodes, cuts, ansible in plan:
            sizes.append(arming.measure(estate, nodes, cuts, ansible))
            say(f"{nodes} nodes: armed in {min(sizes[-1].arm_s):.2f} s")
        carried = load.measure(estate, load.SECONDS if write else load.SECONDS // 60)
        say(f"{carried.delivered} samples collected, {carried.lost} lost")
    changed = changes.measure()
    with tempfile.TemporaryDirectory(prefix="gameday-bench-") as directory:
        many = volume.measure(Path(directory), VOLUME if write else VOLUME // 20)
    say(f"{many.samples} samples measured and reported in {many.wall_s:.1f} s")
    minutes = -(-(clock.mono_ns() - begin) // (60 * NS_PER_S))
    found = page.Measured(facts(), sizes, push_s, cost, changed, many, carried, minutes)
    text = page.render(found)
    if write:
        PAGE.write_text(text, encoding="utf-8")
        say(f"written: {PAGE}")
    else:
        sys.stdout.write(text)
    missed = page.missed(found)
    for line in missed:
        say(f"not reached: {line}")
    return 1 if missed else 0


def facts() -> list[tuple[str, str]]:
    """What the figures depend on."""
    cpu = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = next((x.split(":")[1].strip() for x in cpu.splitlines() if "model name" in x), "?")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    ansible = _version("ansible-core")
    return [
        ("cores", f"{os.cpu_count()} ({model})"), ("memory", f"{memory} GiB"),
        ("kernel", platform.release()), ("Python of the controller", platform.python_version()),
        ("Python of the nodes", system.run(["/usr/bin/python3", "--version"]).split()[1]),
        ("iptables", system.run(["iptables", "--version"]).strip()),
        ("sshd", _version_of_sshd()), ("ansible-core", ansible),
    ]  # fmt: skip


def _version(distribution: str) -> str:
    from importlib.metadata import version

    return version(distribution)


def _version_of_sshd() -> str:
    return system.run(["dpkg-query", "-W", "-f", "${Version}", "openssh-server"])


def stop(number: int, frame: Any) -> None:
    """End in an orderly way, with the estate removed."""
    raise CannotRun(f"ended by signal {number}")


def say(line: str) -> None:
    """Progress goes to standard error."""
    sys.stderr.write(f"bench: {line}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
