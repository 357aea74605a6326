# SPDX-License-Identifier: Apache-2.0
"""Experiment and inventory to a plan: targets, leases, quorum arithmetic, predictions.

Reads two files and touches nothing.
"""

from __future__ import annotations

from gameday.plan.estate import Inventory, inventory_from_json
from gameday.plan.inventory import load_inventory
from gameday.plan.make import make_plan
from gameday.plan.model import Plan, plan_from_json

__all__ = [
    "Inventory",
    "Plan",
    "inventory_from_json",
    "load_inventory",
    "make_plan",
    "plan_from_json",
]
