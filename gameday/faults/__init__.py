# SPDX-License-Identifier: Apache-2.0
"""CATALOGUE: what can be broken. One file per kind; this table is the only list of them.

This package travels to nodes: standard library only, Python 3.9 syntax.
"""

from __future__ import annotations

from typing import Dict

from gameday.faults import (
    disk_delay,
    disk_error,
    disk_fill,
    disk_readonly,
    disk_throttle,
    excursion,
    kube_cordon,
    kube_deny,
    kube_pause,
    kube_scale,
    mtu_blackhole,
    netem,
    noop,
    partition,
    power,
    process,
    saturate,
)
from gameday.faults.base import Fault

TABLE: Dict[str, Fault] = {
    fault.kind: fault
    for fault in (
        disk_delay.FAULT,
        disk_error.FAULT,
        disk_fill.FAULT,
        disk_readonly.FAULT,
        disk_throttle.FAULT,
        excursion.FAULT,
        kube_cordon.FAULT,
        kube_deny.FAULT,
        kube_pause.FAULT,
        kube_scale.FAULT,
        mtu_blackhole.FAULT,
        netem.FAULT,
        noop.FAULT,
        partition.FAULT,
        power.FAULT,
        process.FAULT,
        saturate.FAULT,
    )
}
