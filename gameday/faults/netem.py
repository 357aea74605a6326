# SPDX-License-Identifier: Apache-2.0
"""``netem``: a path becomes slow, lossy or otherwise bad, for chosen peers only.

This module travels to nodes: standard library only, Python 3.9 syntax.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, Literal, Mapping, Optional, Tuple

from gameday.errors import InvalidInput
from gameday.faults import paths, profiles
from gameday.faults.base import Estate, Reach, Selector
from gameday.faults.shaping import Shaping

PPM = 1_000_000
DELAY_MS_MAX = 60_000
"""A minute: beyond every time-out that a slow path could meet."""

RATE_KBIT_MAX = 400_000_000


@dataclass(frozen=True)
class GilbertElliott:
    """Loss in bursts: a path that is now good, now bad.

    Attributes:
        p_ppm: chance, per packet, that a good path turns bad.
        r_ppm: chance, per packet, that a bad path turns good.
        bad_loss_ppm: share lost while bad.
        good_loss_ppm: share lost while good.
    """

    p_ppm: int
    r_ppm: int = field(metadata={"ge": 1, "le": PPM})
    bad_loss_ppm: int = PPM
    good_loss_ppm: int = 0


@dataclass(frozen=True)
class LossStates:
    """netem's four-state Markov model of loss; chances per packet, as in tc-netem(8).

    Attributes:
        p13_ppm: good to burst. p31_ppm: burst to good. p32_ppm: burst to gap within a burst.
        p23_ppm: gap back to burst. p14_ppm: a single loss.
    """

    p13_ppm: int
    p31_ppm: int
    p32_ppm: int = 0
    p23_ppm: int = 0
    p14_ppm: int = 0


@dataclass(frozen=True)
class NetemParams:
    """Parameters of ``netem``. Shares are in millionths: 10000 is 1 %.

    Attributes:
        from_: nodes whose packets suffer.
        to: the peers they are sent to; packets to others are left alone.
        at: nodes that hold the leases instead of from, such as a router that forwards.
        direction: egress (shaped where they leave) or ingress (on the nodes of to, where they
            arrive, through an IFB device).
        delay_ms: added one way, from from to to.
        rtt_ms: added to the round trip: half each way where both ends can hold a lease.
        jitter_ms: variation of the delay.
        delay_correlation_percent: how much one packet's delay follows the one before.
        distribution: of the jitter.
        loss_ppm: share of packets lost at random. loss_correlation_percent: in bursts.
        gilbert_elliott: loss that comes in bursts. loss_states: netem's Markov model of loss.
        corrupt_ppm: share with one bit flipped; receivers drop them by their checksums.
        duplicate_ppm: share sent twice. reorder_ppm: share sent at once, before the delayed.
        reorder_gap: reorder only every so many packets.
        rate_kbit: limit. overhead_bytes: added to each packet's size for the rate, or taken off.
        protocol: any, tcp or udp. ports: of to, at which packets are aimed.
    """

    from_: Selector
    to: Selector
    at: Optional[Selector] = None
    direction: Literal["egress", "ingress"] = "egress"
    delay_ms: int = field(default=0, metadata={"ge": 0, "le": DELAY_MS_MAX})
    rtt_ms: int = field(default=0, metadata={"ge": 0, "le": DELAY_MS_MAX})
    jitter_ms: int = field(default=0, metadata={"ge": 0, "le": DELAY_MS_MAX})
    delay_correlation_percent: int = 0
    distribution: Literal["uniform", "normal", "pareto", "paretonormal"] = "uniform"
    loss_ppm: int = 0
    loss_correlation_percent: int = 0
    gilbert_elliott: Optional[GilbertElliott] = None
    loss_states: Optional[LossStates] = None
    corrupt_ppm: int = 0
    duplicate_ppm: int = 0
    reorder_ppm: int = 0
    reorder_gap: int = field(default=1, metadata={"ge": 1, "le": 10_000})
    rate_kbit: int = field(default=0, metadata={"ge": 0, "le": RATE_KBIT_MAX})
    overhead_bytes: int = field(default=0, metadata={"ge": -1000, "le": 1000})
    protocol: Literal["any", "tcp", "udp"] = "any"
    ports: Tuple[int, ...] = ()


class Netem(Shaping):
    """A bad path, constant through the window."""

    kind = "netem"
    Params: type = NetemParams
    summary = "delay, jitter, loss, corruption, duplication, reordering or a rate, to chosen peers"
    leaf_needs = ("netem",)

    def spread(self, params: NetemParams, estate: Estate) -> Dict[str, Dict[str, Any]]:
        """One spec per node that holds a lease.

        Raises:
            InvalidInput: where nothing is asked for, or what is asked for contradicts itself.
        """
        leaf = _leaf(params)
        there = dict(leaf)
        back: Dict[str, Any] = {"kind": "netem"}
        whole_us = params.rtt_ms * 1000
        split = whole_us and params.direction == "egress" and paths.can_split(params, estate)
        there["delay_us"] = params.delay_ms * 1000 + (whole_us - whole_us // 2 if split
                                                      else whole_us)  # fmt: skip
        back["delay_us"] = whole_us // 2 if split else 0
        return paths.spread(params, there, back if split else None, estate)

    def reach(self, params: NetemParams, estate: Estate) -> Reach:
        """Echoes between the peers, both ways: each crosses the bad direction once."""
        if params.protocol != "any":
            return Reach()
        added = (params.delay_ms + params.rtt_ms) * 1000
        lost = PPM - (PPM - _loss(params)) * (PPM - params.corrupt_ppm) // PPM
        spread = params.jitter_ms * 1000 * (1 if params.distribution == "uniform" else 4)
        if params.reorder_ppm:
            spread = max(spread, added)
        pairs = paths.pairs(params, estate)
        if not added and not lost:
            # A rate or duplicates are not seen by a few echoes; the leaf's counters show them.
            return Reach()
        return Reach(shifted=pairs, profile=profiles.constant(added, lost), spread_us=spread)


def _leaf(params: NetemParams) -> Dict[str, Any]:
    _check(params)
    leaf: Dict[str, Any] = {"kind": "netem", "delay_us": 0}
    values = {
        "jitter_us": params.jitter_ms * 1000,
        "delay_corr_ppm": params.delay_correlation_percent * 10_000,
        "distribution": "" if params.distribution == "uniform" else params.distribution,
        "loss_ppm": params.loss_ppm,
        "loss_corr_ppm": params.loss_correlation_percent * 10_000,
        "corrupt_ppm": params.corrupt_ppm,
        "duplicate_ppm": params.duplicate_ppm,
        "reorder_ppm": params.reorder_ppm,
        "gap": params.reorder_gap if params.reorder_ppm else 0,
        "rate_kbit": params.rate_kbit,
        "overhead_bytes": params.overhead_bytes,
    }
    leaf.update({name: value for name, value in values.items() if value})
    if params.gilbert_elliott is not None:
        one = params.gilbert_elliott
        leaf["loss_ge"] = {"p": one.p_ppm, "r": one.r_ppm, "bad": one.bad_loss_ppm,
                           "good": one.good_loss_ppm}  # fmt: skip
    if params.loss_states is not None:
        states: Mapping[str, int] = vars(params.loss_states)
        leaf["loss_state"] = {name.split("_")[0]: value for name, value in states.items()}
    return leaf


def _check(params: NetemParams) -> None:
    if params.delay_ms and params.rtt_ms:
        raise InvalidInput("delay_ms and rtt_ms exclude each other",
                           "delay_ms is one way, rtt_ms there and back")  # fmt: skip
    delayed = params.delay_ms or params.rtt_ms
    losses = [params.loss_ppm, params.gilbert_elliott, params.loss_states]
    if sum(1 for one in losses if one) > 1:
        raise InvalidInput("loss_ppm, gilbert_elliott and loss_states exclude each other")
    if params.reorder_ppm and not delayed:
        raise InvalidInput("reorder_ppm needs a delay to overtake", "give delay_ms or rtt_ms")
    if params.jitter_ms and not delayed:
        raise InvalidInput("jitter_ms needs a delay to vary", "give delay_ms or rtt_ms")
    if params.overhead_bytes and not params.rate_kbit:
        raise InvalidInput("overhead_bytes belongs to rate_kbit")
    if not any([delayed, *losses, params.corrupt_ppm, params.duplicate_ppm, params.rate_kbit]):
        raise InvalidInput("nothing is asked for", "give delay_ms, rtt_ms, loss_ppm, rate_kbit …")
    paths.check_ports(params.protocol, params.ports)


def _loss(params: NetemParams) -> int:
    """Average share of packets lost, in millionths (of a Markov chain: its steady state)."""
    one = params.gilbert_elliott
    if one is not None:
        turns = one.p_ppm + one.r_ppm
        return (one.p_ppm * one.bad_loss_ppm + one.r_ppm * one.good_loss_ppm) // turns
    two = params.loss_states
    if two is None:
        return params.loss_ppm
    # Steady state of the chain good(1), gap in a burst(2), burst(3), single loss(4); a packet
    # is lost in 3 and 4. Balance: p1*p13 = p3*p31, p2*p23 = p3*p32, p4 = p1*p14.
    good = PPM
    burst = good * two.p13_ppm // max(1, two.p31_ppm)
    gap = burst * two.p32_ppm // two.p23_ppm if two.p23_ppm else 0
    single = good * two.p14_ppm // PPM
    return PPM * (burst + single) // (good + burst + gap + single)


FAULT = Netem()
