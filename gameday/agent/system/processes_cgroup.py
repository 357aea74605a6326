# SPDX-License-Identifier: Apache-2.0
"""Where processes stand in the cgroup trees (v2, v1 or both), and the freezers there."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Dict, Iterable, List, Set, Tuple

from gameday import clock
from gameday.errors import NodeError

CONTAINER = re.compile(r"(?:^|[/:-])([0-9a-f]{64})(?:\.scope)?(?=/|$)")
"""A container's id as a part of a path: docker, containerd, CRI-O and podman all have it."""

POD = re.compile(r"pod[0-9a-f]{8}[-_][0-9a-f_-]{20,}")
"""A directory of a Kubernetes pod, by either cgroup driver of the kubelet."""

FREEZE_WAIT_NS = clock.NS_PER_S
FREEZE_LOOK_S = 0.01


def paths(pid: int) -> Dict[str, str]:
    """Hierarchy ("" for v2, else the controllers' names) to a process' path in it."""
    try:
        text = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8", errors="replace")
    except OSError:
        # A process that ended stands nowhere.
        return {}
    parts = (line.split(":", 2) for line in text.splitlines())
    return {part[1]: part[2] for part in parts if len(part) == 3}


def mounts() -> Dict[str, str]:
    """Where v2 ("") and v1's freezer ("freezer") are mounted."""
    found: Dict[str, str] = {}
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        front, _, back = line.partition(" - ")
        kind, _, options = back.split(" ", 2)
        where = front.split()[4]
        if kind == "cgroup2":
            found.setdefault("", where)
        elif kind == "cgroup" and "freezer" in options.split(","):
            found.setdefault("freezer", where)
    return found


def is_in(pid: int, path: str) -> bool:
    """Whether a process is in that cgroup of v2 or of systemd's own tree, or below it."""
    own = paths(pid)
    return any(
        tree in own and (own[tree] + "/").startswith(path.rstrip("/") + "/")
        for tree in ("", "name=systemd")
    )


def container_ids(pid: int) -> Tuple[str, ...]:
    """Ids of the containers that a process is in, the innermost last."""
    found: List[str] = []
    for path in paths(pid).values():
        found += [one for one in CONTAINER.findall(path) if one not in found]
    return tuple(found)


def container_id(prefix: str, pids: Iterable[int]) -> str:
    """The whole id of the one container that begins so; "" where none does.

    Raises:
        NodeError: where several do.
    """
    found = {one for pid in pids for one in container_ids(pid) if one.startswith(prefix)}
    if len(found) > 1:
        raise NodeError(
            f"{len(found)} containers begin with {prefix}: "
            f"{', '.join(sorted(one[:16] for one in found)[:4])}; give more digits"
        )
    return next(iter(found), "")


def container_freezer(pid: int, prefix: str) -> str:
    """Directory of the freezer of the container that a process is in; "" where none."""
    return _freezer({tree: _cut(path, prefix) for tree, path in paths(pid).items()})


def freezer_of(path: str) -> str:
    """Directory of the freezer of a unit's cgroup; "" where there is none."""
    # systemd makes no directories in v1's freezer tree, so a unit has a freezer in v2 only.
    return _freezer({"": path})


def pod_of(pid: int, prefix: str) -> str:
    """Path of the pod that a container is in; "" where it is in none."""
    for path in paths(pid).values():
        own = _cut(path, prefix).rpartition("/")[0]
        if POD.search(own.rpartition("/")[2]):
            return own
    return ""


def containers_in(pod: str, pids: Iterable[int]) -> int:
    """How many containers below a pod's path have a living process."""
    found: Set[str] = set()
    for pid in pids:
        if any(path.startswith(pod + "/") for path in paths(pid).values()):
            found.update(container_ids(pid)[-1:])
    return len(found)


def frozen(path: str) -> str:
    """ "frozen", "freezing", "thawed" or "gone"."""
    try:
        if (Path(path) / "cgroup.freeze").exists():
            if (Path(path) / "cgroup.freeze").read_text(encoding="ascii").strip() != "1":
                return "thawed"
            events = (Path(path) / "cgroup.events").read_text(encoding="ascii").split("\n")
            return "frozen" if "frozen 1" in events else "freezing"
        state = (Path(path) / "freezer.state").read_text(encoding="ascii").strip().lower()
    except OSError:
        return "gone"
    return state


def freeze(path: str, on: bool) -> None:
    """Freeze or thaw, and wait a moment until the kernel says that it is done.

    Raises:
        NodeError: where the kernel refuses.
    """
    version2 = Path(path) / "cgroup.freeze"
    try:
        if version2.exists():
            version2.write_text("1" if on else "0", encoding="ascii")
        else:
            word = "FROZEN" if on else "THAWED"
            (Path(path) / "freezer.state").write_text(word, encoding="ascii")
    except OSError as error:
        raise NodeError(f"cannot {'freeze' if on else 'thaw'} {path}: {error}") from error
    deadline = clock.mono_ns() + FREEZE_WAIT_NS
    while frozen(path) == "freezing" and clock.mono_ns() < deadline:
        time.sleep(FREEZE_LOOK_S)


def _freezer(own: Dict[str, str]) -> str:
    where = mounts()
    for tree, mark in (("", "cgroup.freeze"), ("freezer", "freezer.state")):
        path = own.get(tree, "").strip("/")
        if tree in where and path and (Path(where[tree]) / path / mark).exists():
            return str(Path(where[tree]) / path)
    return ""


def _cut(path: str, prefix: str) -> str:
    """A path up to and with the part that names the container; "" where none does."""
    for match in CONTAINER.finditer(path):
        if match.group(1).startswith(prefix):
            return path[: match.end()]
    return ""
