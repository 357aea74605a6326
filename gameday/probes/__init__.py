# SPDX-License-Identifier: Apache-2.0
"""CATALOGUE: what can be observed. One file per family; this table is the only list of kinds.

This package travels to nodes: standard library and dnspython only, Python 3.9 syntax.
"""

from __future__ import annotations

from typing import Any, Dict

from gameday.probes import alertmanager, dns, etcd, http, icmp

TABLE: Dict[str, Any] = {
    probe.kind: probe
    for probe in (
        etcd.WRITE,
        etcd.STATUS,
        dns.PROBE,
        http.PROBE,
        icmp.PROBE,
        alertmanager.PROBE,
    )
}
