# SPDX-License-Identifier: Apache-2.0
"""Shipped experiments against the lab: a healthy estate meets what they ask for.

With shorter windows than they ship with; a test of its own has those that need more than the lab
(disks, BMCs) or that show something else.
"""

from __future__ import annotations

import pytest

from tests.lab.drill import Drill

FOR_S = {
    "one-way-frankfurt": 14,
    "data-survives-frankfurt": 12,
    "witness-lost-amsterdam": 8,
    "rack-isolated-frankfurt": 10,
    "ingress-hangs-frankfurt": 14,
    "quorum-lost-502-storm": 14,
}
"""Long enough for elections (1 to 2 s) and for GSLB to withdraw a site (4 to 6 s)."""


@pytest.mark.parametrize("name", FOR_S)
def test_a_healthy_estate_meets_it(drill: Drill, name: str) -> None:
    """Every objective is measured and met, the effect gate held, and nothing is left."""
    drill.meets(name, FOR_S[name])
