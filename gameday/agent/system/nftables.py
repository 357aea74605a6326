# SPDX-License-Identifier: Apache-2.0
"""Remove base chains and tables that iptables-nft left behind empty, without a race.

``iptables-restore`` on the nft back end creates a table and its base chains and never
removes them. Deleting a chain fails with EBUSY while it holds a rule, and deleting a table
with NLM_F_NONREC fails with EBUSY while it holds anything, so what somebody else began to
use meanwhile stays.
"""

from __future__ import annotations

import errno
import socket
from typing import Any, Callable, Sequence

from gameday.errors import NodeError

NLM_F_ACK = 0x4
NLM_F_NONREC = 0x100
EXPECTED = (errno.EBUSY, errno.ENOENT)
"""In use by somebody, or not there: both leave nothing for us to do."""


def drop_empty_chains(family: int, table: str, chains: Sequence[str]) -> None:
    """Delete those base chains that are there and empty, then the table if nothing is in it.

    Raises:
        NodeError: where the kernel refuses for another reason than the two expected.
    """
    from pyroute2.nftables.main import NFTables

    inet = socket.AF_INET if family == 4 else socket.AF_INET6
    with NFTables(nfgen_family=int(inet)) as nft:
        for chain in chains:
            _delete(nft.chain, f"chain {chain} of {table}", table=table, name=chain)
        _delete(nft.table, f"table {table}", name=table, flags=NLM_F_ACK | NLM_F_NONREC)


def _delete(call: Callable[..., Any], what: str, **arguments: Any) -> None:
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        call("del", **arguments)
    except NetlinkError as error:
        if error.code not in EXPECTED:
            raise NodeError(f"cannot remove the empty {what}: {error}") from error
