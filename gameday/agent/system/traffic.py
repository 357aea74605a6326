# SPDX-License-Identifier: Apache-2.0
"""The real ``Traffic`` of ``gameday.faults.hosts.traffic``: tc over netlink, routes."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from gameday.agent.system import ingress, kernel_tries, leaves, roots, routes, sender
from gameday.agent.system.piece import Piece
from gameday.agent.system.rtnetlink import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    RTM_DELQDISC,
    RTM_GETQDISC,
    RTM_NEWQDISC,
    TC_H_ROOT,
    TCA_KIND,
    TCA_OPTIONS,
    Item,
    Rtnetlink,
    attribute,
    counters,
    index_of,
    tc_body,
    text,
)
from gameday.errors import NodeError
from gameday.faults.hosts.traffic import FIRST_BAND, LAST_BAND, ROOT_MAJOR, Slot
from gameday.record.types import Lease

CHECKS = kernel_tries.CHECKS

ROOT = ROOT_MAJOR << 16
PRIOMAP = (1, 2, 2, 2, 1, 2, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1)
"""As pfifo_fast's: what is not ours keeps the order it had."""

BELOW = 0x3000
"""What hangs below a leaf has the leaf's mark and this as its handle: one that the kernel chose
could be the very handle that the device's own root must get back."""

COPY_BIT = 0x40000000
"""The copy of a replaced root has its handle but for this bit: so any later lease can tell."""


class RealTraffic:
    """This node."""

    def __init__(self) -> None:
        self._netlink: Optional[Rtnetlink] = None
        self._indexes: Dict[str, int] = {}

    @property
    def netlink(self) -> Rtnetlink:
        """The socket, opened on first use."""
        if self._netlink is None:
            self._netlink = Rtnetlink()
        return self._netlink

    def devices_to(self, addresses: Sequence[str]) -> Dict[str, List[str]]:
        """See ``Traffic``."""
        return routes.devices_to(addresses)

    def root(self, device: str) -> Dict[str, Any]:
        """See ``Traffic``."""
        mine = self._qdiscs(device)
        root = _root(mine)
        if root is not None and root.handle == ROOT:
            # Another lease made it; the copy on the first band tells what was there before.
            copy = next((q for q in mine if q.parent == ROOT | 1 and q.handle), None)
            if copy is None:
                return {"kind": "", "handle": 0, "options": ""}
            handle = copy.handle ^ COPY_BIT
            return {"kind": copy.kind, "handle": handle, "options": copy.options.hex()}
        if root is None or root.handle == 0:
            return {"kind": "", "handle": 0, "options": ""}
        children = [q for q in mine if q.parent >> 16 == root.handle >> 16 and q.handle]
        what = f"{device} has a root qdisc {root.kind} {root.handle >> 16:x}:"
        if root.kind not in roots.REBUILT or children:
            raise NodeError(
                f"{what} that gameday could not rebuild exactly; aim the fault at "
                "the router next to this node, or take the qdisc away first"
            )
        if roots.has_untold_jitter(root.kind, root.options):
            raise NodeError(f"{what} with jitter, whose distribution the kernel does not tell")
        return {"kind": root.kind, "handle": root.handle, "options": root.options.hex()}

    def bands(self, device: str) -> Dict[int, Dict[str, Any]]:
        """See ``Traffic``."""
        found = {}
        for one in self._qdiscs(device):
            band = one.parent & 0xFFFF
            if one.parent != TC_H_ROOT and one.parent >> 16 == ROOT_MAJOR and band >= FIRST_BAND:
                found[band] = {"kind": one.kind, "mark": one.handle >> 16, **counters(one)}
        return found

    def add_band(
        self, device: str, root: Mapping[str, Any], slot: Slot, leaf: Mapping[str, Any]
    ) -> None:
        """See ``Traffic``."""
        index = _index(device)
        if not self._is_ours(device):
            self._make_root(device, index, root)
        self.netlink.change(
            RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, _leaf_body(index, slot, leaf),
            f"{leaf['kind']} on {device}",
        )  # fmt: skip
        kind = str(root["kind"])
        if leaf["kind"] == "netem" and kind in roots.SHAPING:
            # What is delayed here goes on through what delayed or limited it before.
            options = roots.replay(kind, bytes.fromhex(root["options"]))
            body = text(TCA_KIND, kind) + attribute(TCA_OPTIONS, options)
            below = tc_body(index, slot[1] + BELOW << 16, slot[1] << 16 | 1, 0, body)
            flags = NLM_F_CREATE | NLM_F_REPLACE
            self.netlink.change(RTM_NEWQDISC, flags, below, f"{kind} below netem on {device}")

    def change_leaf(self, device: str, slot: Slot, leaf: Mapping[str, Any]) -> None:
        """See ``Traffic``."""
        if device not in self._indexes:
            # Asked once: a hundred changes a second have no time for it, and the handle tells
            # the kernel whether it is still this lease's leaf.
            self._indexes[device] = _index(device)
        body = _leaf_body(self._indexes[device], slot, leaf)
        self.netlink.change(RTM_NEWQDISC, 0, body, f"change of {leaf['kind']} on {device}")

    def drop_band(self, device: str, root: Mapping[str, Any], slot: Slot) -> bool:
        """See ``Traffic``."""
        index = index_of(device)
        if not index or not self._is_ours(device):
            return False
        there = {(band, leaf["mark"]) for band, leaf in self.bands(device).items()}
        if there <= {slot}:
            self._restore_root(device, index, root)
            return True
        if slot in there:
            body = tc_body(index, slot[1] << 16, ROOT | slot[0])
            self.netlink.change(RTM_DELQDISC, 0, body, f"band {slot[0]} of {device}")
        return slot in there

    def has_own_root(self, device: str) -> bool:
        """See ``Traffic``."""
        return bool(index_of(device)) and self._is_ours(device)

    def root_changes(self, device: str, root: Mapping[str, Any]) -> List[str]:
        """See ``Traffic``."""
        if not index_of(device):
            return [f"{device} is gone"]
        now = _root(self._qdiscs(device))
        if now is not None and now.handle == ROOT:
            return []
        handle = now.handle if now is not None else 0
        was = f"{root['kind'] or 'the default'} {root['handle'] >> 16:x}:"
        if handle != root["handle"]:
            kind = now.kind if now is not None and handle else "the default"
            return [f"{device}: its root qdisc was {was} and is {kind} {handle >> 16:x}: now"]
        if handle and now is not None and now.options.hex() != root["options"]:
            return [f"{device}: parameters of its root qdisc {was} changed"]
        return []

    def redirect(
        self, device: str, mirror: str, sources: Sequence[str], leaf: Mapping[str, Any], pref: int
    ) -> None:
        """See ``Traffic``."""
        ingress.redirect(self.netlink, device, mirror, sources, leaf, pref)

    def undo_redirect(self, device: str, mirror: str, pref: int) -> bool:
        """See ``Traffic``."""
        return ingress.undo(self.netlink, device, mirror, pref)

    def redirected(self, device: str, mirror: str, pref: int) -> Tuple[int, int]:
        """See ``Traffic``."""
        return ingress.count(self.netlink, device, mirror, pref)

    def blackhole(self, table: int, networks: Sequence[str]) -> None:
        """See ``Traffic``."""
        routes.blackhole(table, networks)

    def undo_blackhole(self, table: int) -> bool:
        """See ``Traffic``."""
        return routes.undo_blackhole(table)

    def blackholed(self, table: int) -> Tuple[str, ...]:
        """See ``Traffic``."""
        return routes.blackholed(table)

    def send_udp(self, lease_id: str, address: str, port: int, size: int, count: int) -> None:
        """See ``Traffic``."""
        sender.send(lease_id, address, port, size, count)

    def udp_sent(self, lease_id: str) -> Optional[int]:
        """See ``Traffic``."""
        return sender.sent(lease_id)

    def end_udp(self, lease_id: str) -> bool:
        """See ``Traffic``."""
        return sender.end(lease_id)

    def tagged(self, spared: Sequence[Lease]) -> Tuple[Piece, ...]:
        """See ``Sweepable``."""
        # Imported here because only a sweep and the proof of a clean node need it.
        from gameday.agent.system import traffic_tagged

        return traffic_tagged.tagged(self, spared)

    def _qdiscs(self, device: str) -> List[Item]:
        index = _index(device)
        # The kernel answers for all devices, whatever is asked for.
        return [q for q in self.netlink.dump(RTM_GETQDISC, tc_body(0, 0, 0)) if q.index == index]

    def _is_ours(self, device: str) -> bool:
        root = _root(self._qdiscs(device))
        return root is not None and root.handle == ROOT

    def _make_root(self, device: str, index: int, root: Mapping[str, Any]) -> None:
        kind = str(root["kind"])
        keep = kind != ""
        priomap = (0,) * 16 if keep else PRIOMAP
        body = text(TCA_KIND, "prio")
        body += attribute(TCA_OPTIONS, leaves.prio(LAST_BAND, priomap))
        self.netlink.change(
            RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE,
            tc_body(index, ROOT, TC_H_ROOT, 0, body), f"prio as root of {device}",
        )  # fmt: skip
        if keep:
            # All that is not ours goes on through a copy of what was there.
            options = roots.replay(kind, bytes.fromhex(root["options"]))
            copy = text(TCA_KIND, kind) + attribute(TCA_OPTIONS, options)
            body = tc_body(index, int(root["handle"]) ^ COPY_BIT, ROOT | 1, 0, copy)
            flags = NLM_F_CREATE | NLM_F_EXCL
            self.netlink.change(RTM_NEWQDISC, flags, body, f"copy of {kind} on {device}")

    def _restore_root(self, device: str, index: int, root: Mapping[str, Any]) -> None:
        if root.get("handle"):
            kind = str(root["kind"])
            options = roots.replay(kind, bytes.fromhex(root["options"]))
            body = text(TCA_KIND, kind) + attribute(TCA_OPTIONS, options)
            self.netlink.change(
                RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE,
                tc_body(index, int(root["handle"]), TC_H_ROOT, 0, body), f"root of {device}",
            )  # fmt: skip
            return
        self.netlink.change(
            RTM_DELQDISC, 0, tc_body(index, ROOT, TC_H_ROOT), f"gameday's root of {device}"
        )


def _leaf_body(index: int, slot: Slot, leaf: Mapping[str, Any]) -> bytes:
    body = text(TCA_KIND, str(leaf["kind"])) + attribute(TCA_OPTIONS, leaves.options(leaf))
    return tc_body(index, slot[1] << 16, ROOT | slot[0], 0, body)


def _index(device: str) -> int:
    index = index_of(device)
    if not index:
        raise NodeError(f"the interface {device} is gone")
    return index


def _root(qdiscs: Sequence[Item]) -> Optional[Item]:
    return next((q for q in qdiscs if q.parent == TC_H_ROOT), None)
