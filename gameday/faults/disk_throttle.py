# SPDX-License-Identifier: Apache-2.0
"""``disk-throttle``: one service gets only so many bytes and operations a second from a disk.

The limits are those of the service's own control group: ``io.max`` (cgroup v2) or
``blkio.throttle`` (v1). Nothing is switched on for it: a group that has no limits to set is
refused, with what would give it some.

This module travels to nodes: standard library only, Python 3.9 syntax.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Literal, Mapping, Optional, Tuple

from gameday.clock import NS_PER_S
from gameday.errors import InvalidInput, NodeError
from gameday.faults.base import Estate, Facts, ProcessKept, Selector
from gameday.faults.disks import ABSOLUTE, START_NS, on_each
from gameday.faults.hosts import Host
from gameday.record.types import Lease, Observation

BPS_MIN = 16_384
"""A request may be 1 MiB, and the kernel holds it until its bytes have been saved up: at this
rate for 64 s, which is still within what the kernel tolerates of one request (120 s)."""

BPS_MAX = 10**11
IOPS_MAX = 10**7
"""Beyond any disk: a larger number is a mistake in the unit."""

LOOK_NS = NS_PER_S
"""How often the group is looked for: a service that is restarted gets a new one."""

LIMITS = ("read_bps", "write_bps", "read_iops", "write_iops")
WHO = ("unit", "container", "name", "pid")


@dataclass(frozen=True)
class DiskThrottleParams:
    """Parameters of ``disk-throttle``.

    Attributes:
        nodes: those that get a lease.
        path: a directory or file on the disk, or the device itself.
        unit: systemd unit that is limited: "etcd" or "etcd.service".
        container: first eight or more digits of the id of the container that is limited.
        name: exact name of the process that is limited, with its whole control group.
        pid: the process that is limited, with its whole control group.
        read_bps: bytes per second; 0 leaves reads unlimited. At least 16384.
        write_bps: the same for writes.
        read_iops: read operations per second; 0 leaves them unlimited.
        write_iops: the same for writes.
        layer: where requests wait: at the "volume" that holds the file system, so that only
            it is limited, or at all "disks" below it.
    """

    nodes: Selector
    path: str = field(metadata=ABSOLUTE)
    unit: str = ""
    container: str = field(default="", metadata={"pattern": r"^([0-9a-f]{8,64})?$"})
    name: str = ""
    pid: int = field(default=0, metadata={"ge": 0, "le": 1 << 22})
    read_bps: int = field(default=0, metadata={"ge": 0, "le": BPS_MAX})
    write_bps: int = field(default=0, metadata={"ge": 0, "le": BPS_MAX})
    read_iops: int = field(default=0, metadata={"ge": 0, "le": IOPS_MAX})
    write_iops: int = field(default=0, metadata={"ge": 0, "le": IOPS_MAX})
    layer: Literal["volume", "disks"] = "volume"


class DiskThrottle(ProcessKept):
    """io limits of one control group on what backs a path."""

    kind = "disk-throttle"
    Params: type = DiskThrottleParams
    summary = "a unit, container or process gets only so many bytes and operations/s from a disk"

    def spread(self, params: DiskThrottleParams, estate: Estate) -> Dict[str, Dict[str, Any]]:
        """The same limits on every selected node.

        Raises:
            InvalidInput: where who is limited is not said exactly once, no limit is given or
                one is too small, or no node can be armed.
        """
        who = {one: getattr(params, one) for one in WHO}
        if sum(1 for value in who.values() if value) != 1:
            raise InvalidInput(f"give exactly one of {', '.join(WHO)}")
        limits = {name: getattr(params, name) for name in LIMITS if getattr(params, name)}
        if not limits:
            raise InvalidInput(f"give at least one of {', '.join(LIMITS)}")
        small = [name for name in limits if name.endswith("bps") and limits[name] < BPS_MIN]
        if small:
            raise InvalidInput(f"{', '.join(small)}: at least {BPS_MIN} bytes/s")
        spec = {"path": params.path, "layer": params.layer, "limits": limits, **who}
        return on_each(params.nodes, spec, estate)

    def available(self, facts: Facts) -> Optional[str]:
        """Whether a tree of control groups with io limits is mounted."""
        return facts.missing.get("io-limits")

    def claims(self, spec: Mapping[str, Any]) -> Tuple[str, ...]:
        """The io limits of what was named."""
        return (f"io limits of {_named(spec)}",)

    def explain(self, lease: Lease) -> Tuple[List[str], List[str]]:
        """One line for each limit; group and device are found on the node."""
        device = f"<device of {lease.spec['path']}>"
        limits = lease.spec["limits"]
        rules = [f"io limit of {_named(lease.spec)} on {device}: {name} {limits[name]}"
                 for name in LIMITS if name in limits]  # fmt: skip
        return rules, [f"io limits of {_named(lease.spec)} on {device}: as before"]

    def before(self, lease: Lease, host: Host) -> Dict[str, Any]:
        """The group, its identity, and its limits on every device meant.

        Raises:
            NodeError: where group or device cannot be limited, or is limited more already.
        """
        spec = lease.spec
        group = host.disks.io_group(*(spec[name] for name in WHO))
        was: Dict[str, Dict[str, int]] = {}
        for device in host.disks.limited_devices(spec["path"], spec["layer"]):
            was[device] = dict(host.disks.io_limits(group, device))
            for name, wanted in spec["limits"].items():
                if 0 < was[device][name] <= wanted:
                    raise NodeError(
                        f"{_named(spec)} has {name} {was[device][name]} on {device} already; "
                        f"{wanted} would not slow it down"
                    )
        return {"group": group, "identity": host.disks.group_identity(group), "was": was}

    def drive(
        self, lease: Lease, before: Mapping[str, Any], host: Host, since_ns: int
    ) -> Optional[int]:
        """Set the limits; again where a restart of the service gave it a new group."""
        group, wanted = before["group"], lease.spec["limits"]
        identity = host.disks.group_identity(group)
        if identity and (since_ns < START_NS or identity != before["identity"]):
            for device, was in before["was"].items():
                now = host.disks.io_limits(group, device)
                missing = {n: x for n, x in wanted.items() if now[n] != x and now[n] in (0, was[n])}
                if missing:
                    host.disks.set_io_limits(group, device, missing)
        return since_ns + LOOK_NS

    def observe(self, lease: Lease, before: Mapping[str, Any], host: Host) -> Observation:
        """Active where every limit reads back as ours."""
        group, wanted = before["group"], lease.spec["limits"]
        left: List[str] = []
        foreign: List[str] = []
        counters: Dict[str, int] = {}
        present, expected = 0, 0
        same = host.disks.group_identity(group) == before["identity"]
        for device, was in before["was"].items():
            now = host.disks.io_limits(group, device)
            own = {name: was[name] for name, value in wanted.items() if now[name] == value}
            present, expected = present + len(own), expected + len(wanted)
            if own:
                undo = host.disks.limits_command(group, device, own)
                left.append(f"io limits of {group} on {device}: remove with `{undo}`")
            for name, value in now.items():
                if same and value not in (was[name], wanted.get(name, was[name])):
                    foreign.append(f"{group}: somebody else set {name} of {device} to {value}")
            for name, count in host.disks.io_counters(group, device).items():
                counters[name] = counters.get(name, 0) + count
        state = "absent" if not present else "active" if present == expected else "foreign"
        return Observation(state, tuple(left), counters, tuple(foreign))

    def disarm(self, lease: Lease, before: Mapping[str, Any], host: Host) -> List[str]:
        """Give every limit that is still ours the value it had; others stay."""
        done = []
        for device, was in before["was"].items():
            now = host.disks.io_limits(before["group"], device)
            own = {n: was[n] for n, value in lease.spec["limits"].items() if now[n] == value}
            if own:
                host.disks.set_io_limits(before["group"], device, own)
                done.append(f"io limits of {before['group']} on {device} put back")
        return done


def _named(spec: Mapping[str, Any]) -> str:
    return next(f"{name} {spec[name]}" for name in WHO if spec[name])


FAULT = DiskThrottle()
