# SPDX-License-Identifier: Apache-2.0
"""CATALOGUE: what can be computed. One file per kind; this table is the only list of them.

Pure: a measurement reads the record and nothing else.
"""

from __future__ import annotations

from gameday.measures import (
    client_failure_longest,
    client_failure_share,
    client_failure_total,
    quorum_recovery,
    re_election,
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
        re_election.MEASURE,
        quorum_recovery.MEASURE,
        client_failure_share.MEASURE,
        client_failure_longest.MEASURE,
        client_failure_total.MEASURE,
        writes_on_side.MEASURE,
    )
}
