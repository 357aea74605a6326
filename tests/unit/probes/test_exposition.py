# SPDX-License-Identifier: Apache-2.0
"""The Prometheus text format: what is read, what is skipped, what is refused."""

from __future__ import annotations

from decimal import Decimal

import pytest

from gameday.probes import etcd_metrics, exposition

PAGE = """# HELP etcd_server_leader_changes_seen_total The number of leader changes seen.
# TYPE etcd_server_leader_changes_seen_total counter
etcd_server_leader_changes_seen_total 3
etcd_server_heartbeat_send_failures_total 1e+06
etcd_disk_backend_commit_duration_seconds_bucket{le="0.001"} 1
etcd_disk_backend_commit_duration_seconds_sum 0.061234567
etcd_disk_backend_commit_duration_seconds_count 41
etcd_disk_wal_fsync_duration_seconds_sum 1.23e-05 1700000000000
etcd_disk_wal_fsync_duration_seconds_count{} 2
what is this line
grpc_server_handled_total{grpc_code="OK"} NaN
"""


def test_counters_are_whole_and_exact() -> None:
    assert etcd_metrics.counters(PAGE) == {
        "leader_changes": 3, "heartbeat_send_failures": 1_000_000,
        "backend_commits": 41, "backend_commit_ns": 61_234_567,
        "wal_fsyncs": 2, "wal_fsync_ns": 12_300,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "metric x is missing"),
        ("x_total 1\n", "metric x is missing"),
        ("x 1\nx 1\n", "more than one series"),
        ('x{a="b"} 1\n', "more than one series"),
        ("x NaN\n", "metric x is NaN"),
        ("x +Inf\n", "metric x is"),
        ("x one\n", "no number"),
        ("x\n", "metric x is missing"),
    ],
)
def test_what_cannot_be_read_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        exposition.values(text, ["x"])


def test_counts_are_whole() -> None:
    with pytest.raises(ValueError, match="no count"):
        exposition.whole("x", Decimal("1.5"))
    with pytest.raises(ValueError, match="below zero"):
        exposition.nanoseconds("x", Decimal("-1"))
