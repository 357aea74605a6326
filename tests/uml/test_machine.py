# SPDX-License-Identifier: Apache-2.0
"""The machine that the other tests of this directory run in."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.uml.harness import JobFailed, Machine


def test_it_is_another_kernel_with_what_faults_need(machine: Machine) -> None:
    """Modules load on demand, controllers are on, and a job is alone in its namespaces."""
    found = machine.run("basics.py")
    assert found["release"] != os.uname().release
    assert found["missing"] == []
    assert {"io", "memory", "pids"} <= set(found["controllers"])
    assert found["links"] == found["sys_links"] == ["lo"]
    assert found["pid"] == 1
    assert found["disk_mib"] >= 512


def test_netem_delays(machine: Machine) -> None:
    """The kernel loads the qdisc's module by itself, and it works."""
    found = machine.run("basics.py", {"delay_ms": 40}, function="ping_with_delay")
    assert 40 <= found["rtt_min_ms"] < 60


def test_a_job_leaves_nothing_to_the_next(machine: Machine) -> None:
    """Links, state files and processes go with a job."""
    machine.run("basics.py", function="dirty")
    assert machine.run("basics.py", function="state") == ["lo"]


def test_failures_come_back_whole(machine: Machine) -> None:
    """A traceback and the output; a job that hangs is killed, and the machine lives on."""
    with pytest.raises(JobFailed, match=r"(?s)on purpose.*this is what it said"):
        machine.run("basics.py", function="fail")
    with pytest.raises(JobFailed, match="not done in"):
        machine.run("basics.py", function="hang", timeout_s=2)
    assert machine.run("basics.py", function="state") == ["lo"]


def test_the_host_sees_nothing(machine: Machine) -> None:
    """Files that a job writes anywhere stay inside."""
    machine.run("basics.py", function="dirty")
    mounts = subprocess.run(["findmnt", "-n", "-o", "TARGET"], capture_output=True, text=True,
                            check=True).stdout  # fmt: skip
    assert str(machine.directory) not in mounts
