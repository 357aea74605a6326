# SPDX-License-Identifier: Apache-2.0
"""Before a run: does the inventory say what its clusters say? Written down, and no reason to stop.

Asked in a step of its own, since a plan asks nobody; only nodes are, so that it is short.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from gameday.conduct.collect import Recorder
from gameday.conduct.kube_ask import ask_all
from gameday.plan import inventory_from_json
from gameday.plan.kube_drift import drift
from gameday.record import kinds


def compare(inventory: Mapping[str, Any], recorder: Recorder, note: Callable[[str], None]) -> None:
    """Ask every cluster that the inventory names; record and tell what differs or is unknown."""
    clusters = inventory.get("clusters") or {}
    if not clusters:
        return
    asked = ask_all(clusters, pods=False)
    found = drift(inventory_from_json(inventory), asked)
    recorder.event(
        kinds.COMPARED,
        clusters=[{"name": one.name, "sites": list(one.sites), "answered": one.cluster is not None}
                  for one in asked],
        findings=[asdict(one) for one in found],
    )  # fmt: skip
    for one in found:
        note(f"inventory: {one}")
