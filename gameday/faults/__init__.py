# SPDX-License-Identifier: Apache-2.0
"""CATALOGUE: what can be broken. One file per kind; this table is the only list of them.

This package travels to nodes: standard library only, Python 3.9 syntax.
"""

from __future__ import annotations

from typing import Dict

from gameday.faults import excursion, mtu_blackhole, netem, noop, partition, process, saturate
from gameday.faults.base import Fault

TABLE: Dict[str, Fault] = {
    fault.kind: fault
    for fault in (
        excursion.FAULT,
        mtu_blackhole.FAULT,
        netem.FAULT,
        noop.FAULT,
        partition.FAULT,
        process.FAULT,
        saturate.FAULT,
    )
}
