# SPDX-License-Identifier: Apache-2.0
"""Stands in for pyroute2's own ``__init__.py`` in the package that nodes get.

The library's own imports all of it, 260 modules and 14 MB; this one imports what is asked
for. Everything else of pyroute2 is carried as it is.
"""

import importlib

WHERE = {
    "IPRoute": "pyroute2.iproute",
    "IPSet": "pyroute2.ipset",
    "NetNS": "pyroute2.iproute",
    "NetlinkError": "pyroute2.netlink.exceptions",
}


def __getattr__(name: str) -> object:
    """Import a name's module when the name is first asked for."""
    if name not in WHERE:
        raise AttributeError(f"module 'pyroute2' of a node has no attribute {name!r}")
    return getattr(importlib.import_module(WHERE[name]), name)
