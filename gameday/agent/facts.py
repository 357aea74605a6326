# SPDX-License-Identifier: Apache-2.0
"""What this node has and lacks; every missing piece with what helps. Changes nothing."""

from __future__ import annotations

import os
import platform
from typing import Dict, List

from gameday import clock
from gameday.agent import vigil
from gameday.agent.ledger import Ledger
from gameday.agent.system import disks, ipset, kube, power, processes, traffic
from gameday.agent.system.command import Check, find, run
from gameday.agent.system.iptables import Iptables
from gameday.errors import GamedayError
from gameday.faults.base import Facts

TIME_RULE = (
    "*raw\n:GD-probe - [0:0]\n"
    "-A GD-probe -m time --datestart 2030-01-01T00:00:00 --datestop 2030-01-01T00:00:01 "
    '-m comment --comment "gameday:probe" -j DROP\nCOMMIT\n'
)

CLASSIFY_RULE = "*mangle\n:GD-probe - [0:0]\n-A GD-probe -j CLASSIFY --set-class 9ad0:4\nCOMMIT\n"


def collect(iptables: Iptables, ledger: Ledger) -> Facts:
    """Look at everything that any fault kind may ask for."""
    missing: Dict[str, str] = {}
    backend = iptables.backend if find("iptables") else ""
    checks = [*processes.CHECKS, *power.CHECKS, *kube.CHECKS]
    if not vigil.LOCAL:
        checks += [*_netfilter(iptables), *traffic.CHECKS, *disks.CHECKS]
    checks.append(Check("ledger", ledger.check_writable, f"gameday needs a writable {vigil.HOME}"))
    for check in checks:
        try:
            check.look()
        except GamedayError as error:
            missing[check.name] = f"{error}; {check.advice}"
        except (OSError, ImportError) as error:
            missing[check.name] = f"{type(error).__name__}: {error}; {check.advice}"
    return Facts(
        python=platform.python_version(),
        kernel=platform.release(),
        root=os.geteuid() == 0,
        iptables=backend,
        missing=missing,
        links=tuple(sorted(os.listdir("/sys/class/net"))),
        boot_id=clock.boot_id(),
    )


def _netfilter(iptables: Iptables) -> List[Check]:
    modules = "the kernel needs xt_time and xt_comment (RHEL: kernel-modules-extra)"
    return [
        Check("iptables", lambda: run(["iptables", "--version"]), "install the package iptables"),
        Check("iptables-time", lambda: iptables.try_batch(4, TIME_RULE), modules),
        Check("ip6tables", lambda: iptables.try_batch(6, TIME_RULE), modules),
        Check("iptables-set", lambda: run(["iptables", "-m", "set", "--help"]),
              "iptables lacks the set match (libxt_set)"),
        Check("iptables-classify", lambda: iptables.try_batch(4, CLASSIFY_RULE),
              "the kernel needs xt_CLASSIFY (RHEL: kernel-modules-extra)"),
        Check("ipset", ipset.names, "the kernel needs ip_set and ip_set_hash_net"),
    ]  # fmt: skip
