# SPDX-License-Identifier: Apache-2.0
"""gameday's command line as an operator runs it who has clusters and no way to any node.

The inventory names two sites, and nodes that nobody could reach: everything is asked from the
controller's own host. Only loopback is used.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import yaml

from gameday.errors import EXIT_UNKNOWN
from gameday.lab import topology as t
from gameday.record import kinds
from gameday.record.journal import read_events
from tests.busy import lost_looks
from tests.kube.apiserver import ApiServer
from tests.kube.leases import ROOT, Host, wait
from tests.kube.played import NODE, World

COMMAND_S = 240
"""For one whole command: a run takes a minute, and several where the machine is busy."""

FROM_HERE = {"node": ["controller"]}

PAUSED, SCALED = "fleet-paused", "no-ingress"
SCALED_AT_S, SCALED_FOR_S, PAUSED_FOR_S = 3, 20, 26


def inventory(server: ApiServer, home: Path) -> dict[str, Any]:
    """Frankfurt with its cluster, and London with none."""
    return {"all": {
        "vars": {
            "ansible_user": "nobody", "gameday_known_hosts": str(home / "no-known-hosts"),
            "gameday_management": ["192.0.2.0/24"],
        },
        "children": {"sites": {"children": {
            "frankfurt": {
                "vars": {"gameday_kubeconfig": str(server.kubeconfig),
                         "gameday_context": server.context},
                "hosts": {NODE: {"ansible_host": "192.0.2.1",
                                 "gameday_addresses": ["198.18.10.12"]}},
            },
            "london": {"hosts": {"lon-1": {"ansible_host": "192.0.2.2",
                                           "gameday_addresses": ["198.18.20.12"]}}},
        }}},
    }}  # fmt: skip


def experiment(world: World) -> dict[str, Any]:
    """Fleet is paused and the ingress scaled to zero; every layer is watched, and users."""
    in_frankfurt = {"site": "frankfurt"}
    users = {"dns_port": world.names.port, "resolvers": [World.london],
             "url": f"http://{t.APP_NAME}:{world.port}/"}  # fmt: skip
    probes = [
        _probe("api", "kube-api", in_frankfurt, period_ms=500, timeout_ms=1000),
        _probe("endpoints", "kube-pods", {**in_frankfurt, "namespace": "ingress",
                                          "service": "ingress"}),
        _probe("gslb", "kube-gslb", {**in_frankfurt, "namespace": "ingress", "name": "app"}),
        _probe("delivery", "kube-delivery", {**in_frankfurt, "tool": "fleet",
               "namespace": "fleet-local", "objects": ["GitRepo/platform"]}),
        _probe("users", "http", users, period_ms=250, timeout_ms=1000),
    ]  # fmt: skip
    return {
        "schema": "gameday/v1",
        "metadata": {"name": "kube-only", "title": "Frankfurt's ingress is scaled to zero",
                     "why": "Which layer notices, and is all of it undone?", "owner": "a-test"},
        "steady_state": {"for_s": 3, "checks": [
            {"probe": one["name"], "ok_percent": 80} for one in probes
        ]},
        "faults": [
            {"name": PAUSED, "kind": "kube-pause", "at_s": 0, "for_s": PAUSED_FOR_S,
             "params": {**in_frankfurt, "tool": "fleet", "namespace": "fleet-local",
                        "objects": "GitRepo", "names": ["platform"]}},
            {"name": SCALED, "kind": "kube-scale", "at_s": SCALED_AT_S, "for_s": SCALED_FOR_S,
             "params": {**in_frankfurt, "namespace": "ingress", "name": "ingress"}},
        ],
        "probes": probes,
        "recover_s": 8,
        "objectives": [
            *(_objective("time-to-withdraw", one) for one in ("endpoints", "gslb")),
            _objective("client-withdrawal", "users"),
            *(_objective("false-green", one, users="users")
              for one in ("endpoints", "gslb", "api")),
            {"name": "api outage", "measure": "client-failure-total", "at_most_ms": 15_000,
             "params": {"probe": "api", "fault": SCALED}},
        ],
    }  # fmt: skip


def _probe(name: str, kind: str, params: dict[str, Any], **others: Any) -> dict[str, Any]:
    return {"name": name, "kind": kind, "from": FROM_HERE, "period_ms": 1000, "params": params,
            **others}  # fmt: skip


def _objective(measure: str, probe: str, **params: Any) -> dict[str, Any]:
    return {"name": f"{measure} {probe}", "measure": measure, "at_most_ms": 15_000,
            "params": {"probe": probe, "site": "frankfurt", "fault": SCALED,
                       "addresses": [World.frankfurt], **params}}  # fmt: skip


class Operator:
    """A user's home directory, with an inventory, an experiment and a signing key.

    Attributes:
        host: what holds the leases of this user's runs.
    """

    def __init__(self, server: ApiServer, world: World, home: Path) -> None:
        self.home, self.reports, self.host = home, home / "reports", Host(home)
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(home), "XDG_CONFIG_HOME": str(home / "config"),
            "XDG_STATE_HOME": str(self.host.home), "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        self.inventory, self.experiment = home / "inventory.yaml", home / "experiment.yaml"
        self.inventory.write_text(yaml.safe_dump(inventory(server, home)))
        self.experiment.write_text(yaml.safe_dump(experiment(world), sort_keys=False))
        self._started: list[subprocess.Popen[str]] = []
        assert self.gameday("keygen").returncode == 0

    def close(self) -> None:
        """End what is left where a test failed: nobody would answer its run and guards any more."""
        for process in self._started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.host.close()

    def gameday(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run the command line to its end; reports are this user's."""
        reports = ("--reports", str(self.reports))
        return subprocess.run(
            [sys.executable, "-m", "gameday.cli.main", *argv,
             *(reports if argv[0] not in ("keygen", "sweep") else ())],
            capture_output=True, text=True, cwd=self.home, env=self.environment,
            timeout=COMMAND_S, check=False,
        )  # fmt: skip

    def whole(self) -> int:
        """Run it to its end; its exit code.

        Where the machine stood still, so that probes lost looks, gameday refuses its numbers, as it
        must, and the run is made once more, as an operator would; the test's warnings say so.
        """
        code = self.start().wait()
        if code == EXIT_UNKNOWN and (lost := self._starved()):
            warnings.warn(f"made again, the machine starved its probes: {lost}", stacklevel=2)
            code = self.start().wait()
        return code

    def _starved(self) -> list[str]:
        there = (self.run / "report.json").exists()
        return lost_looks(self.report()["verdict"]) if there else []

    def start(self) -> subprocess.Popen[str]:
        """Start the run; ``said`` has its output. It is a session of its own, to be killed."""
        with open(self.home / "run.log", "w", encoding="utf-8") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "gameday.cli.main", "run", str(self.experiment), "-i",
                 str(self.inventory), "--yes", "--reports", str(self.reports)],
                stdout=log, stderr=log, cwd=self.home, env=self.environment, text=True,
                start_new_session=True,
            )  # fmt: skip
        self._started.append(process)
        return process

    @property
    def said(self) -> str:
        """What the run said so far."""
        return (self.home / "run.log").read_text(encoding="utf-8")

    @property
    def run(self) -> Path:
        """The directory of the newest run."""
        return max(self.reports.iterdir())

    def wait_step(self, step: str, process: subprocess.Popen[str]) -> None:
        """Until the run has begun a step of its order."""

        def begun() -> bool:
            assert process.poll() is None, self.said
            return any(
                event.kind == kinds.STEP and event.data["step"] == step
                for journal in self.reports.glob("*/events.jsonl")
                for event in read_events(journal)
            )

        wait(begun, COMMAND_S, lambda: self.said)

    def leases(self) -> dict[str, dict[str, Any]]:
        """What was armed, by the name of its fault."""
        events = read_events(self.run / "events.jsonl")
        armed = [e.data["lease"] for e in events if e.kind == kinds.ARMED]
        return {str(one["fault"]): dict(one) for one in armed}

    def report(self) -> dict[str, Any]:
        """``report.json`` of the run."""
        found: dict[str, Any] = json.loads((self.run / "report.json").read_bytes())
        return found
