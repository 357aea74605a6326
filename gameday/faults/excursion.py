# SPDX-License-Identifier: Apache-2.0
"""``excursion``: the round trip between sites leaves its usual range and follows a profile.

The kernel keeps both ends of the window, as for ``netem``; inside it the keeper changes the
leaf by netlink on a fixed schedule. If the keeper dies, the last values hold until it is
started again or the window ends.

This module travels to nodes: standard library only, Python 3.9 syntax.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Literal, Mapping, Optional, Tuple

from gameday.errors import InvalidInput
from gameday.faults import paths, profiles
from gameday.faults.base import Estate, Reach, Selector
from gameday.faults.hosts import Host
from gameday.faults.netem import DELAY_MS_MAX, RATE_KBIT_MAX
from gameday.faults.shaping import Shaping, slot_of
from gameday.record.types import Lease

POINTS_MAX = 40_000
"""An hour at ten points a second, which fits a spec's line to the node."""

CHANGE_MS_MIN = 10


@dataclass(frozen=True)
class Point:
    """One point of a profile.

    Attributes:
        at_ms: since the window's start.
        rtt_ms: added to the round trip.
        rtt_us: added to the round trip, for traces that are finer than a millisecond.
        loss_ppm: share of packets lost.
        rate_kbit: limit; 0 for none.
    """

    at_ms: int
    rtt_ms: int = field(default=0, metadata={"ge": 0, "le": DELAY_MS_MAX})
    rtt_us: int = field(default=0, metadata={"ge": 0, "le": DELAY_MS_MAX * 1000})
    loss_ppm: int = 0
    rate_kbit: int = field(default=0, metadata={"ge": 0, "le": RATE_KBIT_MAX})


@dataclass(frozen=True)
class ExcursionParams:
    """Parameters of ``excursion``.

    Attributes:
        from_: nodes at one end of the path. to: nodes at the other end.
        at: nodes that hold the leases, such as the router between; else both ends do.
        shape: steps (each point's values hold until the next), ramp (straight lines between
            the points), spike, sawtooth or pulse (repeated from base to peak), or trace (a
            recorded series from trace_file, followed by straight lines).
        points: of steps and ramps, in order.
        base: values between spikes or pulses, and at a sawtooth's foot. peak: at their top.
        period_ms: from one spike, tooth or pulse to the next.
        width_ms: how long a spike or pulse lasts.
        trace_file: CSV with the columns time (seconds) and rtt (milliseconds), or NDJSON with
            these keys, beside the experiment; lost answers are an empty rtt.
        every_ms: how often the node changes its leaf.
    """

    from_: Selector
    to: Selector
    at: Optional[Selector] = None
    shape: Literal["steps", "ramp", "spike", "sawtooth", "pulse", "trace"] = "ramp"
    points: Tuple[Point, ...] = ()
    base: Optional[Point] = None
    peak: Optional[Point] = None
    period_ms: int = 0
    width_ms: int = 0
    trace_file: str = ""
    every_ms: int = field(default=50, metadata={"ge": CHANGE_MS_MIN, "le": 1000})

    direction = "egress"
    protocol = "any"
    ports = ()


class Excursion(Shaping):
    """A path whose delay, loss and rate change."""

    kind = "excursion"
    Params: type = ExcursionParams
    summary = "round trips that follow a profile: steps, ramp, spike, sawtooth, pulse or a trace"
    leaf_needs = ("netem",)
    only_changes = True

    def drives(self, spec: Mapping[str, Any]) -> bool:
        """The profile is followed inside the window."""
        return True

    def spread(self, params: ExcursionParams, estate: Estate) -> Dict[str, Dict[str, Any]]:
        """One spec per node that holds a lease.

        Raises:
            InvalidInput: where the profile is incomplete or contradicts itself.
        """
        profile = profile_of(params)
        split = paths.can_split(params, estate)
        start = _leaf(profiles.value_at(profile, 0), 2 if split else 1)
        specs = paths.spread(params, start, start if split else None, estate)
        for spec in specs.values():
            # In a mesh, or on a router, every way carries its part by the same profile.
            spec["profile"] = profile
            spec["share"] = 2 if split else 1
            spec["every_ms"] = params.every_ms
        return specs

    def reach(self, params: ExcursionParams, estate: Estate) -> Reach:
        """Echoes between the ends follow the profile."""
        return Reach(shifted=paths.pairs(params, estate), profile=dict(profile_of(params)))

    def drive(
        self, lease: Lease, before: Mapping[str, Any], host: Host, since_ns: int
    ) -> Optional[int]:
        """Set the leaf to what the profile asks for now; the next change is on the schedule."""
        spec = lease.spec
        leaf = _leaf(profiles.value_at(spec["profile"], since_ns // 1000), spec["share"])
        for device in before["roots"]:
            for i in range(len(spec["flows"])):
                host.traffic.change_leaf(device, slot_of(lease, before, i), leaf)
        every_ns = int(spec["every_ms"]) * 1_000_000
        return (since_ns // every_ns + 1) * every_ns


def profile_of(params: ExcursionParams) -> Dict[str, Any]:
    """The profile in the form of ``gameday.faults.profiles``.

    Raises:
        InvalidInput: where it is incomplete or contradicts itself.
    """
    if params.shape in profiles.REPEATING:
        return _repeating(params)
    if params.base is not None or params.peak is not None:
        raise InvalidInput("base and peak are for spike, sawtooth and pulse", "use points")
    if params.shape == "trace" and not params.trace_file:
        raise InvalidInput("trace_file is missing")
    if params.shape != "trace" and params.trace_file:
        raise InvalidInput("trace_file is for shape: trace")
    if not params.points:
        raise InvalidInput("points is missing", "write - {at_ms: 0, rtt_ms: 20}")
    if len(params.points) > POINTS_MAX:
        raise InvalidInput(f"points: {len(params.points)} are more than {POINTS_MAX}",
                           "resample the trace")  # fmt: skip
    times = [point.at_ms for point in params.points]
    if times != sorted(set(times)):
        raise InvalidInput("points must be in order of at_ms, each once")
    if times[0] != 0:
        raise InvalidInput("points must begin at at_ms: 0, the window's start")
    points: List[List[int]] = [[p.at_ms * 1000, *_values(p)] for p in params.points]
    return {"shape": "steps" if params.shape == "steps" else "ramp", "points": points}


def _repeating(params: ExcursionParams) -> Dict[str, Any]:
    if params.points or params.trace_file:
        raise InvalidInput(f"points and trace_file are not for shape: {params.shape}")
    if params.peak is None:
        raise InvalidInput("peak is missing", "write peak: {at_ms: 0, rtt_ms: 120}")
    if params.period_ms < 2 * params.every_ms:
        raise InvalidInput("period_ms must be at least twice every_ms")
    needs_width = params.shape != "sawtooth"
    if needs_width != bool(params.width_ms) or params.width_ms > params.period_ms:
        raise InvalidInput("width_ms is needed for spike and pulse, within the period")
    base = params.base or Point(0)
    return {"shape": params.shape, "base": list(_values(base)), "peak": list(_values(params.peak)),
            "period_us": params.period_ms * 1000, "width_us": params.width_ms * 1000}  # fmt: skip


def _values(point: Point) -> Tuple[int, int, int]:
    return point.rtt_ms * 1000 + point.rtt_us, point.loss_ppm, point.rate_kbit


def _leaf(values: profiles.Values, share: int) -> Dict[str, Any]:
    """A leaf that carries one part in ``share`` of the round trip; loss is put on each way.

    An echo that crosses two ways that each lose x is lost with 1 - (1 - x)^2, about 2 x for
    the small shares that paths lose; so each way gets half.
    """
    return {"kind": "netem", "delay_us": values.rtt_us // share,
            "loss_ppm": values.loss_ppm // share, "rate_kbit": values.rate_kbit}  # fmt: skip


FAULT = Excursion()
