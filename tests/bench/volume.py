# SPDX-License-Identifier: Apache-2.0
"""A run of millions of samples, measured and reported: how long it takes and what it needs.

The record is the synthetic run of the unit tests, long, with forty more vantage nodes that each
ask three authoritative servers and a resolver and fetch a page, ten times a second each.
"""

from __future__ import annotations

import gzip
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from gameday import clock
from gameday.clock import NS_PER_MS, NS_PER_S
from gameday.record import kinds
from gameday.record.journal import dump_line
from gameday.record.record import EVENTS, PLAN, SAMPLES, SAMPLES_LIVE
from tests.unit.synthetic import MONO_START_NS, Truth, write_run
from tests.unit.synthetic_plan import SERVERS

ROOT = Path(__file__).resolve().parents[2]
VANTAGES = 40
PERIOD_NS = 100 * NS_PER_MS
LOOKS = (*(("vantage-dns", server) for server in SERVERS), ("vantage-resolver", "resolver"),
         ("vantage-http", "app.gameday.test"))  # fmt: skip
KINDS = {"vantage-dns": "dns", "vantage-resolver": "dns", "vantage-http": "http"}
SECONDS_MAX = 20
OFFSET_NS = 7_000 * NS_PER_S
"""Every vantage's clock is this much ahead for each one before it."""

FAILED_ONE_IN = 997


@dataclass(frozen=True)
class Volume:
    """What one run cost.

    Attributes:
        samples: in the record. packed_bytes: of samples.jsonl.gz. wall_s, cpu_s: from the start
        of the process to the signed report. memory_mb: the most that was resident.
    """

    samples: int
    packed_bytes: int
    wall_s: float
    cpu_s: float
    memory_mb: int


def measure(directory: Path, samples: int) -> Volume:
    """Make a record of about so many samples in ``directory`` and finish it in a new process."""
    make(directory / "run", samples)
    begin = clock.mono_ns()
    argv = [sys.executable, "-m", "tests.bench.volume", str(directory)]
    # The key that signs is trusted in a home of its own, not in the user's.
    home = {**os.environ, "HOME": str(directory), "XDG_CONFIG_HOME": str(directory)}
    done = subprocess.run(argv, cwd=ROOT, env=home, capture_output=True, text=True, check=True)
    wall = (clock.mono_ns() - begin) / NS_PER_S
    said: dict[str, Any] = json.loads(done.stdout)
    packed = (directory / "run" / SAMPLES).stat().st_size
    return Volume(said["samples"], packed, wall, said["cpu_s"], said["memory_mb"])


def make(directory: Path, samples: int) -> None:
    """A run's directory as the conductor leaves it, packed and not yet judged."""
    per_second = VANTAGES * len(LOOKS) * NS_PER_S // PERIOD_NS
    seconds = max(30, samples // (per_second + 120))
    truth = Truth(
        steady_s=seconds // 8, fault_s=seconds * 5 // 8, recover_s=seconds - seconds * 6 // 8 - 8
    )
    write_run(directory, truth)
    _add_vantages(directory, truth)
    live = directory / SAMPLES_LIVE
    with gzip.GzipFile(directory / SAMPLES, "wb", compresslevel=1, mtime=0) as file:
        file.write(live.read_bytes())
        for vantage in range(VANTAGES):
            for number, (probe, target) in enumerate(LOOKS):
                file.writelines(_stream(truth, vantage, number, probe, target))
    live.unlink()


def _name(vantage: int) -> str:
    return f"vantage-{vantage:02}"


def _add_vantages(directory: Path, truth: Truth) -> None:
    """The vantages' part of plan and journal."""
    plan = json.loads((directory / PLAN).read_bytes())
    for vantage in range(VANTAGES):
        plan["nodes"][_name(vantage)] = {
            "site": "clients", "racks": [], "roles": ["user"], "addresses": [],
            "vantage_only": True,
        }  # fmt: skip
    for probe, kind in KINDS.items():
        samplers = [
            {"node": _name(vantage), "target": target, "addresses": [], "peers": []}
            for vantage in range(VANTAGES) for name, target in LOOKS if name == probe
        ]  # fmt: skip
        plan["probes"].append(
            {"name": probe, "kind": kind, "period_ns": PERIOD_NS, "timeout_ns": PERIOD_NS,
             "params": {}, "samplers": samplers}
        )  # fmt: skip
    asked = plan["experiment"]["objectives"]
    for objective in [o for o in asked if o["params"]["probe"] in ("user-http", "dns")]:
        probe = "vantage-" + objective["params"]["probe"].removeprefix("user-")
        params = {**objective["params"], "probe": probe}
        asked.append({**objective, "name": f"{objective['name']}, from everywhere",
                      "params": params})  # fmt: skip
    (directory / PLAN).write_text(json.dumps(plan), encoding="utf-8")
    events = [json.loads(x) for x in (directory / EVENTS).read_text().splitlines()]
    wall_minus_mono = events[0]["wall_ns"] - events[0]["at_ns"]
    for vantage in range(VANTAGES):
        for at in range(MONO_START_NS + NS_PER_S, truth.until_ns, 2 * NS_PER_S):
            data = {"node": _name(vantage), "sent_ns": at, "received_ns": at + NS_PER_MS,
                    "node_mono_ns": at + NS_PER_MS // 3 + (vantage + 1) * OFFSET_NS,
                    "node_wall_ns": at + wall_minus_mono}  # fmt: skip
            events.append({"seq": 0, "at_ns": at + NS_PER_MS, "wall_ns": at + wall_minus_mono,
                           "kind": kinds.CLOCK, "data": data})  # fmt: skip
    events.sort(key=lambda event: event["at_ns"])
    lines = [dump_line({**event, "seq": seq}) for seq, event in enumerate(events)]
    (directory / EVENTS).write_text("".join(lines), encoding="utf-8")


def _stream(truth: Truth, vantage: int, number: int, probe: str, target: str) -> Iterator[bytes]:
    """One sampler's lines; what each saw follows from the truth of the synthetic run."""
    random = Random(vantage * len(LOOKS) + number)  # noqa: S311 - reproducible, not secret
    both = '{"addresses":["198.18.10.12","198.18.20.12"],"rcode":"NOERROR","ttl":5}'
    london = '{"addresses":["198.18.20.12"],"rcode":"NOERROR","ttl":5}'
    page = '{"address":"198.18.20.12","server":"lon-2","site":"london","status":200}'
    gone = truth.onset_ns + truth.withdrawn_ns.get(target, 5 * NS_PER_S)
    offset, begin = (vantage + 1) * OFFSET_NS, truth.probes_ns + random.randrange(PERIOD_NS)
    for seq, start in enumerate(range(begin, truth.until_ns, PERIOD_NS)):
        spent = random.randrange(2 * NS_PER_MS, 20 * NS_PER_MS)
        ok, value, reason = "true", page, ""
        since = start - truth.onset_ns
        if KINDS[probe] == "dns":
            value = london if gone <= start < truth.end_ns else both
            failed = target == "fra-2" and since >= 0 and start < truth.end_ns
        else:
            failed = any(a <= since < b for a, b in truth.users_ns) or not seq % FAILED_ONE_IN
        if failed:
            ok, value, reason = "false", "{}", "timeout: 100 ms"
        yield (
            f'{{"end_ns":{start + spent + offset},"node":"{_name(vantage)}","ok":{ok},'
            f'"probe":"{probe}","reason":"{reason}","seq":{seq},"start_ns":{start + offset},'
            f'"target":"{target}","value":{value}}}\n'
        ).encode()


def main(directory: Path) -> int:
    """Finish the run in ``directory``/run, in this process, and say what it cost."""
    from gameday.report.finish import finish_run
    from gameday.report.keygen import generate
    from gameday.report.sign import load_signing_key

    key = directory / "key"
    if not key.exists():
        generate("bench", b"", key)
    report = finish_run(directory / "run", load_signing_key(key))
    unknown = [o["name"] for o in report["objectives"] if o["judgement"] == "unknown"]
    if unknown:
        sys.stderr.write(f"not measured: {unknown}\n")
        return 1
    used = resource.getrusage(resource.RUSAGE_SELF)
    found = {"samples": report["run"]["samples"], "cpu_s": used.ru_utime + used.ru_stime,
             "memory_mb": used.ru_maxrss // 1024}  # fmt: skip
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
