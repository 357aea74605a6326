# SPDX-License-Identifier: Apache-2.0
"""What ``gameday excurse`` was asked for: words to numbers, and what contradicts itself. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations

from gameday.errors import InvalidInput
from gameday.experiment.limits import FAULT_S_MAX, FAULT_S_MIN
from gameday.faults.netem import DELAY_MS_MAX

US_PER_MS = 1000
TWO, SITES_MAX = 2, 4
"""Six paths between them: more faults at once than that are no excursion any more."""

UNITS_S = {"s": 1, "m": 60, "h": 3600}
DURATION = re.compile(r"(\d+)(s|m|h)")
TIMES = re.compile(r"(\d+(?:\.\d+)?)x")
MILLISECONDS = re.compile(r"(\d+(?:\.\d+)?)ms")
RAMP = re.compile(
    r"(ramp|sawtooth|pulse|spike):(\d+(?:\.\d+)?)\.\.(\d+(?:\.\d+)?)ms/(\d+(?:s|m|h))"
)

Pair = tuple[str, str]
Usual = int | Mapping[Pair, int]
"""Usual round trips in us: one for all pairs of sites, or each pair's."""


@dataclass(frozen=True)
class Wish:
    """What was asked for on the command line.

    Attributes:
        sites: two or more; every two of them are slowed.
        factor: times the usual round trip, or None. rtt_us: the round trip wanted, or None.
        profile: shape, least and most round trip (us) and period or length (s), or None.
        jitter_ms, loss_percent: beside it. for_s: how long. at: nodes that hold the leases.
        url, role: what users fetch, and the role of who does; empty where nobody does.
    """

    sites: tuple[str, ...]
    for_s: int
    factor: float | None = None
    rtt_us: int | None = None
    profile: tuple[str, int, int, int] | None = None
    jitter_ms: int = 0
    loss_percent: float = 0
    at: tuple[str, ...] = ()
    url: str = ""
    role: str = "user"

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Every two of the sites."""
        return tuple(combinations(self.sites, 2))


def parse_duration(text: str) -> int:
    """``90s``, ``5m`` or ``1h`` in seconds.

    Raises:
        InvalidInput: for anything else, or outside of what a fault may last.
    """
    found = DURATION.fullmatch(text)
    seconds = int(found[1]) * UNITS_S[found[2]] if found else 0
    if not FAULT_S_MIN <= seconds <= FAULT_S_MAX:
        raise InvalidInput(f"not a duration of {FAULT_S_MIN} to {FAULT_S_MAX} s: {text!r}",
                           "write 90s, 5m or 1h")  # fmt: skip
    return seconds


def parse_rtt(text: str) -> tuple[float | None, int | None]:
    """``3x`` as (3.0, None), ``90ms`` as (None, 90000 us).

    Raises:
        InvalidInput: for anything else.
    """
    times, milliseconds = TIMES.fullmatch(text), MILLISECONDS.fullmatch(text)
    if times and float(times[1]) > 1:
        return float(times[1]), None
    if milliseconds and 0 < float(milliseconds[1]) <= DELAY_MS_MAX:
        return None, round(float(milliseconds[1]) * US_PER_MS)
    raise InvalidInput(f"not a round trip: {text!r}",
                       "write 3x (more than once the usual) or 90ms")  # fmt: skip


def parse_profile(text: str) -> tuple[str, int, int, int]:
    """``ramp:12..120ms/2m``: shape, least and most (us), seconds of the ramp or of one period.

    Raises:
        InvalidInput: for anything else.
    """
    found = RAMP.fullmatch(text)
    if not found:
        raise InvalidInput(f"not a profile: {text!r}",
                           "write ramp:12..120ms/2m, or sawtooth, pulse or spike")  # fmt: skip
    low, high = (round(float(x) * US_PER_MS) for x in (found[2], found[3]))
    if not low < high <= DELAY_MS_MAX * US_PER_MS:
        raise InvalidInput(f"{text!r}: the first round trip must be the smaller one")
    return found[1], low, high, parse_duration(found[4])


def check(wish: Wish) -> None:
    """What can be wrong with a wish by itself.

    Raises:
        InvalidInput: where nothing, or two things at once, are asked for.
    """
    if not TWO <= len(wish.sites) <= SITES_MAX:
        raise InvalidInput(f"{len(wish.sites)} sites are given", f"name 2 to {SITES_MAX} of them")
    if wish.profile is not None and (wish.factor is not None or wish.rtt_us is not None):
        raise InvalidInput("--rtt and --profile contradict each other", "give one of them")
    if wish.profile is not None and wish.jitter_ms:
        raise InvalidInput("--jitter is for a round trip that stays", "leave out --profile")
    asked = wish.profile or wish.factor or wish.rtt_us or wish.jitter_ms or wish.loss_percent
    if not asked:
        raise InvalidInput("nothing is asked for", "give --rtt, --profile, --jitter or --loss")


def usual_us(usual: Usual, pair: Pair) -> int:
    """The usual round trip of one pair of sites, in us."""
    return usual if isinstance(usual, int) else usual[pair]


def placeholder(wish: Wish) -> Wish:
    """The wish over an unknown usual round trip: right but for how much is added."""
    return replace(wish, factor=None, rtt_us=wish.rtt_us or US_PER_MS) if not wish.profile else wish


def peak_us(wish: Wish, base_us: int) -> int:
    """The longest round trip that is asked for, in us.

    Raises:
        InvalidInput: where it is not longer than the usual one; nothing can make it shorter.
    """
    if wish.profile is not None:
        _, least, most, _ = wish.profile
        if least < base_us:
            raise InvalidInput(
                f"the profile begins at {least / US_PER_MS:g} ms, and the round trip is "
                f"{base_us / US_PER_MS:g} ms already",
                f"begin at {-(-base_us // US_PER_MS)} ms or more",
            )
        return most
    wanted = wish.rtt_us if wish.rtt_us is not None else round(base_us * (wish.factor or 1))
    if wanted < base_us:
        raise InvalidInput(
            f"{wanted / US_PER_MS:g} ms are asked for, and the round trip is "
            f"{base_us / US_PER_MS:g} ms already",
            "ask for more than that; delay can only be added",
        )
    return wanted
