# SPDX-License-Identifier: Apache-2.0
"""Libraries that only some probes need, as a second archive beside the agent's.

A probe kind names them (``carries``); only vantages with such a probe are sent the archive.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import importlib.util
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from gameday.errors import require
from gameday.probes import TABLE
from gameday.transport.package import BYTES_MAX, Package, sources, zipped

MODULES = {
    "pg8000": ("asn1crypto", "dateutil", "pg8000", "scramp", "six"),
    "PyMySQL": ("pymysql",),
}
"""What each library needs on a node, itself among it: pure Python 3.9."""


NAMED = {"pg8000": ("pg8000", "scramp"), "PyMySQL": ()}
"""Those that ask for their own version when they are imported."""


def wanted(probes: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """The libraries that a vantage's probes ask for, each once."""
    return tuple(
        sorted({name for p in probes for name in getattr(TABLE[p["kind"]], "carries", ())})
    )


@lru_cache(maxsize=4)
def archive(libraries: tuple[str, ...]) -> Package:
    """The archive of libraries: the same bytes for the same sources.

    Raises:
        RequirementFailed: where one is not installed, or the archive grew over ``BYTES_MAX``.
    """
    files: dict[str, bytes] = {}
    for module in sorted({m for library in libraries for m in MODULES[library]}):
        spec = importlib.util.find_spec(module)
        require(spec is not None and spec.origin, f"{module} is not installed")
        origin = Path(str(spec.origin))  # type: ignore[union-attr]
        if origin.name != "__init__.py":
            files[origin.name] = origin.read_bytes()
            continue
        for path in sources(origin.parent):
            files[f"{module}/{path.relative_to(origin.parent).as_posix()}"] = path.read_bytes()
    for name in sorted({n for library in libraries for n in NAMED[library]}):
        found = importlib.metadata.distribution(name)
        told = f"Metadata-Version: 2.1\nName: {name}\nVersion: {found.version}\n"
        files[f"{name}-{found.version}.dist-info/METADATA"] = told.encode()
    content = zipped(files)
    require(len(content) <= BYTES_MAX, f"the carried libraries have {len(content)} bytes")
    return Package(content, hashlib.sha256(content).hexdigest())


def carry(agent: Any, probes: Iterable[Mapping[str, Any]]) -> str:
    """Send a vantage the libraries that its probes ask for; returns their digest, "" for none.

    Raises:
        Unreachable, NodeError: as ``Agent.call``.
    """
    libraries = wanted(probes)
    if not libraries:
        return ""
    package = archive(libraries)
    if not agent.call("carried", sha256=package.sha256)["there"]:
        content = base64.b64encode(package.content).decode()
        agent.call("carry", sha256=package.sha256, content=content)
    return package.sha256
