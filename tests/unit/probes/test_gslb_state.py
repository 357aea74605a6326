# SPDX-License-Identifier: Apache-2.0
"""gdnsd's states as gdnsdctl 3.8.1 printed them, and a gdnsdctl that fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from gameday.clock import NS_PER_MS
from gameday.probes import gslb_state
from gameday.probes.base import Failed, Outcome, Schedule, Target

PRINTED = """{
\t"10.9.0.2/web": {"state": "DOWN", "real_state": "DOWN"},
\t"10.9.0.3/web": {"state": "UP", "real_state": "DOWN"}
}
"""


def look(gdnsdctl: str, timeout_ms: int = 5000) -> Outcome:
    params = gslb_state.GslbStateParams("/nowhere", gdnsdctl)
    schedule = Schedule(250 * NS_PER_MS, timeout_ms * NS_PER_MS)
    return gslb_state.PROBE.sampler(params, "lon-2", Target("lon-2", ()), schedule)()


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_states() -> None:
    assert gslb_state.states_of(PRINTED) == {
        "up": ["10.9.0.3/web"], "down": ["10.9.0.2/web"], "forced": ["10.9.0.3/web"],
        "addresses_up": ["10.9.0.3"],
    }  # fmt: skip
    for odd in ("", "[]", '{"a": {}}'):
        with pytest.raises((ValueError, KeyError, AttributeError)):
            gslb_state.states_of(odd)


def test_failures_have_reasons(tmp_path: Path) -> None:
    refused = script(tmp_path / "a", "echo 'error: connect() to socket /x failed' >&2; exit 1")
    found = look(refused)
    assert isinstance(found, Failed) and "connect() to socket /x failed" in found.reason
    found = look(str(tmp_path / "none"))
    assert found == Failed("network: No such file or directory")
    found = look(script(tmp_path / "b", "exec sleep 20"), 100)
    assert found == Failed("timeout: 100 ms")
    found = look(script(tmp_path / "c", "echo nonsense"))
    assert isinstance(found, Failed) and found.reason.startswith("protocol:")
