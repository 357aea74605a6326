# SPDX-License-Identifier: Apache-2.0
"""The real way to see and signal processes, on processes that the test started itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gameday.agent.system import processes_cgroup as cgroup
from gameday.agent.system.processes import RealProcesses
from gameday.clock import NS_PER_S, wall_ns
from gameday.errors import NodeError
from gameday.faults.process import FAULT
from gameday.record.types import Lease

ID = "ab" * 32


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose name nobody else has."""
    program = tmp_path / f"gd-{os.getpid()}"
    shutil.copy("/bin/sleep", program)
    process = subprocess.Popen([str(program), "60"])
    yield process
    process.kill()
    process.wait()


class OneHost:
    """Just what ``process`` asks of a host."""

    def __init__(self, home: Path) -> None:
        self.processes = RealProcesses(home)

    def wall_ns(self) -> int:
        return wall_ns()


def lease(name: str, action: str) -> Lease:
    spec = {"by": "name", "what": name, "action": action, "period_ms": 0}
    fire = wall_ns()
    return Lease("1a2b3c4d", "r", "n", "f", "process", spec, fire, fire + 60 * NS_PER_S)


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def test_paused_and_resumed(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    host, one = OneHost(tmp_path), lease(Path(str(sleeper.args[0])).name, "pause")  # type: ignore[index]
    before = FAULT.before(one, host)  # type: ignore[arg-type]
    FAULT.drive(one, before, host, 0)  # type: ignore[arg-type]
    time.sleep(0.05)
    assert state(sleeper.pid) == "T"
    found = FAULT.observe(one, before, host)  # type: ignore[arg-type]
    assert found.state == "active" and found.counters == {"frozen": 0, "stopped": 1}
    assert (
        FAULT.disarm(one, before, host)
        == [  # type: ignore[arg-type]
            f"resumed process {sleeper.pid} ({one.spec['what'][:15]})"
        ]
    )
    assert state(sleeper.pid) in "SR"
    assert FAULT.disarm(one, before, host) == []  # type: ignore[arg-type]


def test_killed_and_not_back(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    host, one = OneHost(tmp_path), lease(Path(str(sleeper.args[0])).name, "kill")  # type: ignore[index]
    before = FAULT.before(one, host)  # type: ignore[arg-type]
    FAULT.drive(one, before, host, 0)  # type: ignore[arg-type]
    assert sleeper.wait(timeout=5) == -9
    assert FAULT.observe(one, before, host).counters == {  # type: ignore[arg-type]
        "killed": 1, "running": 0,
    }  # fmt: skip
    FAULT.disarm(one, before, host)  # type: ignore[arg-type]
    again = subprocess.Popen(sleeper.args)
    try:
        FAULT.disarm(one, before, host)  # type: ignore[arg-type]
        assert FAULT.observe(one, before, host).state == "absent"  # type: ignore[arg-type]
    finally:
        again.kill()
        again.wait()


def test_our_own_session_is_protected(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    seen = RealProcesses(tmp_path)
    pids = {one.pid for one in seen.protected()}
    assert {os.getpid(), os.getppid(), 1} <= pids | {0}
    assert sleeper.pid not in pids
    name = Path(f"/proc/{os.getpid()}/comm").read_text().strip()
    with pytest.raises(NodeError, match="out of bounds"):
        FAULT.before(lease(name, "kill"), OneHost(tmp_path))  # type: ignore[arg-type]


def test_a_signal_needs_number_and_start(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    seen = RealProcesses(tmp_path)
    (one,) = (p for p in seen.find("name", Path(str(sleeper.args[0])).name))  # type: ignore[index]
    assert not seen.signal(one.pid, one.start + 1, "STOP")
    assert seen.look(one.pid, one.start + 1) is None
    assert seen.signal(one.pid, one.start, "STOP") and seen.signal(one.pid, one.start, "CONT")
    sleeper.kill()
    sleeper.wait()
    assert not seen.signal(one.pid, one.start, "STOP")


def test_notes_of_another_boot_say_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = RealProcesses(tmp_path)
    assert seen.kept("1a2b3c4d") is None
    seen.keep("1a2b3c4d", {"stopped": [[1, 2]]})
    assert seen.kept("1a2b3c4d") == {"stopped": [[1, 2]]}
    monkeypatch.setattr("gameday.clock.boot_id", lambda: "another")
    assert seen.kept("1a2b3c4d") is None


@pytest.mark.parametrize(
    ("path", "pod"),
    [
        (f"/docker/{ID}", ""),
        (f"/system.slice/docker-{ID}.scope", ""),
        (f"/kubepods/burstable/pod8c1f0b3e-98a5-4d0e-9d0e-0a1b2c3d4e5f/{ID}",
         "/kubepods/burstable/pod8c1f0b3e-98a5-4d0e-9d0e-0a1b2c3d4e5f"),
        ("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod8c1f0b3e_98a5_4d0e_9d0e_"
         f"0a1b2c3d4e5f.slice/cri-containerd-{ID}.scope",
         "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod8c1f0b3e_98a5_4d0e_9d0e_"
         "0a1b2c3d4e5f.slice"),
        (f"/kubepods.slice/x:cri-containerd:{ID}", ""),
        (f"/machine.slice/libpod-{ID}.scope/container", ""),
    ],
)  # fmt: skip
def test_containers_by_their_cgroups(path: str, pod: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "paths", lambda pid: {"": path} if pid == 1 else {"": "/"})
    assert cgroup.container_id(ID[:8], [1, 2]) == ID
    assert cgroup.container_id("1234abcd", [1, 2]) == ""
    assert cgroup.pod_of(1, ID[:8]) == pod
    if pod:
        assert cgroup.containers_in(pod, [1, 2]) == 1
