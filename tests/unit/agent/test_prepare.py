# SPDX-License-Identifier: Apache-2.0
"""What a guard imports before its lease is due, in an interpreter of its own."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from gameday.faults import TABLE
from tests.guarantee.matrix import CASES, Case

SCRIPT = """\
import sys
from pathlib import Path
from gameday.agent.leases import Leases
from gameday.agent.ledger import Ledger
from gameday.agent.system.host import RealHost
from gameday.record.types import Receipt

ledger = Ledger(Path(sys.argv[1]))
lease = {"id": "1a2b3c4d", "run": "r", "node": "n", "fault": "f", "kind": sys.argv[2],
         "spec": __SPEC__, "fire_at_ns": 1, "expire_at_ns": 2}
ledger.add(Receipt(lease, {}, 1, 1, "boot", 1, 2))
leases = Leases(ledger, RealHost())
before = "pyroute2.iproute" in sys.modules
leases.prepare("1a2b3c4d")
after = "pyroute2.iproute" in sys.modules
sys.stdout.write(f"{before} {after}")
"""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_only_what_a_process_keeps_with_netlink_is_prepared_for_it(
    case: Case, tmp_path: Path
) -> None:
    fault = TABLE[case.kind]
    wanted = fault.kept_by(case.spec) == "process" and "pyroute2.iproute" in fault.imports
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.replace("__SPEC__", repr(case.spec)), tmp_path, case.kind],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["False", str(wanted)]


@pytest.mark.parametrize("kind", sorted(TABLE))
def test_what_a_kind_names_can_be_imported(kind: str) -> None:
    for name in TABLE[kind].imports:
        assert importlib.import_module(name)
