# SPDX-License-Identifier: Apache-2.0
"""What ``traffic`` made that may be left: bands, roots, mirrors with filters, routing tables."""

from __future__ import annotations

import re
import socket
import struct
from functools import partial
from pathlib import Path
from typing import Any, List, Sequence, Set, Tuple

from gameday.agent.system import ingress, routes, sender
from gameday.agent.system.piece import Piece
from gameday.agent.system.rtnetlink import attributes
from gameday.faults.hosts.traffic import ROOT_MAJOR
from gameday.faults.partition import TABLE_BASE, TABLE_SPAN
from gameday.faults.shaping import FLOWS_MAX, PREF_FIRST, PREF_SPAN, mark
from gameday.record.types import Lease

MIRROR = re.compile(r"^gd([0-9a-f]{8})-\d$")
SENT = re.compile(r"^([0-9a-f]{8})\.sent$")
U32_ACT, ACT_OPTIONS, MIRRED_PARMS = 7, 2, 2


def tagged(traffic: Any, spared: Sequence[Lease]) -> Tuple[Piece, ...]:
    """See ``Sweepable``; ``traffic`` is the ``RealTraffic`` that removes."""
    ids = {lease.id for lease in spared}
    found = [*_mirrors(traffic, ids), *_bands(traffic, spared), *_tables(traffic, spared)]
    if sender.RUN.is_dir():
        for path in sorted(sender.RUN.iterdir()):
            match = SENT.match(path.name)
            if match and match.group(1) not in ids:
                found.append(Piece(f"counter {path}", f"rm {path}", partial(_unlink, path)))
    return tuple(found)


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)


def _bands(traffic: Any, spared: Sequence[Lease]) -> List[Piece]:
    kept = {mark(lease, number) for lease in spared for number in range(FLOWS_MAX)}
    found = []
    for _, device in socket.if_nameindex():
        if not traffic.has_own_root(device):
            continue
        bands = {band: leaf["mark"] for band, leaf in traffic.bands(device).items()}
        for band, own in sorted(bands.items()):
            if own not in kept:
                undo = f"tc qdisc del dev {device} parent {ROOT_MAJOR:x}:{band:x}"
                remove = partial(_drop, traffic, device, (band, own))
                found.append(Piece(f"{device}: leaf {own:x}: on band {band}", undo, remove))
        if not set(bands.values()) & kept:
            undo = f"tc qdisc del dev {device} root"
            remove = partial(_drop, traffic, device, (0, 0))
            found.append(Piece(f"{device}: root qdisc {ROOT_MAJOR:x}:", undo, remove))
    return found


def _drop(traffic: Any, device: str, slot: Tuple[int, int]) -> None:
    # The copy of the former root on the first band tells what was there, without a receipt.
    if traffic.has_own_root(device):
        traffic.drop_band(device, traffic.root(device), slot)


def _mirrors(traffic: Any, ids: Set[str]) -> List[Piece]:
    found = []
    devices = dict(socket.if_nameindex())
    for index, name in sorted(devices.items()):
        match = MIRROR.match(name)
        if match is None or match.group(1) in ids:
            continue
        hooked = [
            (device, pref)
            for number, device in sorted(devices.items())
            for pref in _prefs_to(traffic, number, index)
        ]
        for device, pref in hooked:
            undo = f"tc filter del dev {device} ingress pref {pref}"
            remove = partial(traffic.undo_redirect, device, name, pref)
            found.append(Piece(f"{device}: ingress filters to {name}", undo, remove))
        undo = f"ip link del {name}"
        remove = partial(traffic.undo_redirect, name, name, PREF_FIRST)
        found.append(Piece(f"link {name}", undo, remove))
    return found


def _prefs_to(traffic: Any, device: int, mirror: int) -> List[int]:
    """Preferences of a device's ingress filters that send packets to the mirror."""
    found = set()
    for one in ingress.all_filters(traffic.netlink, device):
        pref = one.info >> 16
        if PREF_FIRST <= pref < PREF_FIRST + 2 * PREF_SPAN and _target(one.options) == mirror:
            found.add(pref - (pref - PREF_FIRST) % ingress.PREF_STEP)
    return sorted(found)


def _target(options: bytes) -> int:
    """Index of the device that a u32 filter's mirred action leads to; 0 where there is none."""
    action = attributes(attributes(options).get(U32_ACT, b"")).get(1, b"")
    parms = attributes(attributes(action).get(ACT_OPTIONS, b"")).get(MIRRED_PARMS, b"")
    return int(struct.unpack_from("=IIiiiiI", parms)[6]) if len(parms) >= 28 else 0


def _tables(traffic: Any, spared: Sequence[Lease]) -> List[Piece]:
    kept = {TABLE_BASE + int(lease.id, 16) % TABLE_SPAN for lease in spared}
    found = []
    for table in routes.own_tables(TABLE_BASE, TABLE_BASE + TABLE_SPAN):
        if table not in kept:
            undo = "; ".join(
                f"ip {family} rule del table {table}; ip {family} route flush table {table}"
                for family in ("-4", "-6")
            )
            remove = partial(traffic.undo_blackhole, table)
            found.append(Piece(f"routing table {table}, which leads nowhere", undo, remove))
    return found
