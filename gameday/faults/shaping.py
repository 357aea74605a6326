# SPDX-License-Identifier: Apache-2.0
"""Packets of chosen flows go through a leaf qdisc of their own, inside a window.

What ``netem``, ``excursion``, ``saturate`` and ``mtu-blackhole`` have in common. On every
device that leads to the peers gameday's own ``prio`` is the root; all traffic keeps the order
(or the qdisc) it had, on the first bands. A leaf on a further band does the harm, and only a
rule in ``mangle`` POSTROUTING, inside its window, classifies packets there: after routing and
address translation, own and forwarded traffic alike, before a CNI's rules in that chain. So the
kernel keeps both ends of the window, and what waits in the leaf at its end is still delivered.

What *arrives* is shaped through an IFB device; filters have no window, so a process keeps it.

This module travels to nodes: standard library only, Python 3.9 syntax.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from gameday.errors import NodeError
from gameday.faults import rules
from gameday.faults.base import Facts, OnNode
from gameday.faults.hosts import Host
from gameday.faults.hosts.traffic import FIRST_BAND, LAST_BAND, ROOT_MAJOR, Slot
from gameday.faults.rules import AddressSet, Chain, RuleSet
from gameday.record.types import Lease, Observation

MARK_FIRST, MARK_SPAN = 0x1000, 0x1000
FLOWS_MAX = 2
"""There and back: a lease never has more flows, so that its marks do not meet another's."""

PREF_FIRST, PREF_SPAN = 100, 400
"""Preferences of ingress filters: before what CNIs take by default (49152 down)."""


class Shaping(OnNode):
    """Base of the kinds whose spec is ``{"flows": [...], "exempt": [...], "direction": ...}``.

    A flow is ``{"src": [...], "dst": [...], "match": "-p tcp ...", "leaf": {...}}``; an empty
    ``src`` means whatever this node sends or forwards.
    """

    leaf_needs: Tuple[str, ...] = ()
    only_changes = False
    imports: Tuple[str, ...] = ("pyroute2.iproute",)

    def kept_by(self, spec: Mapping[str, Any]) -> str:
        """The kernel keeps what leaves, a process what arrives."""
        return "process" if spec["direction"] == "ingress" else "kernel"

    def drives(self, spec: Mapping[str, Any]) -> bool:
        """Filters of arriving packets are set at the window's start."""
        return bool(spec["direction"] == "ingress")

    def available(self, facts: Facts) -> Optional[str]:
        """The first missing piece, and what helps."""
        needs = (*rules.NEEDS, "iptables-classify", "prio", *self.leaf_needs)
        found: Optional[str] = rules.missing(facts.missing, needs)
        return found

    def claims(self, spec: Mapping[str, Any]) -> Tuple[str, ...]:
        """The flows it shapes; two leases that shape one flow would hide each other."""
        return tuple(
            f"shape {source}>{peer}"
            for flow in spec["flows"]
            for source in flow["src"] or ("*",)
            for peer in flow["dst"]
        )

    def explain(self, lease: Lease) -> Tuple[List[str], List[str]]:
        """Leaves, then rules; devices and bands are only known on the node."""
        flows = lease.spec["flows"]
        if lease.spec["direction"] == "ingress":
            lines = [f"ip link add {mirror(lease, 0)} type ifb"]
            lines += [
                f"tc filter add dev <towards {x}> ingress u32 match ip src {x} "
                f"action mirred egress redirect dev {mirror(lease, 0)}"
                for flow in flows for x in flow["dst"]
            ]  # fmt: skip
            return lines, [f"tc filter del ...; ip link del {mirror(lease, 0)}"]
        major = f"{ROOT_MAJOR:x}"
        leaves = [f"tc qdisc replace dev <towards the peers> root handle {major}: prio bands 16"]
        leaves += [
            f"tc qdisc add dev <towards the peers> parent {major}:<band {i}> "
            f"handle {mark(lease, i):x}: {words(flow['leaf'])}"
            for i, flow in enumerate(flows)
        ]
        set_up, undo = _rules(lease, [f"<band {i}>" for i in range(len(flows))]).explain()
        return leaves + set_up, [*undo, "tc qdisc: the root as it was before"]

    def before(self, lease: Lease, host: Host) -> Dict[str, Any]:
        """Where the flows leave, what is the root there, and which bands are free."""
        peers = [x for flow in lease.spec["flows"] for x in flow["dst"]]
        devices = host.traffic.devices_to(peers)
        if lease.spec["direction"] == "ingress":
            rules.spare_ours(peers, lease.spec["exempt"], host.controller()[0])
            return {"devices": sorted(devices)}
        found = _rules(lease, ["1"] * len(lease.spec["flows"])).before(host)
        found["roots"] = {device: host.traffic.root(device) for device in sorted(devices)}
        taken = {band for device in devices for band in host.traffic.bands(device)}
        free = [band for band in range(FIRST_BAND, LAST_BAND + 1) if band not in taken]
        if len(free) < len(lease.spec["flows"]):
            raise NodeError(f"no free band on {', '.join(sorted(devices))}: too many leases")
        found["bands"] = free[: len(lease.spec["flows"])]
        return found

    def arm(self, lease: Lease, before: Mapping[str, Any], host: Host) -> None:
        """Leaves first, which carry nothing yet; then the rules that lead to them."""
        if lease.spec["direction"] == "ingress":
            return
        for device, root in before["roots"].items():
            for i, flow in enumerate(lease.spec["flows"]):
                host.traffic.add_band(device, root, _slot(lease, before, i), flow["leaf"])
        _rules(lease, before["bands"]).arm(before, host)

    def drive(
        self, lease: Lease, before: Mapping[str, Any], host: Host, since_ns: int
    ) -> Optional[int]:
        """Set the filters of arriving packets."""
        if lease.spec["direction"] == "ingress":
            flow = lease.spec["flows"][0]
            for i, device in enumerate(before["devices"]):
                host.traffic.redirect(
                    device, mirror(lease, i), flow["dst"], flow["leaf"], _pref(lease)
                )
        return None

    def observe(self, lease: Lease, before: Mapping[str, Any], host: Host) -> Observation:
        """Rules and leaves together; the leaves' counters show what went through them."""
        if lease.spec["direction"] == "ingress":
            return self._observe_ingress(lease, before, host)
        ruled = _rules(lease, before["bands"]).observe(before, host)
        counters, left = dict(ruled.counters), list(ruled.left)
        foreign = list(ruled.foreign_changed)
        expected, present, odd = 0, 0, False
        for device, root in before["roots"].items():
            foreign += host.traffic.root_changes(device, root)
            bands = host.traffic.bands(device) if host.traffic.has_own_root(device) else {}
            for i in range(len(lease.spec["flows"])):
                band, own = _slot(lease, before, i)
                expected += 1
                if bands.get(band, {}).get("mark") == own:
                    present += 1
                    left.append(_hand_made_undo(device, band, own, len(bands) == 1))
                    for word in ("packets", "drops", "waiting"):
                        key = f"leaf-{word}"
                        counters[key] = counters.get(key, 0) + int(bands[band][word])
            if not bands and host.traffic.has_own_root(device):
                # Somebody died between making the root and hanging a leaf below it.
                odd = True
                left.append(_hand_made_undo(device, 0, 0, True))
        agree = present == (0 if ruled.state == "absent" else expected)
        state = ruled.state if agree and not odd else "foreign"
        return Observation(state, tuple(left), counters, tuple(foreign))

    def disarm(self, lease: Lease, before: Mapping[str, Any], host: Host) -> List[str]:
        """Rules first, so that nothing enters a leaf any more; then leaves and roots."""
        if lease.spec["direction"] == "ingress":
            return [
                f"{device}: arriving packets are no longer redirected"
                for i, device in enumerate(before["devices"])
                if host.traffic.undo_redirect(device, mirror(lease, i), _pref(lease))
            ]
        done = _rules(lease, before["bands"]).disarm(before, host)
        for device, root in before["roots"].items():
            for i in range(len(lease.spec["flows"])):
                slot = _slot(lease, before, i)
                if host.traffic.drop_band(device, root, slot):
                    done.append(f"{device}: band {slot[0]} removed")
        return done

    def _observe_ingress(self, lease: Lease, before: Mapping[str, Any], host: Host) -> Observation:
        left, packets, whole = [], 0, True
        wanted = len(lease.spec["flows"][0]["dst"])
        total = 0
        for i, device in enumerate(before["devices"]):
            pieces, seen = host.traffic.redirected(device, mirror(lease, i), _pref(lease))
            packets += seen
            total += pieces
            whole = whole and pieces == wanted + 1
            if pieces:
                left.append(f"{device}: {pieces} pieces of a redirection: remove with "
                            f"`tc filter del dev {device} ingress pref {_pref(lease)}; "
                            f"ip link del {mirror(lease, i)}`")  # fmt: skip
        state = "absent" if not total else "active" if whole else "foreign"
        return Observation(state, tuple(left), {"leaf-packets": packets}, ())


def flow(
    src: Sequence[str], dst: Sequence[str], leaf: Mapping[str, Any], match: str = ""
) -> Dict[str, Any]:
    """One flow of a spec."""
    return {"src": sorted(src), "dst": sorted(dst), "match": match, "leaf": dict(leaf)}


def words(leaf: Mapping[str, Any]) -> str:
    """A leaf for people."""
    rest = [f"{key}={value}" for key, value in leaf.items() if key != "kind" and value]
    return " ".join([str(leaf["kind"]), *rest])


def mirror(lease: Lease, number: int) -> str:
    """Name of the lease's IFB device for the ``number``-th device that it shapes."""
    return f"gd{lease.id}-{number}"


def mark(lease: Lease, number: int) -> int:
    """Major number of the handle of the lease's ``number``-th leaf."""
    return MARK_FIRST + int(lease.id, 16) % MARK_SPAN * FLOWS_MAX + number


def slot_of(lease: Lease, before: Mapping[str, Any], number: int) -> Slot:
    """(band, mark) of the lease's ``number``-th leaf."""
    return _slot(lease, before, number)


def _slot(lease: Lease, before: Mapping[str, Any], number: int) -> Slot:
    return int(before["bands"][number]), mark(lease, number)


def _pref(lease: Lease) -> int:
    return PREF_FIRST + 2 * (int(lease.id, 16) % PREF_SPAN)


def _hand_made_undo(device: str, band: int, own: int, last: bool) -> str:
    what = f"{device}: leaf {own:x}: on band {band}"
    if last:
        return f"{what}: remove with `tc qdisc del dev {device} root`"
    return f"{what}: remove with `tc qdisc del dev {device} parent {ROOT_MAJOR:x}:{band:x}`"


def _rules(lease: Lease, bands: Sequence[Any]) -> RuleSet:
    lines, sets = [], [AddressSet("m", tuple(lease.spec["exempt"]), timed=False)]
    for i, one in enumerate(lease.spec["flows"]):
        sets.append(AddressSet(f"d{i}", tuple(one["dst"])))
        source = ""
        if one["src"]:
            sets.append(AddressSet(f"s{i}", tuple(one["src"])))
            source = f"-m set --match-set {{set:s{i}}} src "
        band = bands[i] if isinstance(bands[i], str) else f"{bands[i]:x}"
        lines.append(
            f"-m set --match-set {{set:d{i}}} dst {source}{one['match']}{{window}} {{tag:shaped}} "
            f"-j CLASSIFY --set-class {ROOT_MAJOR:x}:{band}"
        )
    return RuleSet(lease, "mangle", [Chain("P", "POSTROUTING", tuple(lines), "dst")], sets)
