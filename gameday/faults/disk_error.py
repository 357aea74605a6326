# SPDX-License-Identifier: Apache-2.0
"""``disk-error``: reads and writes of a volume fail with EIO, by dm-flakey.

This module travels to nodes: standard library only, Python 3.9 syntax.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, Literal, Mapping

from gameday.errors import NodeError
from gameday.faults.base import Estate, Selector
from gameday.faults.disks import ABSOLUTE, on_each
from gameday.faults.hosts import Host
from gameday.faults.hosts.disks import Volume
from gameday.faults.volumes import SwappedTable

INTERVAL_S_MAX = 3600
"""A phase longer than a lease could never be seen to change."""

FEATURES = {"all": "", "writes": " 1 error_writes", "reads": " 1 error_reads"}


@dataclass(frozen=True)
class DiskErrorParams:
    """Parameters of ``disk-error``.

    Attributes:
        nodes: those that get a lease.
        path: a directory or file in the file system, or the volume's device itself.
        operations: what fails; "reads" alone needs Linux 6.5 or later.
        up_s: how long all is well between failures, in seconds; 0 fails all the time.
        down_s: how long operations fail, in seconds; then up_s again.
    """

    nodes: Selector
    path: str = field(metadata=ABSOLUTE)
    operations: Literal["all", "writes", "reads"] = "all"
    up_s: int = field(default=0, metadata={"ge": 0, "le": INTERVAL_S_MAX})
    down_s: int = field(default=1, metadata={"ge": 1, "le": INTERVAL_S_MAX})


class DiskError(SwappedTable):
    """A device-mapper volume that fails, all or part of the time."""

    kind = "disk-error"
    Params: type = DiskErrorParams
    summary = "reads and writes of a device-mapper (LVM) volume fail with EIO"
    target = "flakey"
    own_words = 7

    def spread(self, params: DiskErrorParams, estate: Estate) -> Dict[str, Dict[str, Any]]:
        """The same errors on every selected node."""
        spec = {"path": params.path, "operations": params.operations,
                "up_s": params.up_s, "down_s": params.down_s}  # fmt: skip
        return on_each(params.nodes, spec, estate)

    def words(self, spec: Mapping[str, Any], device: str, offset: str) -> str:
        """Up and down times count from the swap; kernels print the features differently."""
        features = FEATURES[spec["operations"]]
        return f"{device} {offset} {spec['up_s']} {spec['down_s']}{features}"

    def check(self, spec: Mapping[str, Any], volume: Volume, host: Host) -> None:
        """Never where gameday's own files are: it could not end the lease."""
        needed = host.disks.relied_on(volume.number)
        if needed:
            raise NodeError(
                f"{', '.join(needed)} on the volume {volume.name}: gameday needs that to end "
                "the fault"
            )


FAULT = DiskError()
