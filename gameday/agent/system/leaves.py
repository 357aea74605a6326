# SPDX-License-Identifier: Apache-2.0
"""Leaves as JSON to the bytes that the kernel wants for ``netem``, ``tbf`` and ``prio``.

Layouts and meanings: linux/pkt_sched.h, net/sched/sch_netem.c, sch_tbf.c; shares of packets
are scaled to 2^32 - 1, as in iproute2.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Any, Dict, List, Mapping, Sequence

from gameday.agent.system.rtnetlink import NLA_F_NESTED, attribute

(
    NETEM_CORR, NETEM_DIST, NETEM_REORDER, NETEM_CORRUPT, NETEM_LOSS, NETEM_RATE,
) = range(1, 7)  # fmt: skip
NETEM_RATE64, NETEM_LATENCY64, NETEM_JITTER64 = 8, 10, 11
LOSS_STATE, LOSS_GILBERT_ELLIOTT = 1, 2
TBF_PARMS, TBF_RATE64, TBF_BURST = 1, 4, 6

NETEM_LIMIT = 20_000
"""Packets that may wait: 2 Gbit/s of full packets for 100 ms; the default of 1000 would make
a delay into a loss on a busy link."""

TICK_NS = 64
"""The kernel's unit of time in older fields of these messages (PSCHED_SHIFT 6)."""

U32_MAX = 0xFFFFFFFF
PPM = 1_000_000
SCALE = 8192
"""NETEM_DIST_SCALE: a table's value for one standard deviation."""

TABLE_SIZE = 4096
PARETO_SHAPE = 3.0


def options(leaf: Mapping[str, Any]) -> bytes:
    """The content of TCA_OPTIONS for a leaf."""
    return {"netem": netem, "tbf": tbf}[str(leaf["kind"])](leaf)


def netem(leaf: Mapping[str, Any]) -> bytes:
    """``tc_netem_qopt`` and its attributes.

    Keys, all but ``kind`` optional: delay_us, jitter_us, delay_corr_ppm, distribution
    ("normal", "pareto", "paretonormal"; else uniform), loss_ppm, loss_corr_ppm, loss_state
    (p13, p31, p32, p23, p14 in ppm), loss_ge (p, r, bad, good in ppm: the chances to turn bad
    and good, and of loss in each), duplicate_ppm, duplicate_corr_ppm, reorder_ppm,
    reorder_corr_ppm, gap, corrupt_ppm, corrupt_corr_ppm, rate_kbit, overhead_bytes.
    """
    get = leaf.get
    latency, jitter = int(get("delay_us", 0)) * 1000, int(get("jitter_us", 0)) * 1000
    reorder = share(get("reorder_ppm", 0))
    gap = int(get("gap", 1)) if reorder else 0
    found = struct.pack(
        "=IIIIII", _ticks(latency), NETEM_LIMIT, share(get("loss_ppm", 0)), gap,
        share(get("duplicate_ppm", 0)), _ticks(jitter),
    )  # fmt: skip
    found += attribute(NETEM_LATENCY64, struct.pack("=q", latency))
    found += attribute(NETEM_JITTER64, struct.pack("=q", jitter))
    correlations = [share(get(f"{x}_corr_ppm", 0)) for x in ("delay", "loss", "duplicate")]
    found += attribute(NETEM_CORR, struct.pack("=III", *correlations))
    found += _pair(NETEM_REORDER, leaf, "reorder") + _pair(NETEM_CORRUPT, leaf, "corrupt")
    found += _loss_model(leaf)
    rate = int(get("rate_kbit", 0)) * 125
    if rate > U32_MAX:
        found += attribute(NETEM_RATE64, struct.pack("=Q", rate))
    overhead = int(get("overhead_bytes", 0))
    found += attribute(NETEM_RATE, struct.pack("=IiIi", min(rate, U32_MAX), overhead, 0, 0))
    table = distribution(str(get("distribution", "")))
    if table and jitter:
        found += attribute(NETEM_DIST, struct.pack(f"={len(table)}h", *table))
    return found


def tbf(leaf: Mapping[str, Any]) -> bytes:
    """``tc_tbf_qopt``: rate_kbit, burst_bytes (also the largest packet), queue_bytes."""
    rate = int(leaf["rate_kbit"]) * 125
    spec = struct.pack("=BBHhHI", 0, 1, 0, 0, 0, min(rate, U32_MAX))
    burst = int(leaf["burst_bytes"])
    buffer = _ticks(burst * 1_000_000_000 // rate)
    parms = spec + bytes(12) + struct.pack("=III", int(leaf["queue_bytes"]), buffer, 0)
    found = attribute(TBF_PARMS, parms) + attribute(TBF_BURST, struct.pack("=I", burst))
    if rate > U32_MAX:
        found += attribute(TBF_RATE64, struct.pack("=Q", rate))
    return found


def prio(bands: int, priomap: Sequence[int]) -> bytes:
    """``tc_prio_qopt``."""
    return struct.pack("=i16B", bands, *priomap)


def share(ppm: Any) -> int:
    """Millionths to the kernel's share of 2^32 - 1."""
    return int(ppm) * U32_MAX // PPM


@lru_cache(maxsize=4)
def distribution(name: str) -> List[int]:
    """A delay distribution's table: standard deviations times 8192, in order of likelihood.

    The formulas are those of iproute2's netem/normal.c, pareto.c (shape 3) and
    paretonormal.c (a quarter normal, three quarters Pareto); "" is uniform: no table.
    """
    if name not in ("normal", "pareto", "paretonormal"):
        return []
    from statistics import NormalDist

    normal, found = NormalDist(), []
    for i in range(TABLE_SIZE):
        chance = (i + 0.5) / TABLE_SIZE
        bell = normal.inv_cdf(chance) * SCALE
        pareto = ((1 - chance) ** (-1 / PARETO_SHAPE) - 1.5) * (4.0 / 3.0) * SCALE
        value = {"normal": bell, "pareto": pareto}.get(name, 0.25 * bell + 0.75 * pareto)
        found.append(max(-32768, min(32767, round(value))))
    return found


def _loss_model(leaf: Mapping[str, Any]) -> bytes:
    state: Dict[str, int] = leaf.get("loss_state") or {}
    bursts: Dict[str, int] = leaf.get("loss_ge") or {}
    if state:
        values = [share(state[name]) for name in ("p13", "p31", "p32", "p14", "p23")]
        model = attribute(LOSS_STATE, struct.pack("=IIIII", *values))
    elif bursts:
        # The kernel wants the chance that a packet *survives* the bad state.
        survive = U32_MAX - share(bursts["bad"])
        values = [share(bursts["p"]), share(bursts["r"]), survive, share(bursts["good"])]
        model = attribute(LOSS_GILBERT_ELLIOTT, struct.pack("=IIII", *values))
    else:
        return b""
    return attribute(NETEM_LOSS | NLA_F_NESTED, model)


def _pair(kind: int, leaf: Mapping[str, Any], word: str) -> bytes:
    chance, correlation = leaf.get(f"{word}_ppm", 0), leaf.get(f"{word}_corr_ppm", 0)
    if not chance:
        return b""
    return attribute(kind, struct.pack("=II", share(chance), share(correlation)))


def _ticks(ns: int) -> int:
    return min(ns // TICK_NS, U32_MAX)
