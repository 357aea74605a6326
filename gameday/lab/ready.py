# SPDX-License-Identifier: Apache-2.0
"""Does the lab work? Asked from inside it, by one process in the monitoring node."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gameday import clock
from gameday.errors import CannotRun
from gameday.lab import topology as t
from gameday.lab.parts import kubernetes

if TYPE_CHECKING:
    from gameday.lab.lab import Lab

POLL_NS = 100 * clock.NS_PER_MS


def _targets(state: Path, parts: tuple[str, ...]) -> dict[str, Any]:
    return {
        "parts": parts,
        "etcd": {one.name: f"{t.v4(one)}:{t.ETCD_CLIENT}" for one in t.with_role("etcd")},
        "ingress": {one.name: t.v4(one) for one in t.with_role("ingress")},
        "gslb": {one.name: t.v4(one) for one in t.with_role("gslb")},
        "name": t.APP_NAME,
        "resolver": {one.name: t.v4(one) for one in t.with_role("resolver")},
        "powerdns": {one.name: t.v4(one) for one in t.with_role("powerdns")},
        "powerdns_port": t.POWERDNS_PORT,
        "postgresql": {one.name: t.v4(one) for one in t.with_role("postgresql")},
        "postgresql_port": t.POSTGRESQL_PORT,
        "galera": {one.name: t.v4(one) for one in t.with_role("galera")},
        "galera_port": t.GALERA_PORT,
        "kubernetes": {
            site: {
                "address": node.management, "port": t.KUBERNETES_PORT,
                "nodes": [one.name for one in kubernetes.members(site)],
                "ingress": any(one.site == site for one in t.with_role("ingress")),
            }
            for site, node in kubernetes.sites().items()
        },
        "kubernetes_files": f"{state}/{kubernetes.MADE}",
        "vip": t.VIP,
        "ssh": {
            **{one.name: one.management for one in t.NODES},
            **{t.router(site): t.router_management(site) for site in t.SITES},
        },
        "jobs": len(t.with_role("etcd")) + len(t.with_role("ingress")),
    }  # fmt: skip


def ask(lab: Lab, command: str) -> dict[str, Any]:
    """Run the checker in mon-1 (it reaches every site, and the management network)."""
    argv = [
        "/usr/bin/python3",
        str(t.FILES / "check.py"),
        command,
        json.dumps(_targets(lab.state, lab.parts())),
    ]
    # Its network alone: the node's own files do not have the checker.
    done = subprocess.run(
        ["nsenter", "-t", str(lab.pid("mon-1")), "--net", *argv],
        capture_output=True, text=True, timeout=30, check=False,
        env={**os.environ, **lab.mark()},  # Whoever takes the lab down ends it too.
    )  # fmt: skip
    if done.returncode != 0:
        return {"problems": [f"the checker failed: {done.stderr.strip()[-300:]}"]}
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def problems(lab: Lab, command: str = "check") -> list[str]:
    """Everything that does not work now, in words; "estate": without GSLB and monitoring."""
    try:
        return list(ask(lab, command)["problems"])
    except CannotRun as error:
        return [error.message]


def wait(lab: Lab, timeout_s: float, command: str = "check") -> None:
    """Wait until nothing is wrong.

    Raises:
        CannotRun: with what is still wrong at the end.
    """
    deadline = clock.mono_ns() + int(timeout_s * clock.NS_PER_S)
    while True:
        wrong = problems(lab, command)
        if not wrong:
            return
        if clock.mono_ns() > deadline:
            raise CannotRun(f"the lab {lab.name} did not come up in {timeout_s} s", problems=wrong)
        clock.sleep_until_mono(clock.mono_ns() + POLL_NS)


def leader(lab: Lab) -> str:
    """Name of the node whose etcd member leads; empty where none does."""
    return str(ask(lab, "leader").get("leader", ""))


def place_leader(lab: Lab) -> str:
    """Make ``topology.LEADER`` the etcd leader; says what was done."""
    found = ask(lab, f"place:{t.LEADER}")
    return str(found.get("done", "")) or "; ".join(found.get("problems", []))
