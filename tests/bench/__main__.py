# SPDX-License-Identifier: Apache-2.0
"""Run all benchmarks and write docs/benchmarks.md: ``python -m tests.bench [OPTION]``.

--quick measures two sizes once and prints the page without writing it; --workers only measures
nodes behind remote workers, a few real ones and hundreds of simulated ones, and writes that part of
the page; --workers NODES [SECONDS] prints it for so many simulated nodes that are cut off for so
long; --clean only removes what a killed benchmark left. Exit code 1 where something that is asked
was not reached.
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
from tests.bench import arming, changes, footprint, load, page, relayed, volume
from tests.bench.estate import Estate
from tests.bench.simulated_estate import SimulatedEstate

PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
PLAN = ((5, 6, 2), (10, 2, 1), (20, 2, 1), (50, 4, 2))
"""Nodes, cuts, and after how many of them Ansible runs."""

QUICK = ((2, 1, 1), (5, 1, 1))

RELAYED = ((10, False, None), (10, True, None), (100, True, None), (500, True, None))
"""Nodes behind remote workers, whether they are simulated, and the window's seconds, None where it
follows from the number."""

VOLUME = 5_000_000
"""Samples in the record that is measured."""


def main(arguments: list[str]) -> int:
    """Dispatch; returns the exit code."""
    sizes: tuple[tuple[int, bool, int | None], ...] = RELAYED
    numbers = [int(word) for word in arguments[1:] if word.isdigit()]
    if arguments[:1] == ["--workers"] and len(arguments) - 1 == len(numbers) in (1, 2):
        sizes = ((numbers[0], True, numbers[1] if numbers[1:] else None),)
        arguments = arguments[:1]
    if arguments not in ([], ["--quick"], ["--workers"], ["--clean"]):
        sys.stderr.write(__doc__ or "")
        return 2
    if arguments == ["--clean"]:
        Estate(0).down()
        return 0
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    signal.signal(signal.SIGTERM, stop)
    try:
        if arguments == ["--workers"]:
            return workers(sizes)
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
        part = page.part(PAGE)
        PAGE.write_text(text, encoding="utf-8")
        page.write_part(PAGE, part)
        say(f"written: {PAGE}")
    else:
        sys.stdout.write(text)
    missed = page.missed(found)
    for line in missed:
        say(f"not reached: {line}")
    return 1 if missed else 0


def workers(sizes: tuple[tuple[int, bool, int | None], ...]) -> int:
    """Measure each size on an estate of its own; returns the exit code."""
    system.check_machine({})
    found = []
    back = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    for nodes, simulated, seconds in sizes:
        begin = clock.mono_ns()
        with (SimulatedEstate if simulated else Estate)(nodes) as estate:
            say(f"{nodes} nodes are up after {(clock.mono_ns() - begin) / NS_PER_S:.0f} s")
            netns.enter(f"/proc/{estate.pids['ctl']}/ns/net")
            try:
                found.append(relayed.measure(estate, seconds or relayed.window_s(nodes)))
            finally:
                netns.enter(f"/proc/self/fd/{back}")
        say(f"{found[-1]}")
    os.close(back)
    if sizes == RELAYED:
        page.write_part(PAGE, relayed.table(found))
        say(f"written: {PAGE}")
    else:
        sys.stdout.write(relayed.table(found) + "\n")
    return 0 if all(one.clean and not one.lost for one in found) else 1


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
