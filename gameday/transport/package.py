# SPDX-License-Identifier: Apache-2.0
"""The agent as one file: a zip that Python runs, the same bytes for the same sources."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from gameday.errors import require

OWN = ("__init__.py", "errors.py", "ticks.py", "clock.py")
OWN_PACKAGES = ("agent", "faults", "probes")
OWN_RECORD = ("__init__.py", "types.py", "kinds.py", "journal.py")
CARRIED = ("pyroute2", "dns")
"""Pure Python libraries that nodes do not have: netlink, and DNS messages."""

REPLACED = Path(__file__).parent / "files"
"""Files that stand in for a carried library's own, at the same path below it."""

BYTES_MAX = 1_500_000
"""A package larger than this is slow to push to fifty nodes over a WAN."""

MAIN = "import sys\nfrom gameday.agent.__main__ import main\nsys.exit(main(sys.argv[1:]))\n"
EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Package:
    """The agent's bytes and their digest."""

    content: bytes
    sha256: str


@lru_cache(maxsize=1)
def agent_package() -> Package:
    """Build the agent from the installed sources.

    Raises:
        RequirementFailed: where it grew over ``BYTES_MAX``.
    """
    files = {"__main__.py": MAIN.encode()}
    root = Path(__file__).resolve().parent.parent
    paths = [root / name for name in OWN] + [root / "record" / name for name in OWN_RECORD]
    for package in OWN_PACKAGES:
        paths += sources(root / package)
    for path in paths:
        files[f"gameday/{path.relative_to(root).as_posix()}"] = path.read_bytes()
    for library in CARRIED:
        spec = importlib.util.find_spec(library)
        require(spec is not None and spec.origin, f"{library} is not installed")
        base = Path(str(spec.origin)).parent  # type: ignore[union-attr]
        for path in sources(base):
            name = f"{library}/{path.relative_to(base).as_posix()}"
            instead = REPLACED / name
            files[name] = (instead if instead.exists() else path).read_bytes()
    content = zipped(files)
    require(len(content) <= BYTES_MAX, f"the agent has {len(content)} bytes")
    return Package(content, hashlib.sha256(content).hexdigest())


def sources(base: Path) -> list[Path]:
    """Every source file below a directory; byte code is not looked at, since it comes and goes."""
    found = []
    for directory, inner, names in os.walk(base):
        inner[:] = [name for name in inner if name != "__pycache__"]
        found += [Path(directory, name) for name in names if name.endswith(".py")]
    return sorted(found)


def zipped(files: dict[str, bytes]) -> bytes:
    """A zip archive: the same bytes for the same files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            info = zipfile.ZipInfo(name, EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, files[name])
    return buffer.getvalue()
