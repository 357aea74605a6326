# SPDX-License-Identifier: Apache-2.0
"""What ``disk-delay`` and ``disk-error`` have in common: another table for a volume in use.

A device-mapper volume's table says, line by line, which blocks of which device it is made of.
A ``linear`` line becomes a line of another target over the same blocks of the same device, so
nothing moves, the file system stays mounted, and going back is the same swap again.

This module travels to nodes: standard library only, Python 3.9 syntax.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from gameday.errors import NodeError
from gameday.faults.base import Facts, ProcessKept
from gameday.faults.hosts import Host
from gameday.faults.hosts.disks import Volume
from gameday.record.types import Lease, Observation

RAISED_ON = "linear"
"""The only target that can be stood in for without a second device: ordinary LVM volumes."""


class SwappedTable(ProcessKept):
    """A kind that puts another target in the place of a volume's linear lines."""

    target = ""
    """The device-mapper target's name; the capability is "dm-<target>"."""

    own_words = 0
    """How many words of a line of ours the kernel reads back the same on every version."""

    def words(self, spec: Mapping[str, Any], device: str, offset: str) -> str:
        """Arguments of the target over the blocks of ``device`` from sector ``offset``."""
        raise NotImplementedError

    def check(self, spec: Mapping[str, Any], volume: Volume, host: Host) -> None:
        """Raise NodeError where this volume must not have it."""

    def available(self, facts: Facts) -> Optional[str]:
        """Whether the kernel has the target, or could load it."""
        return facts.missing.get(f"dm-{self.target}")

    def claims(self, spec: Mapping[str, Any]) -> Tuple[str, ...]:
        """The volume's table: a delay and an error at a time would undo each other."""
        return (f"volume {spec['path']}",)

    def explain(self, lease: Lease) -> Tuple[List[str], List[str]]:
        """The swap, for every linear line of the volume that is found on the node."""
        line = f"<start> <length> {self.target} {self.words(lease.spec, '<device>', '<offset>')}"
        volume = f"<volume of {lease.spec['path']}>"
        went = f"dmsetup resume --noflush --nolockfs {volume}"
        return (
            [f"dmsetup load {volume} <<< '{line}'", went],
            [f"dmsetup load {volume} <<< <its table before>", went],
        )

    def before(self, lease: Lease, host: Host) -> Dict[str, Any]:
        """The volume's name and its table.

        Raises:
            NodeError: where it is not device-mapper, not made of linear lines, being changed
                by somebody, or must not have this fault.
        """
        path = lease.spec["path"]
        volume = host.disks.volume_of(path)
        what = f"{path} is on the volume {volume.name}"
        if volume.suspended or volume.inactive:
            raise NodeError(f"{what}, which somebody is changing (suspended, or a table waits)")
        odd = sorted({_words(x)[2] for x in volume.table} - {RAISED_ON})
        if odd or not volume.table:
            raise NodeError(
                f"{what}, made by {', '.join(odd) or 'nothing'}; only linear volumes can be "
                "changed in use: give the linear volume below it, as a device of /dev/mapper"
            )
        self.check(lease.spec, volume, host)
        return {"volume": volume.name, "table": list(volume.table),
                "health": dict(host.disks.health(path))}  # fmt: skip

    def drive(
        self, lease: Lease, before: Mapping[str, Any], host: Host, since_ns: int
    ) -> Optional[int]:
        """Swap the table in; it then stays without us.

        Raises:
            NodeError: where somebody else has changed it since the receipt, or the kernel
                refuses; the old table is in use then.
        """
        volume = host.disks.volume(before["volume"])
        if volume is None:
            raise NodeError(f"the volume {before['volume']} is gone")
        if self._is_own(lease.spec, before, volume.table):
            return None
        if list(volume.table) != before["table"] or volume.suspended or volume.inactive:
            raise NodeError(f"somebody else changed the volume {volume.name}; it is left alone")
        host.disks.swap_table(volume.name, tuple(self.table(lease.spec, before["table"])))
        return None

    def observe(self, lease: Lease, before: Mapping[str, Any], host: Host) -> Observation:
        """Active where the live table is ours; foreign where only a waiting one is."""
        volume = host.disks.volume(before["volume"])
        foreign = _unwell(lease.spec["path"], before, host)
        if volume is None:
            return Observation("absent", (), {}, foreign)
        own = self._is_own(lease.spec, before, volume.table)
        waits = bool(volume.inactive) and self._is_own(lease.spec, before, volume.inactive)
        known = own or list(volume.table) == before["table"]
        left = []
        if own:
            left.append(
                f"volume {volume.name}: table of {self.target}, remove with "
                f"`printf '{_escaped(before['table'])}' | dmsetup load {volume.name}; "
                f"dmsetup resume --noflush --nolockfs {volume.name}`"
            )
        if waits:
            left.append(f"volume {volume.name}: a waiting table, remove with "
                        f"`dmsetup clear {volume.name}`")  # fmt: skip
        if volume.suspended and known:
            left.append(f"volume {volume.name}: suspended, go on with "
                        f"`dmsetup resume --noflush --nolockfs {volume.name}`")  # fmt: skip
        if not known:
            foreign += (f"volume {volume.name}: somebody else changed its table",)
        whole = own and not waits and not volume.suspended
        state = "active" if whole else "foreign" if left else "absent"
        counters = dict(host.disks.device_counters(volume.number))
        return Observation(state, tuple(left), counters, foreign)

    def disarm(self, lease: Lease, before: Mapping[str, Any], host: Host) -> List[str]:
        """Drop a waiting table of ours, let the volume go on, put its own table back."""
        done: List[str] = []
        volume = host.disks.volume(before["volume"])
        if volume is None:
            return done
        own = self._is_own(lease.spec, before, volume.table)
        if volume.inactive and self._is_own(lease.spec, before, volume.inactive):
            host.disks.clear_inactive(volume.name)
            done.append(f"waiting table of {volume.name} dropped")
        if own:
            host.disks.swap_table(volume.name, tuple(before["table"]))
            done.append(f"table of {volume.name} put back")
        elif volume.suspended and list(volume.table) == before["table"]:
            host.disks.resume(volume.name)
            done.append(f"volume {volume.name} resumed")
        return done

    def table(self, spec: Mapping[str, Any], lines: Sequence[str]) -> List[str]:
        """The lines that stand in for linear ones."""
        found = []
        for line in lines:
            start, length, _, device, offset = _words(line)[:5]
            arguments = self.words(spec, device, offset)
            found.append(f"{start} {length} {self.target} {arguments}")
        return found

    def _is_own(
        self, spec: Mapping[str, Any], before: Mapping[str, Any], table: Sequence[str]
    ) -> bool:
        wanted = self.table(spec, before["table"])
        return [_words(x)[: self.own_words] for x in table] == [
            _words(x)[: self.own_words] for x in wanted
        ]


def _words(line: str) -> List[str]:
    return line.split()


def _escaped(table: Sequence[str]) -> str:
    return "\\n".join(table)


def _unwell(path: str, before: Mapping[str, Any], host: Host) -> Tuple[str, ...]:
    """A file system that met errors may refuse writes from then on: that outlives the fault."""
    try:
        now = host.disks.health(path)
    except NodeError:
        # Unmounted or removed meanwhile: there is nothing to refuse writes.
        return ()
    odd = [
        f"{name} {count}" for name, count in now.items() if count > before["health"].get(name, 0)
    ]
    if not odd:
        return ()
    return (
        f"{path}: its file system met errors ({', '.join(odd)}) and may refuse writes until it "
        "is unmounted, checked (e2fsck, xfs_repair) and mounted again",
    )
