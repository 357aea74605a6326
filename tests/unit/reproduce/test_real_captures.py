# SPDX-License-Identifier: Apache-2.0
"""What tcpdump wrote on fra-1 in the lab: etcd's own traffic with lon-1, 12 ms away by netem.

Made with ``tcpdump -i wan0 -s 96 'tcp and host 198.18.20.11'``, its first 500 packets.
"""

from __future__ import annotations

from pathlib import Path
from statistics import median

import pytest

from gameday.errors import InvalidInput
from gameday.reproduce.pcap import BETWEEN, Hosts
from gameday.reproduce.read import Asked, Evidence, read
from gameday.reproduce.series import Look

CAPTURE = Path(__file__).parents[2] / "cases" / "reproduce" / "lab-fra-lon.pcap"
FRANKFURT, LONDON = "198.18.10.11", "198.18.20.11"
NETEM_US = 12_000


def captured_at(where: str) -> Evidence:
    return read(CAPTURE, Asked({}, hosts=Hosts((FRANKFURT, LONDON), where)))


def rtts(looks: tuple[Look, ...]) -> list[int]:
    return sorted(look.rtt_us for look in looks if look.rtt_us is not None)


def test_the_path_is_as_long_as_netem_makes_it() -> None:
    """Never shorter; the least is hardly longer, and half of the rest is within a busy lab's."""
    found = captured_at(FRANKFURT)
    assert found.warnings == ()
    least, *_ = seen = rtts(found.looks)
    assert NETEM_US <= least < NETEM_US + 500
    assert NETEM_US <= median(seen) < NETEM_US + 4000
    # One look every fifth of a second, as etcd's heartbeats are every tenth.
    assert 20 < len(seen) == len(found.looks)


def test_the_loop_on_this_side_is_the_host_itself() -> None:
    own, both = rtts(captured_at(LONDON).looks), rtts(captured_at(BETWEEN).looks)
    assert median(own) < 1000
    assert both[0] >= NETEM_US and median(both) >= median(rtts(captured_at(FRANKFURT).looks))


def test_hosts_that_are_not_in_it() -> None:
    with pytest.raises(InvalidInput) as caught:
        read(CAPTURE, Asked({}, hosts=Hosts((FRANKFURT, "198.18.30.11"), FRANKFURT)))
    assert f"it has {FRANKFURT},{LONDON} (500 segments)" in "\n".join(caught.value.problems)
