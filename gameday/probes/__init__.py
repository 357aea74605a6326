# SPDX-License-Identifier: Apache-2.0
"""CATALOGUE: what can be observed. One file per family; this table is the only list of kinds.

This package travels to nodes: standard library and dnspython only, Python 3.9 syntax.
"""

from __future__ import annotations

from typing import Any, Dict

from gameday.probes import (
    alertmanager,
    bgp,
    cockroachdb,
    dns,
    etcd,
    etcd_metrics,
    galera,
    gslb_state,
    http,
    icmp,
    kube_api,
    kube_delivery,
    kube_events,
    kube_gslb,
    kube_nodes,
    kube_pods,
    log_line,
    postgresql,
    prometheus,
    rtt_mesh,
    tcp_connect,
    tcp_session,
    udp_echo,
    workload_etcd,
    workload_galera,
    workload_pgsql,
    yugabytedb,
)

TABLE: Dict[str, Any] = {
    probe.kind: probe
    for probe in (
        etcd.WRITE,
        etcd.READ,
        etcd.STATUS,
        etcd_metrics.METRICS,
        workload_etcd.WORKLOAD,
        dns.PROBE,
        gslb_state.PROBE,
        bgp.PROBE,
        http.PROBE,
        tcp_session.PROBE,
        icmp.PROBE,
        rtt_mesh.PROBE,
        tcp_connect.PROBE,
        udp_echo.PROBE,
        alertmanager.PROBE,
        prometheus.PROBE,
        log_line.PROBE,
        postgresql.PROBE,
        galera.PROBE,
        workload_pgsql.WORKLOAD,
        workload_galera.WORKLOAD,
        cockroachdb.PROBE,
        yugabytedb.PROBE,
        kube_nodes.PROBE,
        kube_pods.PROBE,
        kube_gslb.PROBE,
        kube_delivery.PROBE,
        kube_api.PROBE,
        kube_events.PROBE,
    )
}
