# SPDX-License-Identifier: Apache-2.0
"""The kinds of events, and what the ``data`` of each holds. Nothing else is written.

This module travels to nodes: standard library only, Python 3.9 syntax.
"""

from __future__ import annotations

RUN_STARTED = "run.started"
"""run, experiment (name), version, argv, boot_id, operator, pid, nodes (list of str)"""

APPROVED = "run.approved"
"""principals, fingerprint, signed_wall_ns, digest (of what was approved), envelope (text). Before
anything is touched; one per signer whose approval the estate's policy asked for."""

FACTS = "node.facts"
"""node, facts (JSON of the agent: kernel, python, iptables backend, ...)"""

CLOCK = "clock.exchange"
"""node, sent_ns, received_ns (controller, monotonic), node_mono_ns, node_wall_ns"""

STEP = "run.step"
"""step: preflight | probes | steady-state | arm | armed | fire | faults | heal | prove-clean
| collect | judge; text. Written before the step is begun."""

COMPARED = "inventory.compared"
"""clusters (list of: name, sites, answered), findings (list of: level, where, what, todo): where
the inventory and the clusters that it names differ, and which of them were not heard. Before
anything is armed; only where it names some."""

STEADY = "steady-state"
"""check (name), held (bool), ok, total (counts), reason"""

PROBES_STARTED = "probes.started"
"""node, probes (list of names), until_mono_ns (the node's clock)"""

ARM_INTENT = "lease.arm-intent"
"""node, lease (JSON of Lease). On disk before the node is asked."""

ARMED = "lease.armed"
"""node, lease (JSON), receipt_digest, observation (JSON), kept: kernel | process (who begins and
ends its window; records from before it was written down have kernel-kept windows only)"""

OBSERVED = "lease.observed"
"""node, lease (id), observation (JSON), when: armed | active | ended"""

EXEMPT = "management.exempt"
"""node, lease (id), before, after (packets that matched the exemption), held (bool)"""

DISARM_INTENT = "lease.disarm-intent"
"""node, lease (id), why"""

DISARMED = "lease.disarmed"
"""node, lease (id), sent_ns (controller's time when asked), done (list of str, what was
removed; empty where nothing was left)"""

ABORT = "run.abort"
"""why, by: operator | condition | controller-died | error"""

CLEAN = "node.clean"
"""node, clean (bool), left (list of str), foreign_changed (list of str)"""

EFFECT = "fault.effect"
"""fault, held (bool or None), evidence (list of str)"""

NODE_LOST = "node.lost"
"""node, reason"""

NODE_BACK = "node.back"
"""node"""

COLLECTED = "samples.collected"
"""node, samples (count), missing (count), complete (bool)"""

ACKS_OPENED = "acks.opened"
"""From here on, people can tell the run what they see, with ``gameday ack``."""

HUMAN_ACK = "human.ack"
"""user (login, as the kernel knows it), said_by (as they call themselves, or empty), text,
said_ns (controller, monotonic, when they said it; the event's own time is not earlier)"""

ACKS_CLOSED = "acks.closed"
"""From here on, nobody is heard any more."""

RUN_ENDED = "run.ended"
"""outcome: completed | aborted, clean (bool)"""
