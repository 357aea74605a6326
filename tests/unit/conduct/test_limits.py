# SPDX-License-Identifier: Apache-2.0
"""The lead to a window: enough to arm, also behind workers, and never so long that nodes refuse."""

from __future__ import annotations

from gameday.agent.leases import AHEAD_NS_MAX
from gameday.clock import NS_PER_S
from gameday.conduct.limits import ARM_LEAD_NS, RELAYED_NS_MAX, lead_ns, relayed_ns

S = NS_PER_S


def test_quick_nodes_get_the_usual_lead() -> None:
    assert lead_ns(1, S // 2, 0, bmc=False) == ARM_LEAD_NS
    assert lead_ns(1, S // 2, 0, bmc=True) > ARM_LEAD_NS


def test_slow_nodes_and_many_leases_get_more_up_to_a_minute() -> None:
    assert lead_ns(1, 5 * S, 0, bmc=False) > ARM_LEAD_NS + 3 * S
    assert lead_ns(10, 5 * S, 0, bmc=False) <= 60 * S


def test_behind_workers_the_window_begins_after_five_rounds() -> None:
    """A batch is under way, arming is one and proving the exemption two, with room for one more."""
    for round_s in (1, 10, 40):
        lead = lead_ns(1, round_s * S, relayed_ns(round_s * S), bmc=False)
        assert lead == ARM_LEAD_NS + 5 * round_s * S


def test_no_lead_is_refused_by_nodes() -> None:
    for leases in (1, 3, 50):
        assert lead_ns(leases, 900 * S, relayed_ns(900 * S), bmc=True) < AHEAD_NS_MAX
    assert relayed_ns(900 * S) == RELAYED_NS_MAX
