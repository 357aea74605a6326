# SPDX-License-Identifier: Apache-2.0
"""What tests of kinds share that change objects of a cluster."""

from __future__ import annotations

from typing import Any

from gameday.errors import ApiFailed
from gameday.faults import TABLE
from gameday.faults.kube_kept import KubeKept
from gameday.record.types import Lease
from tests.unit.faults.fake_host import FakeHost
from tests.unit.faults.fake_kube import ARGO, FLEET, INGRESS, WORKS
from tests.unit.faults.test_conformance import SPECS, lease

KUBE = sorted(case for case in SPECS if case.startswith("kube-"))
DOWN = ApiFailed(0, "refused", "/api: NewConnectionError")
PATHS = {
    "kube-cordon": "/api/v1/nodes/fra-1", "kube-scale": INGRESS, "kube-pause": f"{FLEET}/frankfurt",
    "kube-pause.argocd": f"{ARGO}/web", "kube-pause.ocm": f"{WORKS}/web",
}  # fmt: skip
"""An object that each kind changes and did not make."""


def fault_of(one: Lease) -> KubeKept:
    fault = TABLE[one.kind]
    assert isinstance(fault, KubeKept)
    return fault


def begun(case: str, host: FakeHost | None = None) -> tuple[FakeHost, Lease, Any, KubeKept]:
    """A host in the middle of a lease's window."""
    host, one = host or FakeHost(), lease(case)
    fault = fault_of(one)
    before = fault.before(one, host)
    host.now = one.fire_at_ns
    fault.drive(one, before, host, 0)
    return host, one, before, fault


def ended(host: FakeHost, one: Lease, before: Any, fault: KubeKept) -> Any:
    host.now = one.expire_at_ns
    fault.disarm(one, before, host)
    return fault.observe(one, before, host)
