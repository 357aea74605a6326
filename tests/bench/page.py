# SPDX-License-Identifier: Apache-2.0
"""docs/benchmarks.md from what was measured; every figure beside what is asked of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median

from gameday.clock import NS_PER_MS
from tests.bench import load
from tests.bench.arming import COMMAND, FORKS, Size
from tests.bench.changes import CHANGES_PER_S, CORE_SHARE_MAX, Changes
from tests.bench.footprint import Footprint
from tests.bench.session import quantile
from tests.bench.skew import BLUR_NS_MAX, PERIOD_NS, Seen
from tests.bench.volume import SECONDS_MAX, Volume

TEMPLATE = Path(__file__).with_name("page.md")

SKEW_MS_MAX, RATIO_MAX, CPU_MS_MAX, MEMORY_KB_MAX, BYTES_MAX = 5, 0.3, 400, 20_000, 1_500_000


@dataclass(frozen=True)
class Measured:
    """Everything.

    Attributes:
        facts: of this machine, name and value. push_s: connecting, pushing, compiling on all.
    """

    facts: Sequence[tuple[str, str]]
    sizes: Sequence[Size]
    push_s: float
    footprint: Footprint
    changes: Changes | None
    volume: Volume
    load: load.Load
    minutes: int


PART_BEGIN, PART_END = "<!-- workers -->\n", "\n<!-- /workers -->"
"""Around what ``--workers`` measures, which is a run of its own."""


def part(page: Path) -> str:
    """The part of the page that ``--workers`` wrote."""
    return page.read_text(encoding="utf-8").partition(PART_BEGIN)[2].partition(PART_END)[0]


def write_part(page: Path, text: str) -> None:
    """Put it into the page, instead of what was there."""
    head, begin, rest = page.read_text(encoding="utf-8").partition(PART_BEGIN)
    _, end, tail = rest.partition(PART_END)
    page.write_text(head + begin + text + end + tail, encoding="utf-8")


def render(found: Measured) -> str:
    """The whole page."""
    one = found.footprint
    return TEMPLATE.read_text(encoding="utf-8").format(
        minutes=found.minutes,
        facts="\n".join(f"| {name} | {value} |" for name, value in found.facts),
        period_us=PERIOD_NS // 1000, skew_max=SKEW_MS_MAX,
        blur_ms=BLUR_NS_MAX // NS_PER_MS,
        skew_rows="\n".join(_skew_row(size) for size in found.sizes),
        forks=FORKS, command=COMMAND, ratio=RATIO_MAX,
        arm_rows="\n".join(_arm_row(size) for size in found.sizes),
        ratios="\n".join(_ratio_row(size) for size in found.sizes),
        pushed=max(size.nodes for size in found.sizes), push=found.push_s,
        start=_range(one.start_ms, 0), preflight=_range(one.preflight_ms, 0),
        arm=_range(one.arm_ms, 0), cpu_max=CPU_MS_MAX, package=f"{one.package_bytes:,}",
        bytes_max=f"{BYTES_MAX:,}", memory="\n".join(_memory_rows(one)),
        warm=_range(one.warm_open_s, 2), cold=_range(one.cold_open_s, 2),
        changes_per_s=CHANGES_PER_S, share=CORE_SHARE_MAX, changes=_changes(found.changes),
        volume=_volume(found.volume), volume_max=SECONDS_MAX, load=load.describe(found.load),
        load_mb=load.MEMORY_MB_MAX,
    )  # fmt: skip


def _skew_row(size: Size) -> str:
    begin, end, after, back = [], [], [], []
    for seen, fire, expire in zip(size.seen, size.fire_ns, size.expire_ns, strict=True):
        begin += onsets(seen)
        end += [(x.back_ns - min(y.still_ns for y in seen)) / NS_PER_MS for x in seen]
        after += [(x.last_ns - fire) / NS_PER_MS for x in seen]
        back += [(x.back_ns - expire) / NS_PER_MS for x in seen]
    inside = sum(x.inside for seen in size.seen for x in seen)
    lost = sum(x.lost for seen in size.seen for x in seen)
    through = f"{inside}" + (f" ({lost} lost outside)" if lost else "")
    cuts = f"{len(size.seen)}" + (f" ({size.blurred} repeated)" if size.blurred else "")
    return (f"| {size.nodes} | {cuts} | {_skews(begin)} ms | {_skews(end)} ms "
            f"| {_range(after)} ms | {_range(back)} ms | {through} |")  # fmt: skip


def onsets(seen: Sequence[Seen]) -> list[float]:
    """How much later than the first of all nodes each was cut, at most; in milliseconds."""
    return [(x.cut_ns - min(y.last_ns for y in seen)) / NS_PER_MS for x in seen]


def _skews(values: Sequence[float]) -> str:
    return f"{quantile(values, 0.5):.3f} / {quantile(values, 0.99):.3f} / {max(values):.3f}"


def _arm_row(size: Size) -> str:
    per_node = median(size.arm_s) * 1000 / size.nodes
    columns = (size.open_s, size.preflight_s, size.arm_s)
    ours = " | ".join(_range(x, 2) for x in columns)
    theirs = " | ".join(_range(x, 1) for x in (size.command_s, size.raw_s, size.raw_again_s))
    return f"| {size.nodes} | {ours} | {per_node:.0f} | {theirs} |"


def _ratio_row(size: Size) -> str:
    arm = median(size.arm_s)
    both = arm + median(size.open_s)
    pairs = [(arm, size.command_s), (arm, size.raw_s), (arm, size.raw_again_s),
             (both, size.command_s), (both, size.raw_s)]  # fmt: skip
    return f"| {size.nodes} | " + " | ".join(f"{x / median(y):.2f}" for x, y in pairs) + " |"


def _range(values: Sequence[float], digits: int = 1) -> str:
    return f"{median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"  # noqa: RUF001


def _memory_rows(one: Footprint) -> list[str]:
    keepers = (("kernel", one.memory["netfilter"]), ("agent", one.memory["blackhole"]))
    return [
        f"| resident in a fault that the {who} keeps ({found.processes}) "
        f"| {found.alone / 1000:.1f} MB alone, {found.pss / 1000:.1f} MB PSS "
        f"| < {MEMORY_KB_MAX // 1000} MB |"
        for who, found in keepers
    ]


def _changes(found: Changes | None) -> str:
    if found is None:
        return "Not measured: it needs a kernel with netem."
    share = found.cpu_s / found.wall_s
    return (f"{found.changes} changes in {found.wall_s:.1f} s took {share:.1%} of a core; "
            f"the latest was {found.late_ms:.1f} ms behind its schedule.")  # fmt: skip


def missed(measured: Measured) -> list[str]:
    """What is asked and was not reached, in words."""
    footprint, changes = measured.footprint, measured.changes
    found = []
    for size in measured.sizes:
        skews = [skew for seen in size.seen for skew in onsets(seen)]
        if quantile(skews, 0.99) >= SKEW_MS_MAX:
            found.append(f"onset skew at {size.nodes} nodes: {quantile(skews, 0.99):.1f} ms")
        ratio = median(size.arm_s) / median(size.command_s)
        if ratio >= RATIO_MAX:
            found.append(f"arming {size.nodes} nodes: {ratio:.2f} of ansible")
    if mean(footprint.arm_ms) >= CPU_MS_MAX:
        found.append(f"CPU until armed: {mean(footprint.arm_ms):.0f} ms")
    if footprint.package_bytes >= BYTES_MAX:
        found.append(f"package: {footprint.package_bytes} bytes")
    for kept, one in footprint.memory.items():
        if one.alone >= MEMORY_KB_MAX:
            found.append(f"memory ({kept}): {one.alone} kB")
    if changes is not None and changes.cpu_s / changes.wall_s >= CORE_SHARE_MAX:
        found.append(f"profile changes: {changes.cpu_s / changes.wall_s:.1%} of a core")
    if measured.volume.wall_s >= SECONDS_MAX:
        found.append(f"{measured.volume.samples} samples: {measured.volume.wall_s:.1f} s")
    return [*found, *load.missed(measured.load)]


def _volume(found: Volume) -> str:
    return (
        f"{found.samples:,} samples ({found.packed_bytes >> 20} MiB packed) took "
        f"{found.wall_s:.1f} s, {found.cpu_s:.1f} s of CPU on one core and "
        f"{found.memory_mb} MB of memory."
    )
