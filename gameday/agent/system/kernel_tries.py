# SPDX-License-Identifier: Apache-2.0
"""Whether this kernel has a queueing discipline: tried in a network namespace that is thrown away.

Module names tell nothing of what is built in, and trying on a real device would change it.
"""

from __future__ import annotations

import socket
from typing import Callable, Tuple

from gameday.agent.system import leaves
from gameday.agent.system.command import Check
from gameday.agent.system.emptyns import in_empty_namespace
from gameday.agent.system.rtnetlink import (
    NLM_F_CREATE,
    RTM_NEWQDISC,
    TC_H_ROOT,
    TCA_KIND,
    TCA_OPTIONS,
    Rtnetlink,
    attribute,
    tc_body,
    text,
)

TRY_HANDLE = 0x9ADF0000


def try_qdisc(kind: str, options: bytes) -> None:
    """Make the qdisc on the loopback of this namespace; raises NodeError where it cannot be."""
    netlink = Rtnetlink()
    try:
        body = text(TCA_KIND, kind) + attribute(TCA_OPTIONS, options)
        message = tc_body(socket.if_nametoindex("lo"), TRY_HANDLE, TC_H_ROOT, 0, body)
        netlink.change(RTM_NEWQDISC, NLM_F_CREATE, message, f"sch_{kind} cannot be used")
    finally:
        netlink.close()


def _qdisc(kind: str, options: bytes) -> Callable[[], None]:
    return lambda: in_empty_namespace(lambda: try_qdisc(kind, options))


def _ifb() -> None:
    from gameday.agent.system import ingress

    in_empty_namespace(ingress.try_ifb)


ADVICE = "the kernel needs the module {} (Debian, Ubuntu: linux-image; RHEL: kernel-modules-extra)"

CHECKS: Tuple[Check, ...] = (
    Check("prio", _qdisc("prio", leaves.prio(16, (0,) * 16)), ADVICE.format("sch_prio")),
    Check("netem", _qdisc("netem", leaves.netem({})), ADVICE.format("sch_netem")),
    Check(
        "tbf",
        _qdisc("tbf", leaves.tbf({"rate_kbit": 1000, "burst_bytes": 2000, "queue_bytes": 9000})),
        ADVICE.format("sch_tbf"),
    ),
    Check("ifb", _ifb, ADVICE.format("ifb, sch_ingress, cls_u32 and act_mirred")),
)
