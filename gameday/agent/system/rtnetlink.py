# SPDX-License-Identifier: Apache-2.0
"""Traffic control over netlink, with raw option bytes.

pyroute2 is used wherever it can be; for traffic control it cannot: it knows no ``prio``, no
netem distributions and loss models, and decodes options where a receipt must keep the bytes
to restore them exactly. Encoding these few messages also keeps 30 MB out of the process that
changes a profile a hundred times a second. Layouts: linux/rtnetlink.h, linux/pkt_sched.h.
"""

from __future__ import annotations

import os
import socket
import struct
from dataclasses import dataclass
from typing import Dict, Iterator, List, Tuple

from gameday.errors import NodeError

RTM_NEWQDISC, RTM_DELQDISC, RTM_GETQDISC = 36, 37, 38
RTM_NEWTFILTER, RTM_DELTFILTER, RTM_GETTFILTER = 44, 45, 46
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 0x1, 0x4, 0x300
NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE = 0x100, 0x200, 0x400
NLMSG_ERROR, NLMSG_DONE = 2, 3
TCA_KIND, TCA_OPTIONS, TCA_STATS, TCA_STATS2 = 1, 2, 3, 7
TCA_STATS_BASIC, TCA_STATS_QUEUE = 1, 3
TC_H_ROOT = 0xFFFFFFFF
NLA_F_NESTED = 0x8000

HEADER = struct.Struct("=IHHII")
TCMSG = struct.Struct("=BxxxiIII")
RECEIVE_BYTES = 1 << 18


@dataclass(frozen=True)
class Item:
    """One qdisc or filter as the kernel tells of it; ``info`` is prio and protocol of filters."""

    index: int
    handle: int
    parent: int
    info: int
    kind: str
    options: bytes
    stats: bytes


class Rtnetlink:
    """One netlink socket."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.bind((0, 0))
        self._socket.settimeout(5)
        self._number = 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def change(self, kind: int, flags: int, body: bytes, what: str) -> None:
        """Send one change and wait for its acknowledgement.

        Raises:
            NodeError: with ``what`` and the kernel's reason; its ``errno`` attribute tells.
        """
        for code, data in self._ask(kind, NLM_F_REQUEST | NLM_F_ACK | flags, body):
            if code == NLMSG_ERROR:
                error = -struct.unpack_from("=i", data)[0]
                if error:
                    raise KernelRefused(what, error)
                return
        raise NodeError(f"{what}: the kernel did not answer")

    def dump(self, kind: int, body: bytes) -> List[Item]:
        """All items of a sort."""
        flags = NLM_F_REQUEST | NLM_F_DUMP
        return [_item(data) for code, data in self._ask(kind, flags, body) if code == kind - 2]

    def _ask(self, kind: int, flags: int, body: bytes) -> Iterator[Tuple[int, bytes]]:
        self._number += 1
        size = HEADER.size + len(body)
        self._socket.send(HEADER.pack(size, kind, flags, self._number, 0) + body)
        while True:
            data = self._socket.recv(RECEIVE_BYTES)
            while len(data) >= HEADER.size:
                length, code, _, number, _ = HEADER.unpack_from(data)
                if number == self._number:
                    if code == NLMSG_DONE:
                        return
                    yield code, data[HEADER.size : length]
                    if code == NLMSG_ERROR:
                        return
                data = data[(length + 3) & ~3 :]


class KernelRefused(NodeError):
    """The kernel refused a change; ``errno`` says why."""

    def __init__(self, what: str, errno: int) -> None:
        super().__init__(f"{what}: {os.strerror(errno)}")
        self.errno = errno


def index_of(device: str) -> int:
    """The interface's index, 0 where there is none of that name.

    Asked of the kernel: /sys may show another namespace's interfaces.
    """
    try:
        return socket.if_nametoindex(device)
    except OSError:
        return 0


def counters(item: Item) -> Dict[str, int]:
    """Of a qdisc: "packets", "waiting" and "backlog" (bytes), "drops", "requeues"."""
    found = attributes(item.stats)
    basic, queue = found.get(TCA_STATS_BASIC, b""), found.get(TCA_STATS_QUEUE, b"")
    packets = struct.unpack_from("=QI", basic)[1] if len(basic) >= 12 else 0
    waiting = struct.unpack_from("=IIIII", queue) if len(queue) >= 20 else (0,) * 5
    return {"packets": packets, "waiting": waiting[0], "backlog": waiting[1],
            "drops": waiting[2], "requeues": waiting[3]}  # fmt: skip


def tc_body(index: int, handle: int, parent: int, info: int = 0, attributes: bytes = b"") -> bytes:
    """A ``tcmsg`` with attributes behind it."""
    return TCMSG.pack(socket.AF_UNSPEC, index, handle, parent, info) + attributes


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    size = 4 + len(value)
    return struct.pack("=HH", size, kind) + value + bytes(-size % 4)


def text(kind: int, value: str) -> bytes:
    """One attribute that is a string."""
    return attribute(kind, value.encode() + b"\0")


def attributes(data: bytes) -> Dict[int, bytes]:
    """Attributes by kind; of several of a kind, the last."""
    found = {}
    while len(data) >= 4:
        size, kind = struct.unpack_from("=HH", data)
        if size < 4:
            break
        found[kind & ~NLA_F_NESTED] = data[4:size]
        data = data[(size + 3) & ~3 :]
    return found


def _item(data: bytes) -> Item:
    _, index, handle, parent, info = TCMSG.unpack_from(data)
    found = attributes(data[TCMSG.size :])
    kind = found.get(TCA_KIND, b"").rstrip(b"\0").decode()
    return Item(index, handle, parent, info, kind, found.get(TCA_OPTIONS, b""),
                found.get(TCA_STATS2, b""))  # fmt: skip
