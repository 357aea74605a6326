# SPDX-License-Identifier: Apache-2.0
"""Asked against achieved: did echoes between two nodes become slower or lossy as was asked?

The added round trip of a look is its own minus the median before onset. It is compared with the
profile over the whole time that the look was under way, since nobody knows when within it the
packet passed the fault.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gameday.faults import profiles
from gameday.measures.common import within
from gameday.record.looks import Looks
from gameday.record.record import Seen, Window

LOOKS_MIN = 3
"""Fewer looks than this, before or inside the window, say nothing about a pair."""

TOLERANCE_US = 3_000
"""How far the median look may be from what was asked: timers of a busy node are this late."""

TOLERANCE_PERCENT = 10

SLOWER_US_MAX, SLOWER_PERCENT_MAX = 3_000, 10
"""A control pair whose median look is slower than the larger of both was hit too: 3 ms, or this
share of what the fault would have added to it. A leak adds all of that, or half of it where only
one way leaks, so what is allowed is still a fifth of the smallest leak; nodes that share a busy
machine with the fault's load have been 3 to 8 ms slower without any."""

SLACK_US = 100_000
"""A profile changes in steps, and clocks of nodes are known within a bound: a look is compared
with what was asked this much before and after it too."""

SIGMAS = 4
"""A true share of losses is outside of this many standard deviations once in 16 000 pairs."""

LOST_MAX = 2
"""Echoes that a busy node loses by itself."""

PPM = 1_000_000


@dataclass(frozen=True)
class Shifted:
    """What became of one pair; ``details`` holds asked and achieved in microseconds."""

    held: bool | None
    answered: int
    asked: int
    text: str
    details: Mapping[str, Any] = field(default_factory=dict)


def check_shift(
    looks: Sequence[Seen], window: Window, profile: Mapping[str, Any], spread_us: int
) -> Shifted:
    """Compare a pair's looks with the profile.

    Args:
        looks: in order of time. spread_us: how far a single one may be off by jitter.
    """
    inside = list(within(looks, window))
    answered = [s for s in inside if s.sample.ok]
    base = _median(_rtts_before(looks, window))
    if base is None or len(inside) < LOOKS_MIN:
        few = "too few looks" if len(inside) < LOOKS_MIN else "no answers before the onset"
        return Shifted(None, len(answered), len(inside), few)
    lost_wrong = _loss_text(inside, answered, window, profile)
    if not answered:
        held = not lost_wrong
        return Shifted(held, 0, len(inside), lost_wrong or f"no answer to {len(inside)} looks")
    errors = sorted(_error_us(s, base, window, profile) for s in answered)
    off = sorted(_outside_us(s, base, window, profile) for s in answered)
    allowed = spread_us + max(
        TOLERANCE_US, profiles.peak(profile).rtt_us * TOLERANCE_PERCENT // 100
    )
    details = {
        "base_us": base,
        "added_us": _median([_rtt_us(s) - base for s in answered]),
        "asked_us": _median([_asked_us(s, window, profile) for s in answered]),
        "error_median_us": _share(errors, 50),
        "error_p95_us": _share(errors, 95),
        "looks": len(inside),
        "lost": len(inside) - len(answered),
    }
    text = (
        f"round trip {_ms(base)} before, {_ms(details['added_us'])} added in the median "
        f"({_ms(details['asked_us'])} asked); half of the looks within "
        f"{_ms(details['error_median_us'])} of what was asked, 95 % within "
        f"{_ms(details['error_p95_us'])}; {details['lost']} of {len(inside)} lost"
    )
    wrong = lost_wrong
    if _share(off, 50) > allowed:
        wrong = f"{text}: not what was asked"
    return Shifted(not wrong, len(answered), len(inside), wrong or text, details)


def slowed_us(looks: Sequence[Seen], window: Window) -> int:
    """How much slower the median look became inside the window; 0 where nothing tells."""
    before = _median(_rtts_before(looks, window))
    now = _median(_rtts_us(within(looks, window)))
    return 0 if before is None or now is None else now - before


def slower_allowed_us(looks: Sequence[Seen], window: Window, profile: Mapping[str, Any]) -> int:
    """How much slower a pair may become that was not meant to be hit, in us.

    A share of what was asked at the pair's own looks in the median, not of the peak: most of a
    spike's window is as usual, and the median look of a leak would be no slower than that.
    """
    asked = _median([_asked_us(look, window, profile) for look in within(looks, window)]) or 0
    return max(SLOWER_US_MAX, asked * SLOWER_PERCENT_MAX // 100)


def _loss_text(
    within: Sequence[Seen], answered: Sequence[Seen], window: Window, profile: Mapping[str, Any]
) -> str:
    """What is wrong with the share of lost looks; empty where it is as asked."""
    total = len(within)
    moments = [_middle_us(s, window) for s in within]
    share = sum(profiles.value_at(profile, at).loss_ppm for at in moments) / total / PPM
    room = SIGMAS * math.sqrt(total * share * (1 - share)) + LOST_MAX
    lost = total - len(answered)
    if abs(lost - total * share) <= room:
        return ""
    return f"lost {lost} of {total} looks, and {total * share:.1f} ± {room:.1f} were asked"


def _error_us(look: Seen, base: int, window: Window, profile: Mapping[str, Any]) -> int:
    return abs(_rtt_us(look) - base - _asked_us(look, window, profile))


def _outside_us(look: Seen, base: int, window: Window, profile: Mapping[str, Any]) -> int:
    """How far a look is from all that was asked while it was under way."""
    first = max(0, (look.start.lo - window.planned.hi) // 1000 - SLACK_US)
    last = max(0, (look.end.hi - window.planned.lo) // 1000 + SLACK_US)
    least, most = profiles.bounds(profile, first, last)
    added = _rtt_us(look) - base
    return max(least - added, added - most, 0)


def _asked_us(look: Seen, window: Window, profile: Mapping[str, Any]) -> int:
    return profiles.value_at(profile, _middle_us(look, window)).rtt_us


def _middle_us(look: Seen, window: Window) -> int:
    zero = (window.planned.lo + window.planned.hi) // 2
    return max(0, ((look.start.lo + look.end.hi) // 2 - zero) // 1000)


def _rtts_before(samples: Sequence[Seen], window: Window) -> list[int]:
    looks = Looks.of(samples)
    return _rtts_us(looks.where(looks.end_hi < window.onset.lo))


def _rtts_us(looks: Looks) -> list[int]:
    """Round trips of those that were answered."""
    found: list[int] = ((looks.end_ns - looks.start_ns)[looks.ok] // 1000).tolist()
    return found


def _rtt_us(look: Seen) -> int:
    return (look.sample.end_ns - look.sample.start_ns) // 1000


def _median(values: Sequence[int]) -> int | None:
    return _share(sorted(values), 50) if len(values) >= LOOKS_MIN else None


def _share(ordered: Sequence[int], percent: int) -> int:
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def _ms(microseconds: int | None) -> str:
    return "unknown" if microseconds is None else f"{microseconds / 1000:.1f} ms"
