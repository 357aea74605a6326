# SPDX-License-Identifier: Apache-2.0
"""A lease on a real kernel through either iptables back end, in a namespace of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import json, sys
from gameday import clock
from gameday.agent.system.host import RealHost
from gameday.faults import TABLE
from gameday.record.types import Lease

host, fault = RealHost(), TABLE["partition"]
now = clock.wall_ns() // clock.NS_PER_S
spec = {"from": ["127.0.0.9", "fd00::9"], "to": ["127.0.0.8"], "exempt": ["10.0.0.0/8"],
        "match": "", "table": "raw", "action": "drop", "mechanism": "netfilter"}
lease = Lease("1a2b3c4d", "run", "here", "cut", "partition", spec,
              (now + 2) * clock.NS_PER_S, (now + 4) * clock.NS_PER_S)
before = fault.before(lease, host)
fault.arm(lease, before, host)
states, counts = [], []
for at in (now + 1, now + 3, now + 4.5):
    clock.sleep_until_mono(clock.mono_ns() + int(at * clock.NS_PER_S) - clock.wall_ns())
    found = fault.observe(lease, before, host)
    states.append(found.state)
    counts.append(ping())
done = fault.disarm(lease, before, host)
after = fault.observe(lease, before, host)
sys.stdout.write(json.dumps({"backend": host.iptables.backend, "states": states, "replies": counts,
                  "after": after.state, "foreign_changed": list(after.foreign_changed),
                  "again": fault.disarm(lease, before, host), "sets": list(host.ipset_names())}))
"""

PING = """
import subprocess
def ping():
    argv = ["ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", "-I", "127.0.0.9", "127.0.0.1"]
    return subprocess.run(argv, capture_output=True, text=True).stdout.count("bytes from 127")
"""


def in_namespace(backend: str) -> dict[str, Any]:
    """Arm, watch and disarm beside a rule that somebody else made through ``backend``."""
    foreign = f"iptables-{backend} -A INPUT -p tcp --dport 9999 -j DROP"
    save = f"iptables-{backend}-save | grep -v '^#' | sed 's/ \\[.*//'"
    shell = (
        f"ip link set lo up; {foreign}; {save} > $T/before; "
        f"SSH_CONNECTION='10.0.0.1 1 10.0.0.2 22' sh -c '$PY $T/script.py; true' > $T/out; "
        f"{save} > $T/after; cat $T/out"
    )
    directory = Path(subprocess.run(["mktemp", "-d"], capture_output=True, text=True,
                                    check=True).stdout.strip())  # fmt: skip
    (directory / "script.py").write_text(PING + SCRIPT)
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", shell], capture_output=True, text=True, check=False,
        timeout=60, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "T": str(directory),
                         "PY": sys.executable, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0 and done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    found["saved"] = [(directory / name).read_text() for name in ("before", "after")]
    return found


@pytest.mark.parametrize("backend", ["nft", "legacy"])
def test_window_and_restoration(backend: str) -> None:
    found = in_namespace(backend)
    assert found["backend"] == backend, "the back end that carries rules is the one to use"
    assert found["states"] == ["armed", "active", "armed"]
    assert found["replies"] == [2, 0, 2], "the kernel opens and closes the window by itself"
    assert found["after"] == "absent" and found["foreign_changed"] == []
    assert found["again"] == [] and found["sets"] == []
    before, after = found["saved"]
    assert "9999" in before
    if backend == "legacy":
        # The legacy back end cannot drop a table once used; an empty one says nothing.
        after = after.replace("*raw\n:PREROUTING ACCEPT\n:OUTPUT ACCEPT\nCOMMIT\n", "")
    assert after == before
