# SPDX-License-Identifier: Apache-2.0
"""io limits of control groups: ``io.max`` of cgroup v2, ``blkio.throttle`` of v1."""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Mapping, Optional, Set

from gameday.agent.system import disks_mounts
from gameday.errors import NodeError
from gameday.faults.hosts.disks import Mount

KEYS = {"read_bps": "rbps", "write_bps": "wbps", "read_iops": "riops", "write_iops": "wiops"}

V1_FILES = {key: f"blkio.throttle.{key.replace('bps', 'bps_device').replace('iops', 'iops_device')}"
            for key in KEYS}  # fmt: skip

V2_COUNTERS = {"rbytes": "read_bytes", "wbytes": "write_bytes", "rios": "reads", "wios": "writes"}
V1_COUNTERS = {"blkio.throttle.io_service_bytes": ("read_bytes", "write_bytes"),
               "blkio.throttle.io_serviced": ("reads", "writes")}  # fmt: skip

GROUPS_MAX = 50_000
"""Directories looked at for a name; a node with 500 containers has about 5,000."""

CONTAINER_ID_MIN = 8
"""Hexadecimal digits of a container's id; fewer would soon name a second one."""

CONTAINER_NAME = r"(?:^|[-:_])(?<!conmon-){prefix}[0-9a-f]*(?:\.scope|\.service)?$"
"""How docker, containerd, CRI-O and podman name a container's group; conmon only watches one."""


@dataclass(frozen=True)
class Hierarchy:
    """Where the groups with io limits are.

    Attributes:
        version: 1 or 2. point: mount point. root: the group that is mounted there.
    """

    version: int
    point: str
    root: str


def hierarchy() -> Hierarchy:
    """The mounted tree of groups that has the io controller.

    Raises:
        NodeError: where there is none.
    """
    second: Optional[Mount] = None
    for _, mount in disks_mounts.mounts():
        if mount.fs_type == "cgroup" and "blkio" in mount.super_options:
            return Hierarchy(1, mount.point, mount.root)
        if mount.fs_type == "cgroup2":
            second = second or mount
    if second is not None and "io" in _words(f"{second.point}/cgroup.controllers"):
        return Hierarchy(2, second.point, second.root)
    raise NodeError("no cgroup tree with io limits is mounted (io of v2, blkio of v1)")


def check() -> None:
    """Returns where io limits can be had.

    Raises:
        NodeError: where not.
    """
    tree = hierarchy()
    if tree.version == 1 and not os.path.exists(f"{tree.point}/{V1_FILES['write_bps']}"):
        raise NodeError("the kernel lacks blkio.throttle (CONFIG_BLK_DEV_THROTTLING)")


def io_group(unit: str, container: str, name: str, pid: int) -> str:
    """See ``Groups``."""
    tree = hierarchy()
    if unit:
        names = (unit, f"{unit}.service")
        group = _only(_named(tree, lambda found: found in names), f"the unit {unit}", tree)
    elif container:
        group = _only(_named(tree, container_matcher(container)), f"container {container}", tree)
    elif name:
        pids = _pids(name)
        if not pids:
            raise NodeError(f"no process is named exactly {name}")
        group = _only({_group_of(tree, one) for one in pids}, f"process {name}", tree)
    else:
        group = _group_of(tree, pid)
    _check_group(tree, group)
    return group


def identity(group: str) -> int:
    """See ``Groups``."""
    try:
        return os.stat(group).st_ino
    except FileNotFoundError:
        return 0


def limits(group: str, number: str) -> Dict[str, int]:
    """See ``Groups``; a group that is gone has none."""
    found = dict.fromkeys(KEYS, 0)
    if _is_v2(group):
        return parse_io_max(_text(f"{group}/io.max"), number)
    for key, name in V1_FILES.items():
        for line in _text(f"{group}/{name}").splitlines():
            words = line.split()
            if words[0] == number:
                found[key] = int(words[1])
    return found


def parse_io_max(text: str, number: str) -> Dict[str, int]:
    """Limits of one device in ``io.max``."""
    found = dict.fromkeys(KEYS, 0)
    for line in text.splitlines():
        words = line.split()
        if words and words[0] == number:
            given = dict(word.split("=") for word in words[1:])
            for key, short in KEYS.items():
                value = given.get(short, "max")
                found[key] = 0 if value == "max" else int(value)
    return found


def set_limits(group: str, number: str, wanted: Mapping[str, int]) -> None:
    """See ``Groups``."""
    for name, line in _writes(group, number, wanted).items():
        try:
            with open(name, "w", encoding="ascii") as file:
                file.write(line)
        except OSError as error:
            raise NodeError(f"writing `{line}` to {name}: {error.strerror}") from error


def command(group: str, number: str, wanted: Mapping[str, int]) -> str:
    """See ``Groups``."""
    return "; ".join(f"echo '{x}' > '{name}'" for name, x in _writes(group, number, wanted).items())


def counters(group: str, number: str) -> Dict[str, int]:
    """See ``Groups``."""
    if _is_v2(group):
        return parse_io_stat(_text(f"{group}/io.stat"), number)
    found: Dict[str, int] = {}
    for name, (read, write) in V1_COUNTERS.items():
        for line in _text(f"{group}/{name}").splitlines():
            words = line.split()
            if words[0] == number and words[1] in ("Read", "Write"):
                found[read if words[1] == "Read" else write] = int(words[2])
    return found


def parse_io_stat(text: str, number: str) -> Dict[str, int]:
    """Counters of one device in ``io.stat``."""
    for line in text.splitlines():
        words = line.split()
        if words and words[0] == number:
            given = dict(word.split("=") for word in words[1:] if "=" in word)
            return {long: int(given[short]) for short, long in V2_COUNTERS.items()
                    if short in given}  # fmt: skip
    return {}


def container_matcher(prefix: str) -> Callable[[str], bool]:
    """Whether a group's name is that of a container whose id begins with ``prefix``."""
    if len(prefix) < CONTAINER_ID_MIN:
        raise NodeError(f"container {prefix}: give at least {CONTAINER_ID_MIN} digits of its id")
    pattern = re.compile(CONTAINER_NAME.format(prefix=re.escape(prefix)))
    return lambda name: pattern.search(name) is not None


def _writes(group: str, number: str, wanted: Mapping[str, int]) -> Dict[str, str]:
    """File to the one line that is written to it; 0 takes a limit away in both versions."""
    if _is_v2(group):
        given = [f"{KEYS[key]}={value or 'max'}" for key, value in sorted(wanted.items())]
        return {f"{group}/io.max": " ".join([number, *given])} if given else {}
    return {f"{group}/{V1_FILES[key]}": f"{number} {x}" for key, x in sorted(wanted.items())}


def _is_v2(group: str) -> bool:
    return not os.path.exists(f"{group}/{V1_FILES['write_bps']}")


def _check_group(tree: Hierarchy, group: str) -> None:
    if group == tree.point:
        raise NodeError(
            "it runs in the root control group, with everything else on this node: "
            "limits there would hit all of it; run it as a systemd unit or in a container"
        )
    own = _group_of(tree, os.getpid())
    if own == group or own.startswith(group + "/"):
        raise NodeError(f"gameday itself runs in {group}: it would be too slow to undo the fault")
    if tree.version == 1:
        _check_v1(group)
    elif not os.path.exists(f"{group}/io.max"):
        _explain_missing(group)


def _check_v1(group: str) -> None:
    for one in _directories(group):
        if one != group and _words(f"{one}/cgroup.procs"):
            raise NodeError(
                f"processes live in {one}, and cgroup v1 passes no io limits down: name that one"
            )


def _explain_missing(group: str) -> None:
    above = str(Path(group).parent)
    if "io" in _words(f"{group}/cgroup.controllers"):
        raise NodeError("the kernel has no io.max (CONFIG_BLK_DEV_THROTTLING)")
    name = Path(group).name
    raise NodeError(
        f"{above} does not give the io controller to its children, so {name} has no "
        f"io.max: `systemctl set-property --runtime {name} IOAccounting=yes` where systemd made "
        f"it, or `echo +io > {above}/cgroup.subtree_control`",
    )


def _group_of(tree: Hierarchy, pid: int) -> str:
    text = _text(f"/proc/{pid}/cgroup")
    if not text:
        raise NodeError(f"there is no process {pid}")
    for line in text.splitlines():
        number, controllers, path = line.split(":", 2)
        fits = "blkio" in controllers.split(",") if tree.version == 1 else number == "0"
        if fits:
            if "/.." in path:
                raise NodeError(f"process {pid} is outside the control groups seen here")
            if tree.root != "/" and path.startswith(tree.root):
                path = path[len(tree.root) :]
            return (tree.point + path).rstrip("/")
    raise NodeError(f"process {pid} is in no control group with io limits")


def _pids(name: str) -> List[int]:
    found = []
    for pid in (int(x) for x in os.listdir("/proc") if x.isdigit()):
        command_line = _text(f"/proc/{pid}/cmdline").split("\0")
        if not command_line[0]:
            # Kernel threads and the dead do their io in nobody's name.
            continue
        if name in (_text(f"/proc/{pid}/comm").strip(), os.path.basename(command_line[0])):
            found.append(pid)
    return found


def _named(tree: Hierarchy, fits: Callable[[str], bool]) -> Set[str]:
    """Topmost groups whose own name fits."""
    found: Set[str] = set()
    for group in _directories(tree.point):
        inside = any(group.startswith(one + "/") for one in found)
        if not inside and fits(os.path.basename(group)):
            found.add(group)
    return found


def _directories(top: str) -> Iterator[str]:
    for count, (directory, _, _) in enumerate(os.walk(top)):
        if count >= GROUPS_MAX:
            raise NodeError(f"more than {GROUPS_MAX} control groups below {top}")
        yield directory


def _only(found: Set[str], what: str, tree: Hierarchy) -> str:
    if not found:
        raise NodeError(
            f"{what} has no control group of its own in {tree.point}: it does not run, or "
            "systemd accounts no io for it (`systemctl set-property --runtime <unit> "
            "IOAccounting=yes`)"
        )
    if len(found) > 1:
        raise NodeError(f"{what} is in several control groups: {', '.join(sorted(found))}")
    return next(iter(found))


def _words(path: str) -> List[str]:
    return _text(path).split()


def _text(path: str) -> str:
    """What a file of the kernel says; empty where it is gone."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    except OSError as error:
        # A group that was just removed answers so while somebody holds its file.
        if error.errno == errno.ENODEV:
            return ""
        raise NodeError(f"{path}: {error.strerror}") from error
