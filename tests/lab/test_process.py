# SPDX-License-Identifier: Apache-2.0
"""``process`` on the real kernel: a container's freezer, in cgroups that the test made."""

from __future__ import annotations

import os
import secrets
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gameday.agent.system import processes_cgroup as cgroup
from gameday.agent.system.processes import RealProcesses
from gameday.clock import NS_PER_S, wall_ns
from gameday.faults.process import FAULT
from gameday.record.types import Lease
from tests.lab.drill import ROOT, Drill, wait


@pytest.fixture
def container() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A process in a cgroup called like a container's, by way of any freezer there is."""
    mounts = cgroup.mounts()
    root = Path(mounts.get("freezer") or mounts[""])
    name = secrets.token_hex(32)
    parent = root / f"gameday-test-{os.getpid()}"
    group = parent / name
    group.mkdir(parents=True)
    process = subprocess.Popen(["/bin/sleep", "60"])
    (group / "cgroup.procs").write_text(str(process.pid))
    yield name, process
    process.kill()
    for path in (group / "freezer.state", group / "cgroup.freeze"):
        if path.exists():
            path.write_text("THAWED" if path.name == "freezer.state" else "0")
    process.wait()
    time.sleep(0.05)
    group.rmdir()
    parent.rmdir()


class OneHost:
    """Just what ``process`` asks of a host."""

    def __init__(self, home: Path) -> None:
        self.processes = RealProcesses(home)

    def wall_ns(self) -> int:
        return wall_ns()


def test_container_is_frozen_and_thawed(
    container: tuple[str, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    name, process = container
    fire = wall_ns()
    spec = {"by": "container", "what": name[:12], "action": "pause", "period_ms": 0}
    one = Lease("1a2b3c4d", "r", "n", "f", "process", spec, fire, fire + 60 * NS_PER_S)
    host = OneHost(tmp_path)
    before = FAULT.before(one, host)  # type: ignore[arg-type]
    FAULT.drive(one, before, host, 0)  # type: ignore[arg-type]
    found = FAULT.observe(one, before, host)  # type: ignore[arg-type]
    assert found.state == "active" and found.counters == {"frozen": 1, "stopped": 0}
    assert name in found.left[0]
    process.terminate()
    time.sleep(0.2)
    assert process.poll() is None, "what is frozen does not even take a signal"
    assert FAULT.disarm(one, before, host)  # type: ignore[arg-type]
    assert process.wait(timeout=5) == -15
    assert FAULT.observe(one, before, host).state == "absent"  # type: ignore[arg-type]


def test_etcd_hangs_and_is_resumed_on_time_although_its_keepers_die(drill: Drill) -> None:
    def shape(data: dict[str, Any]) -> None:
        hung = yaml.safe_load((ROOT / "experiments" / "etcd-hangs.yaml").read_text())
        data.clear()
        data.update(hung)
        data["faults"][0]["for_s"] = 8

    process = drill.start(drill.experiment(shape))
    drill.wait_step("faults")
    _, expire = drill.window()
    wait(lambda: state(drill) == "T", 10, lambda: f"etcd is {state(drill)}")
    guards = "/var/lib/gameday/agent/.* (keep|reap|hold) "
    killed = drill.lab.exec("lon-1", ["pkill", "-9", "-c", "-f", guards])
    assert int(killed.stdout) == 2, "keeper and reaper; what is left is a plain sleep"
    time.sleep(max(0.0, expire - 0.3 - wall_ns() / NS_PER_S))
    assert state(drill) == "T"
    time.sleep(max(0.0, expire + 2 - wall_ns() / NS_PER_S))
    assert state(drill) in "SR", "two seconds after the lease's end"
    process.wait(timeout=60)
    assert drill.report()["clean"]["proven"] is True


def state(drill: Drill) -> str:
    """The letter of /proc/<pid>/stat of lon-1's etcd, by the node's own tools."""
    return drill.lab.exec("lon-1", ["ps", "-C", "etcd", "-o", "stat="]).stdout.strip()[:1]
