# SPDX-License-Identifier: Apache-2.0
"""The conductor's bounds, each with its reason."""

from __future__ import annotations

from gameday.clock import NS_PER_MS, NS_PER_S

PARALLEL_NODES = 64
"""Threads that talk to nodes at once; each mostly waits for its node."""

RELAYED_NODES = 1024
"""The same where remote workers talk to the nodes, and threads only wait for their batches."""

EXEMPT_ROUNDS = 2
"""Proving the exemption asks twice: a counter, and whether it has grown."""

RELAYED_ROUNDS = 5
"""Behind workers a question to all nodes takes a round of batches, as long as preflight's slowest
took. Arming and proving the exemption are three rounds, after the batch that is under way, and one
is to spare: the lead, the time to be steady and the time for the last samples grow by so many."""

RELAYED_NS_MAX = 300 * NS_PER_S
"""Nodes refuse leases more than ten minutes ahead, and nobody waits half of that gladly."""

TARGET_OFFSET_NS_MAX = 500 * NS_PER_MS
"""A fault's window is kept by its node's own wall clock, so a node that is further off would
cut early or late by as much, and some nodes would be cut while others are not."""

VANTAGE_OFFSET_NS_MAX = 100 * NS_PER_S
"""Samples are stamped with the monotonic clock, so a vantage's wall clock does not matter to
them; one that is further off does not keep time at all, and its logs cannot be compared."""

CLOCK_EXCHANGES = 8
"""Exchanges per node before anything is armed; the best of several bounds the offset."""

CLOCK_TRIES = 6
"""How often exchanges are made anew where they do not tell whether a clock is within its limit:
behind a worker each batch bounds it anew, and on a busy machine one alone by more than a second."""

CLOCK_EVERY_NS = 2 * NS_PER_S
"""Between exchanges during the run: at 200 ppm the bound grows by 0.2 ms in half of it."""

POLL_S = 0.25
"""Between two questions for a vantage's new samples."""

RECONNECT_S = 1.0

STEADY_EXTRA_NS = 30 * NS_PER_S
"""The estate is given this long beyond its own window to be steady; then the run is given up."""

HEARD_POLLS = 6
"""A vantage that missed so many turns is silent: 1.5 s, or 12 s behind a worker, and twice as long
as its last answer took beside that."""

STEADY_DELIVERED_PERCENT = 80
"""A check with fewer samples than this share of its schedule has not been observed."""

ARM_LEAD_NS = 4 * NS_PER_S
"""From the first node asked to the window's start. Arming takes about 0.5 s a node and runs
in parallel; whoever is not armed a second before the start calls the run off."""

ARM_USUAL_NS = 1500 * NS_PER_MS
"""A node that looks at itself within this is armed within the usual lead; for a slower one (an
old machine, many leases) the lead grows by what it took longer."""

BMC_LEAD_NS = 6 * NS_PER_S
"""More lead where BMCs are asked: each takes a second or two for an answer, and needs several."""

ARM_LEAD_NS_MAX = 60 * NS_PER_S
"""A node that needs more than a minute cannot be relied on to end anything in time."""

ARM_CLOSED_NS = 1 * NS_PER_S
"""All nodes must be armed this long before the start, so that the run can still be called off."""

LATE_LOOK_NS = 1500 * NS_PER_MS
"""Before each window's end, for the last look at what the faults hit: time for an answer."""

COLLECT_S = 15
"""For the last samples of all vantages, once their probes have ended."""

SETTLE_NS = 300 * NS_PER_MS
"""After a window's end, before nodes are asked whether it ended: their clocks may be behind."""

DISARM_TRY_NS = 30 * NS_PER_S
"""How long a node that does not answer is asked again before it is called not proven clean."""

APART_TRY_NS = 600 * NS_PER_S
"""How long a run waits for another system to answer, such as an API server, so that its leases end
before the report is written; without it they end later, by their guards."""

SLACK_NS = 60 * NS_PER_S
"""Probes live this much longer than the plan, so that a late end is still seen."""

TICK_S = 0.1


def relayed_ns(slowest_ns: int) -> int:
    """How much longer everything takes behind workers, where a round takes that long."""
    return min(RELAYED_ROUNDS * slowest_ns, RELAYED_NS_MAX)


def lead_ns(leases: int, slowest_ns: int, behind_ns: int, bmc: bool) -> int:
    """From the first node asked to arm to the window's start.

    Args:
        leases: of the node that gets most. slowest_ns: what looking at itself took the slowest.
        behind_ns: ``relayed_ns`` where nodes are behind workers, else 0: then a round of batches
            is in ``slowest_ns`` too, whatever the nodes themselves took.
        bmc: whether BMCs are asked.
    """
    slower = 0 if behind_ns else max(0, leases * slowest_ns - ARM_USUAL_NS)
    own = ARM_LEAD_NS + slower + (BMC_LEAD_NS if bmc else 0)
    return min(own, ARM_LEAD_NS_MAX) + min(behind_ns * leases, RELAYED_NS_MAX)
