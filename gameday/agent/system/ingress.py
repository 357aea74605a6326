# SPDX-License-Identifier: Apache-2.0
"""Shaping of what arrives: filters that send it through an IFB device with a leaf as its root.

An ingress or clsact qdisc that is there already (a CNI's) is used as it is and stays.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
from typing import Any, List, Mapping, Sequence, Tuple

from gameday.agent.system import leaves
from gameday.agent.system.rtnetlink import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    RTM_DELQDISC,
    RTM_DELTFILTER,
    RTM_GETQDISC,
    RTM_GETTFILTER,
    RTM_NEWQDISC,
    RTM_NEWTFILTER,
    TC_H_ROOT,
    TCA_KIND,
    TCA_OPTIONS,
    Item,
    KernelRefused,
    Rtnetlink,
    attribute,
    counters,
    index_of,
    tc_body,
    text,
)

HOOK = 0xFFFF0000
INGRESS_PARENT = 0xFFFFFFF1
CLSACT_INGRESS = 0xFFFFFFF2
"""Parents of ingress filters: of an ``ingress`` qdisc its handle, of ``clsact`` this."""

U32_SEL, U32_ACT = 5, 7
ACT_KIND, ACT_OPTIONS, MIRRED_PARMS = 1, 2, 2
TC_ACT_STOLEN, EGRESS_REDIR = 4, 1
PREF_STEP = 2
"""Preferences a redirection takes: one for IPv4, one for IPv6."""

SRC_AT = {4: 12, 6: 8}
"""Offset of the source address in an IP header."""

GONE = (errno.ENOENT, errno.EINVAL)


def redirect(  # noqa: PLR0917 - the arguments of Traffic.redirect, and the socket
    netlink: Rtnetlink, device: str, mirror: str, sources: Sequence[str],
    leaf: Mapping[str, Any], pref: int,
) -> None:  # fmt: skip
    """Make the IFB device with its leaf, then the filters; see ``Traffic.redirect``."""
    _make_mirror(mirror)
    index, target = socket.if_nametoindex(device), socket.if_nametoindex(mirror)
    body = text(TCA_KIND, str(leaf["kind"])) + attribute(TCA_OPTIONS, leaves.options(leaf))
    netlink.change(RTM_NEWQDISC, NLM_F_CREATE, tc_body(target, 0x10000, TC_H_ROOT, 0, body),
                   f"{leaf['kind']} on {mirror}")  # fmt: skip
    if not _hook(netlink, index):
        body = text(TCA_KIND, "ingress")
        message = tc_body(index, HOOK, INGRESS_PARENT, 0, body)
        flags = NLM_F_CREATE | NLM_F_EXCL
        netlink.change(RTM_NEWQDISC, flags, message, f"ingress of {device}")
    if _filters(netlink, index, pref):
        return
    parent = _hook(netlink, index)
    for source in sources:
        network = ipaddress.ip_network(source, strict=False)
        number = pref + (0 if network.version == 4 else 1)
        protocol = socket.htons(0x0800 if network.version == 4 else 0x86DD)
        body = text(TCA_KIND, "u32") + attribute(TCA_OPTIONS, _u32(network, target))
        netlink.change(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL,
                       tc_body(index, 0, parent, number << 16 | protocol, body),
                       f"filter for {source} on {device}")  # fmt: skip


def undo(netlink: Rtnetlink, device: str, mirror: str, pref: int) -> bool:
    """Remove filters, the hook if it is empty and was ours, and the IFB device."""
    removed = False
    if index_of(device):
        index = socket.if_nametoindex(device)
        for number, protocol in sorted({(f.info >> 16, f.info & 0xFFFF)
                                        for f in _filters(netlink, index, pref)}):  # fmt: skip
            body = tc_body(index, 0, _hook(netlink, index), number << 16 | protocol)
            netlink.change(RTM_DELTFILTER, 0, body, f"filters of {device}")
            removed = True
        if removed and not all_filters(netlink, index) and _kind(netlink, index) == "ingress":
            body = tc_body(index, HOOK, INGRESS_PARENT)
            try:
                netlink.change(RTM_DELQDISC, 0, body, f"ingress of {device}")
            except KernelRefused as error:
                if error.errno not in GONE:
                    raise
    return _drop_mirror(mirror) or removed


def count(netlink: Rtnetlink, device: str, mirror: str, pref: int) -> Tuple[int, int]:
    """(pieces that are there, packets through the mirror); see ``Traffic.redirected``."""
    pieces = 0
    if index_of(device):
        pieces = len(_filters(netlink, socket.if_nametoindex(device), pref))
    packets = 0
    there = index_of(mirror)
    if there:
        pieces += 1
        for one in netlink.dump(RTM_GETQDISC, tc_body(0, 0, 0)):
            if one.index == there and one.parent == TC_H_ROOT:
                packets = counters(one)["packets"]
    return pieces, packets


def try_ifb() -> None:
    """Whether it can all be done, in this (empty) namespace; raises where not."""
    netlink = Rtnetlink()
    try:
        leaf = {"kind": "tbf", "rate_kbit": 1000, "burst_bytes": 2000, "queue_bytes": 9000}
        redirect(netlink, "lo", "gdtry", ["192.0.2.1"], leaf, 1)
    finally:
        netlink.close()


def _u32(network: Any, target: int) -> bytes:
    """A u32 selector on the source address, with a mirred redirection behind it."""
    words = len(network.network_address.packed) // 4
    keys = b""
    for word in range(words):
        mask = network.netmask.packed[word * 4 : word * 4 + 4]
        value = network.network_address.packed[word * 4 : word * 4 + 4]
        keys += mask + value + struct.pack("=ii", SRC_AT[network.version] + word * 4, 0)
    selector = struct.pack("=BBBxHHHHI", 1, 0, words, 0, 0, 0, 0, 0) + keys
    mirred = struct.pack("=IIiiiiI", 0, 0, TC_ACT_STOLEN, 0, 0, EGRESS_REDIR, target)
    action = text(ACT_KIND, "mirred") + attribute(ACT_OPTIONS, attribute(MIRRED_PARMS, mirred))
    return attribute(U32_SEL, selector) + attribute(U32_ACT, attribute(1, action))


def _kind(netlink: Rtnetlink, index: int) -> str:
    for one in netlink.dump(RTM_GETQDISC, tc_body(0, 0, 0)):
        if one.index == index and one.handle == HOOK:
            return one.kind
    return ""


def _hook(netlink: Rtnetlink, index: int) -> int:
    """The parent to hang ingress filters on; 0 where there is none."""
    return {"clsact": CLSACT_INGRESS, "ingress": HOOK}.get(_kind(netlink, index), 0)


def all_filters(netlink: Rtnetlink, index: int) -> List[Item]:
    """Every ingress filter of a device, whoever made it."""
    parent = _hook(netlink, index)
    return netlink.dump(RTM_GETTFILTER, tc_body(index, 0, parent)) if parent else []


def _filters(netlink: Rtnetlink, index: int, pref: int) -> List[Item]:
    """Our rules; the kernel also lists the hash table that holds them, without options."""
    mine = range(pref, pref + PREF_STEP)
    found = [f for f in all_filters(netlink, index) if f.info >> 16 in mine]
    return [f for f in found if f.handle & 0xFFF]


def _make_mirror(mirror: str) -> None:
    from pyroute2 import IPRoute

    with IPRoute() as netlink:
        if not netlink.link_lookup(ifname=mirror):
            netlink.link("add", ifname=mirror, kind="ifb")
        netlink.link("set", index=netlink.link_lookup(ifname=mirror)[0], state="up")


def _drop_mirror(mirror: str) -> bool:
    from pyroute2 import IPRoute

    with IPRoute() as netlink:
        found = netlink.link_lookup(ifname=mirror)
        if found:
            netlink.link("del", index=found[0])
        return bool(found)
