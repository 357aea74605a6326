# SPDX-License-Identifier: Apache-2.0
"""Which kinds meet which deaths, and what must hold. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PEER, BYSTANDER = "198.18.0.2", "198.18.0.3"
DEVICE, DATA = "/dev/mapper/data", "/data"

KERNEL_LATE_S, PROCESS_LATE_S = 1.0, 2.0
"""How late an effect may be measurable at most: where the kernel keeps the window, or a process."""


@dataclass(frozen=True)
class Case:
    """One kind with one spec.

    Attributes:
        look: how its effect is seen: "echo" (lost or slow answers), "write" (slow or failing
            writes to the volume), "file" (writes to a file on it), "free" (space on it),
            "gap" (the writer itself stands still), "sent" (packets that arrive) or "none".
        size: bytes of an echo. period_ms: between two looks.
    """

    name: str
    kind: str
    spec: dict[str, Any]
    look: str
    size: int = 64
    period_ms: int = 50


def _flow(leaf: dict[str, Any], **more: Any) -> dict[str, Any]:
    flow = {"src": [], "dst": [PEER], "match": "", "leaf": leaf}
    return {"flows": [flow], "exempt": ["198.19.0.0/24"], "direction": "egress", **more}


SLOW = {"kind": "netem", "delay_us": 450_000}
CUT = {"from": [PEER], "to": [], "exempt": ["198.19.0.0/24"], "match": "", "table": "raw",
       "action": "drop", "mechanism": "netfilter"}  # fmt: skip
STEPS = {"shape": "steps", "points": [[0, 450_000, 0, 0], [2_000_000, 600_000, 0, 0]]}

CASES = (
    Case("noop", "noop", {}, "none"),
    Case("partition", "partition", CUT, "echo"),
    Case("partition, reject", "partition", {**CUT, "table": "filter", "action": "reject"}, "echo"),
    Case("partition, blackhole", "partition",
         {**CUT, "from": [], "to": [PEER], "mechanism": "blackhole"}, "echo"),
    Case("netem", "netem", _flow(SLOW), "echo"),
    Case("netem, ingress", "netem", {**_flow(SLOW), "direction": "ingress"}, "echo"),
    Case("excursion", "excursion", _flow(SLOW, profile=STEPS, share=1, every_ms=50), "echo"),
    Case("saturate", "saturate",
         _flow({"kind": "tbf", "rate_kbit": 1000, "burst_bytes": 5000, "queue_bytes": 80_000}),
         "echo", size=1400, period_ms=5),
    Case("saturate, traffic", "saturate",
         {"traffic": {"to": PEER, "rate_mbit": 1}, "exempt": []}, "sent"),
    Case("mtu-blackhole", "mtu-blackhole",
         _flow({"kind": "tbf", "rate_kbit": 30_000_000, "queue_bytes": 4_000_000,
                "burst_bytes": 1314}), "echo", size=1400),
    Case("disk-throttle", "disk-throttle",
         {"path": DEVICE, "layer": "volume", "limits": {"write_iops": 2}, "unit": "",
          "container": "", "name": "writer", "pid": 0}, "write"),
    Case("disk-delay", "disk-delay",
         {"path": DEVICE, "read_delay_ms": 0, "write_delay_ms": 450}, "write"),
    Case("disk-readonly", "disk-readonly", {"path": DATA, "means": "remount"}, "file"),
    Case("disk-fill", "disk-fill", {"path": DATA, "used_percent": 60, "keep_free_mb": 64}, "free"),
    Case("disk-error", "disk-error",
         {"path": DEVICE, "operations": "all", "up_s": 0, "down_s": 1}, "write"),
    Case("process", "process",
         {"by": "name", "what": "writer", "action": "pause", "period_ms": 2000}, "gap"),
)  # fmt: skip

ELSEWHERE = {
    "power": "tests/lab/test_power.py",
    **{f"kube-{one}": "tests/kube/test_deaths.py" for one in ("cordon", "deny", "pause", "scale")},
}
"""Kinds that no node holds but the controller's host, to tests of what dies there: a machine of the
matrix has neither a BMC nor an API server that would show the effect."""

DEATHS = {
    "nothing dies": "the lease ends as planned and is disarmed by the controller",
    "controller killed": "its connection ends in the middle of the window",
    "controller killed while arming": "its connection ends once this node is armed",
    "path cut": "the connection stands still from before the window until after it",
    "agent killed": "SIGKILL to the agent and to the keeper, in the window",
    "reaper killed": "SIGKILL to the reaper, in the window; the connection has ended",
    "agent and reaper killed": "SIGKILL to agent, keeper and reaper at once, in the window",
    "no space for the ledger": "the node's ledger cannot be written when the lease is armed",
    "clock one hour ahead": "the node's wall clock is stepped forward in the window",
    "clock one hour back": "the node's wall clock is stepped back in the window",
    "second run": "another run arms the same fault on the same node in the window",
    "crash after the receipt": "SIGKILL to the agent as soon as the receipt is on disk",
    "armed too late": "the agent stands still from the receipt until after the lease's end",
}
"""Death to what happens; a node's reboot is in ``reboot.py``."""


VARIANT_DEATHS = ("nothing dies", "agent and reaper killed", "crash after the receipt",
                  "clock one hour back")  # fmt: skip
"""What a variant of a kind meets: its own way to begin, to end and to be half done."""


def cells() -> list[tuple[Case, str]]:
    """All of the matrix; every death of all kinds before the next death."""
    return [
        (case, death) for death in DEATHS for case in CASES
        if "," not in case.name or death in VARIANT_DEATHS
    ]  # fmt: skip


def kept(case: Case) -> str:
    """Who keeps the case's window."""
    from gameday.faults import TABLE

    return TABLE[case.kind].kept_by(case.spec)


def allowed_s(case: Case) -> float:
    """How late its effect may be measurable."""
    return KERNEL_LATE_S if kept(case) == "kernel" else PROCESS_LATE_S


def slice_of() -> list[tuple[Case, str]]:
    """Every case and every death at least once, in as few cells as possible."""
    deaths = list(DEATHS)
    count = max(len(CASES), len(deaths))
    return [(CASES[i % len(CASES)], deaths[(i * 5 + 1) % len(deaths)]) for i in range(count)]


def problems(case: Case, death: str, found: dict[str, Any]) -> list[str]:
    """What of a cell's outcome breaks the guarantee; empty where it held."""
    wrong = []
    late = found["late_s"]
    if late is not None and late > allowed_s(case):
        wrong.append(f"effect measurable {late:.2f} s after the lease's end")
    if found["early"]:
        wrong.append("effect measurable before the lease's start")
    if found["left"]:
        wrong.append(f"left behind: {found['left'][0]}")
    if found["changed"]:
        wrong.append(f"not as before: {found['changed'][0]}")
    must = death in MUST_HIT and case.look != "none"
    if must and not found["hit"]:
        why = found["refused"] or "; ".join(found["trouble"]) or "the agent told no reason"
        wrong.append(f"the fault had no effect, so that this cell shows nothing: {why}")
    if death in MUST_REFUSE and not found["refused"]:
        wrong.append("it was armed all the same")
    if death in MUST_REFUSE and found["hit"]:
        wrong.append("it had an effect although it was refused")
    return wrong


MUST_HIT = (
    "nothing dies", "controller killed", "controller killed while arming", "path cut",
    "agent killed", "reaper killed", "agent and reaper killed", "clock one hour ahead",
    "clock one hour back", "second run",
)  # fmt: skip
MUST_REFUSE = ("no space for the ledger",)
