# SPDX-License-Identifier: Apache-2.0
"""Medians of values that are known within bounds, some of which may not belong. Pure."""

from __future__ import annotations

import numpy as np

from gameday.clock import Interval
from gameday.record.columns import Ints


def median_of(values: Ints) -> int:
    """The middle value, of an even number the mean of both, rounded down; of at least one."""
    ordered, size = np.sort(values), len(values)
    return int(ordered[(size - 1) // 2] + ordered[size // 2]) // 2


def median_within(sure: tuple[Ints, Ints], maybe: tuple[Ints, Ints]) -> Interval:
    """All that the median can be.

    Args:
        sure: values that belong, least and most; at least one. maybe: those that may.

    The median of some set is least where what was added to ``sure`` are the smallest of the others,
    for some number of them; and largest where they are the largest.
    """
    low, high = np.sort(maybe[0]), np.sort(maybe[1])[::-1]
    counts = range(len(low) + 1)
    least = min(median_of(np.concatenate([sure[0], low[:n]])) for n in counts)
    most = max(-(median_of(-np.concatenate([sure[1], high[:n]]))) for n in counts)
    return Interval(least, most)
