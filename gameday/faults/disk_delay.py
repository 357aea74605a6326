# SPDX-License-Identifier: Apache-2.0
"""``disk-delay``: every read and every write of a volume takes longer, by dm-delay.

This module travels to nodes: standard library only, Python 3.9 syntax.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, Mapping

from gameday.errors import InvalidInput, NodeError
from gameday.faults.base import Estate, Selector
from gameday.faults.disks import ABSOLUTE, on_each
from gameday.faults.hosts import Host
from gameday.faults.hosts.disks import Volume
from gameday.faults.volumes import SwappedTable

DELAY_MS_MAX = 30_000
"""The kernel calls a task hung after 120 s, and one write of a file system waits for several."""

SHARED_DELAY_MS_MAX = 100
"""Where gameday's own files are on the volume: ending a lease reads and writes about ten
blocks there, and must be done within a second."""


@dataclass(frozen=True)
class DiskDelayParams:
    """Parameters of ``disk-delay``.

    Attributes:
        nodes: those that get a lease.
        path: a directory or file in the file system, or the volume's device itself.
        read_delay_ms: added to every read, in milliseconds.
        write_delay_ms: added to every write and flush, in milliseconds.
    """

    nodes: Selector
    path: str = field(metadata=ABSOLUTE)
    read_delay_ms: int = field(default=0, metadata={"ge": 0, "le": DELAY_MS_MAX})
    write_delay_ms: int = field(default=0, metadata={"ge": 0, "le": DELAY_MS_MAX})


class DiskDelay(SwappedTable):
    """Slow reads and writes of a device-mapper volume."""

    kind = "disk-delay"
    Params: type = DiskDelayParams
    summary = "reads and writes of a device-mapper (LVM) volume take longer, each by its own time"
    target = "delay"
    own_words = 9

    def spread(self, params: DiskDelayParams, estate: Estate) -> Dict[str, Dict[str, Any]]:
        """The same delays on every selected node.

        Raises:
            InvalidInput: where neither delay is given, or no node can be armed.
        """
        if not params.read_delay_ms and not params.write_delay_ms:
            raise InvalidInput("neither read_delay_ms nor write_delay_ms is given")
        spec = {"path": params.path, "read_delay_ms": params.read_delay_ms,
                "write_delay_ms": params.write_delay_ms}  # fmt: skip
        return on_each(params.nodes, spec, estate)

    def words(self, spec: Mapping[str, Any], device: str, offset: str) -> str:
        """Reads, then writes, over the same blocks."""
        reads, writes = spec["read_delay_ms"], spec["write_delay_ms"]
        return f"{device} {offset} {reads} {device} {offset} {writes}"

    def check(self, spec: Mapping[str, Any], volume: Volume, host: Host) -> None:
        """Keep gameday able to end the lease on time."""
        longest = max(spec["read_delay_ms"], spec["write_delay_ms"])
        needed = host.disks.relied_on(volume.number)
        if needed and longest > SHARED_DELAY_MS_MAX:
            raise NodeError(
                f"{', '.join(needed)} on the volume {volume.name}: gameday needs that to end the "
                f"fault; at most {SHARED_DELAY_MS_MAX} ms there"
            )


FAULT = DiskDelay()
