# SPDX-License-Identifier: Apache-2.0
"""``etcd-metrics``: what a member counts of itself. Nodes: Python 3.9 syntax."""

from __future__ import annotations

from typing import Callable, Dict

from gameday.probes import exposition
from gameday.probes.base import Failed, Outcome, Schedule, Target, Value
from gameday.probes.deadline import BODY_BYTES_MAX
from gameday.probes.etcd import EtcdParams, Member

COUNTS: Dict[str, str] = {
    "leader_changes": "etcd_server_leader_changes_seen_total",
    "heartbeat_send_failures": "etcd_server_heartbeat_send_failures_total",
    "backend_commits": "etcd_disk_backend_commit_duration_seconds_count",
    "wal_fsyncs": "etcd_disk_wal_fsync_duration_seconds_count",
}
SUMS: Dict[str, str] = {
    "backend_commit_ns": "etcd_disk_backend_commit_duration_seconds_sum",
    "wal_fsync_ns": "etcd_disk_wal_fsync_duration_seconds_sum",
}
"""By the name in a sample: the member's own. Sums are of seconds and become nanoseconds."""


class EtcdMetrics:
    """Counters since the member's process started: they fall to zero with it."""

    kind = "etcd-metrics"
    Params: type = EtcdParams
    summary = "leader changes, heartbeat failures and disk times that the local member counted"
    fan_out = "self"
    listens = False

    def sampler(
        self, params: EtcdParams, node: str, target: Target, schedule: Schedule
    ) -> Callable[[], Outcome]:
        """Each look reads the member's /metrics."""
        member = Member(params, target)

        def look() -> Outcome:
            content = member.get("/metrics", schedule)
            if isinstance(content, Failed):
                return content
            if len(content) >= BODY_BYTES_MAX:
                return Failed(f"protocol: /metrics is longer than {BODY_BYTES_MAX} bytes")
            try:
                return Value(counters(content.decode()))
            except ValueError as error:
                return Failed(f"protocol: {error}"[:200])

        return look


def counters(text: str) -> Dict[str, int]:
    """The counters of one /metrics page, all of them integers.

    Raises:
        ValueError: where one is missing or not a number.
    """
    found = exposition.values(text, (*COUNTS.values(), *SUMS.values()))
    counts = {short: exposition.whole(name, found[name]) for short, name in COUNTS.items()}
    sums = {short: exposition.nanoseconds(name, found[name]) for short, name in SUMS.items()}
    return {**counts, **sums}


METRICS = EtcdMetrics()
