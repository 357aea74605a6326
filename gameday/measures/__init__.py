# SPDX-License-Identifier: Apache-2.0
"""CATALOGUE: what can be computed. One file per kind; this table is the only list of them.

Pure: a measurement reads the record and nothing else.
"""

from __future__ import annotations

from gameday.measures import (
    acknowledged_on_both_sides,
    acknowledged_writes_lost,
    client_failure_longest,
    client_failure_share,
    client_failure_total,
    client_withdrawal,
    false_green,
    flow_control_paused,
    galera_non_primary,
    leader_changes,
    linearizable,
    premature_reintroduction,
    promotion,
    quorum_loss,
    quorum_recovery,
    re_election,
    replay_error,
    replication_lag_excess,
    rtt_achieved,
    sessions_lost,
    stale_reads,
    time_to_detect,
    time_to_withdraw,
    writes_on_side,
)
from gameday.measures.base import Measure

TABLE: dict[str, Measure] = {
    measure.kind: measure
    for measure in (
        time_to_detect.MEASURE,
        time_to_withdraw.MEASURE,
        client_withdrawal.MEASURE,
        re_election.MEASURE,
        quorum_recovery.MEASURE,
        client_failure_share.MEASURE,
        client_failure_longest.MEASURE,
        client_failure_total.MEASURE,
        sessions_lost.MEASURE,
        writes_on_side.MEASURE,
        linearizable.MEASURE,
        stale_reads.MEASURE,
        acknowledged_writes_lost.MEASURE,
        acknowledged_on_both_sides.MEASURE,
        quorum_loss.MEASURE,
        leader_changes.MEASURE,
        rtt_achieved.MEASURE,
        replay_error.MEASURE,
        premature_reintroduction.MEASURE,
        false_green.MEASURE,
        replication_lag_excess.MEASURE,
        promotion.MEASURE,
        flow_control_paused.MEASURE,
        galera_non_primary.MEASURE,
    )
}
