# SPDX-License-Identifier: Apache-2.0
"""A rack loses power by Redfish, and gets it back from the controller's host whatever dies.

The BMCs are sushy-tools' emulator. All tests but the last need no node of the lab.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gameday.clock import NS_PER_S, wall_ns
from tests.busy import until
from tests.lab.bmc import PASSWORD, USER, Bmcs, seen_anywhere
from tests.lab.drill import ROOT, Drill, wait

NODES = ("fra-1", "fra-2")
LAG_S = 4.0
"""The emulator takes up to two seconds, and looks are a second apart."""

LEAD_S = 12
"""Python and the guards start in two seconds, and in five on a machine that others use."""

DRIVER = """
import json, sys
from gameday.cli.logs import configure
from gameday.transport.local import LocalAgent
configure("warning")
agent = LocalAgent()
agent.open()
answer = agent.call("arm", lease=json.loads(sys.argv[1]))
sys.stdout.write(json.dumps(answer) + "\\n")
sys.stdout.flush()
sys.stdin.read()
"""


@pytest.fixture
def bmcs(tmp_path: Path) -> Iterator[Bmcs]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    one = Bmcs(tmp_path / "bmc", NODES, port)
    yield one
    one.close()


class Controller:
    """A controller's host: a state directory, an environment, gameday processes."""

    def __init__(self, home: Path) -> None:
        self.state = home / "state"
        self.ledger = self.state / "gameday" / "controller" / "ledger"
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(home), "XDG_STATE_HOME": str(self.state),
            "PYTHONPATH": str(ROOT), "BMC_USER": USER, "BMC_PASSWORD": PASSWORD,
        }  # fmt: skip

    def arm(self, lease: dict[str, Any]) -> subprocess.Popen[str]:
        """A process that armed a lease as gameday does, and goes on living."""
        import json

        process = subprocess.Popen(
            [sys.executable, "-c", DRIVER, json.dumps(lease)], env=self.environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None and process.stderr is not None
        line = process.stdout.readline()
        assert line, process.stderr.read()
        answer = json.loads(line)
        assert answer["observation"]["state"] == "armed"
        assert sorted(answer["observation"]["guards"]) == ["keep", "reap", "sleeper"]
        return process

    def guard(self, role: str) -> int:
        """Process id of a guard."""
        return int((self.ledger / f"1a2b3c4d.{role}.pid").read_text())

    def ended(self) -> bool:
        """Whether the ledger has the lease as ended."""
        return (self.ledger / "1a2b3c4d.ended.json").exists()


def lease(bmcs: Bmcs, action: str, file: str = "") -> dict[str, Any]:
    fire = (wall_ns() // NS_PER_S + LEAD_S) * NS_PER_S
    names = {"user_env": "", "password_env": ""} if file else {
        "user_env": "BMC_USER", "password_env": "BMC_PASSWORD",
    }  # fmt: skip
    systems = [
        {"node": n, "url": bmcs.url(n), "credentials_file": file, "ca_file": "", **names}
        for n in NODES
    ]
    return {
        "id": "1a2b3c4d", "run": "run", "node": "controller", "fault": "rack", "kind": "power",
        "spec": {"means": "redfish", "action": action, "systems": systems},
        "fire_at_ns": fire, "expire_at_ns": fire + 6 * NS_PER_S,
    }  # fmt: skip


def states(bmcs: Bmcs) -> list[str]:
    return [bmcs.state(node) for node in NODES]


@pytest.mark.parametrize("dies", ["gameday", "gameday and its keeper", "gameday and all but sleep"])
def test_power_comes_back_whatever_dies(bmcs: Bmcs, tmp_path: Path, dies: str) -> None:
    controller, one = Controller(tmp_path), lease(bmcs, "off")
    process = controller.arm(one)
    assert states(bmcs) == ["On", "On"]
    until(one["fire_at_ns"])
    assert states(bmcs) == ["On", "On"], "nothing before the window"
    wait(lambda: states(bmcs) == ["Off", "Off"], LAG_S + 2, lambda: f"{states(bmcs)}")
    assert seen_anywhere(controller.state) == []
    process.kill()
    process.wait()
    if dies != "gameday":
        # Keeper last: each guard starts the other again within a second.
        roles = ["reap", "keep"] if "all" in dies else ["keep"]
        for role in roles:
            os.kill(controller.guard(role), signal.SIGKILL)
    until(one["expire_at_ns"], -0.5)
    assert states(bmcs) == ["Off", "Off"]
    until(one["expire_at_ns"])
    wait(lambda: states(bmcs) == ["On", "On"], 4 + LAG_S, lambda: f"{states(bmcs)}")
    wait(controller.ended, 10, lambda: f"{list(controller.ledger.iterdir())}")
    assert seen_anywhere(controller.state) == []


def test_cycle_with_a_credentials_file(bmcs: Bmcs, tmp_path: Path) -> None:
    secret = tmp_path / "bmc.credentials"
    secret.write_text(f"username={USER}\npassword={PASSWORD}\n")
    secret.chmod(0o600)
    controller, one = Controller(tmp_path), lease(bmcs, "cycle", str(secret))
    for name in ("BMC_USER", "BMC_PASSWORD"):
        del controller.environment[name]
    process = controller.arm(one)
    until(one["fire_at_ns"])
    wait(lambda: "Off" in states(bmcs), LAG_S + 2, lambda: f"{states(bmcs)}")
    wait(lambda: states(bmcs) == ["On", "On"], 6 + LAG_S, lambda: f"{states(bmcs)}")
    wait(controller.ended, 15, lambda: f"{list(controller.ledger.iterdir())}")
    process.communicate(timeout=10)
    assert seen_anywhere(controller.state) == []


def test_wrong_credentials_arm_nothing_and_are_not_told(bmcs: Bmcs, tmp_path: Path) -> None:
    controller, one = Controller(tmp_path), lease(bmcs, "off")
    controller.environment["BMC_PASSWORD"] = "wrong-" + PASSWORD
    with pytest.raises(AssertionError) as caught:
        controller.arm(one)
    told = str(caught.value)
    assert "fra-1" in told and PASSWORD not in told and USER not in told
    assert not list(controller.ledger.glob("*.json"))


def test_a_drill_with_a_rack_without_power(drill: Drill, tmp_path: Path) -> None:
    enter = ["nsenter", f"--net={drill.lab.state / 'ctl.netns'}"]
    bmcs = Bmcs(tmp_path / "bmc", NODES, 18_443, enter)
    try:
        _drill(drill, bmcs)
    finally:
        bmcs.close()


def _drill(drill: Drill, bmcs: Bmcs) -> None:
    def with_bmcs(data: dict[str, Any]) -> None:
        hosts = data["children"]["sites"]["children"]["frankfurt"]["hosts"]
        for node in NODES:
            hosts[node] |= {
                "gameday_bmc_url": bmcs.url(node), "gameday_bmc_user_env": "BMC_USER",
                "gameday_bmc_password_env": "BMC_PASSWORD",
            }  # fmt: skip

    def shape(data: dict[str, Any]) -> None:
        shipped = yaml.safe_load((ROOT / "experiments" / "rack-power.yaml").read_text())
        data.clear()
        data.update(shipped)
        data["faults"][0].update(for_s=8)
        data["faults"][0]["params"]["nodes"] = {"node": list(NODES)}

    drill.environment |= {"BMC_USER": USER, "BMC_PASSWORD": PASSWORD}
    inventory, experiment = drill.inventory(with_bmcs), drill.experiment(shape)
    process = drill.start(experiment, inventory)
    drill.wait_step("faults")
    wait(lambda: states(bmcs) == ["Off", "Off"], LAG_S + 3, lambda: f"{states(bmcs)}")
    process.kill()
    process.wait()
    _, expire = drill.window()
    until(int(expire * NS_PER_S))
    wait(lambda: states(bmcs) == ["On", "On"], 4 + LAG_S, lambda: f"{states(bmcs)}")
    done = drill.gameday("recover", "--reports", str(drill.reports))
    assert done.returncode == 0, done.stdout + done.stderr
    assert drill.report()["clean"]["proven"] is True
    assert (drill.home / ".local" / "state" / "gameday" / "controller").is_dir()
    assert seen_anywhere(drill.reports, drill.home / ".local") == []
    assert PASSWORD not in (drill.home / "run.log").read_text()
    swept = drill.gameday("sweep", "-i", str(inventory), "--yes", *NODES)
    assert swept.returncode == 0, swept.stdout + swept.stderr
