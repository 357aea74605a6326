# SPDX-License-Identifier: Apache-2.0
"""As many nodes as an estate has, simulated by a few processes in one network namespace.

The namespace has the loopback interface and nothing else; all nodes' management addresses are
local there. Controller and workers are moved into it, so no packet leaves it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gameday.lab import nodes, system
from tests.bench.estate import CONTROLLER, MANAGEMENT, Estate

ROOT = Path(__file__).resolve().parents[2]
NODES_PER_PROCESS = 125
"""Python threads of one process share a core; nodes of a real estate share nothing."""


class SimulatedEstate(Estate):
    """An estate whose nodes are prepared, and simulated; see ``tests.bench.simulated``."""

    def _start(self) -> None:
        self.state.mkdir(parents=True)
        client = self.state / "id_ed25519"
        nodes.make_key(client, "gameday-bench")
        allowed = " ".join(client.with_suffix(".pub").read_text(encoding="ascii").split()[:2])
        keys = {name: Ed25519PrivateKey.generate() for name in self.names}
        known = [f"{self.address(name)} {_public(key)}\n" for name, key in keys.items()]
        (self.state / "known_hosts").write_text("".join(known), encoding="ascii")
        self.inventory.write_text(self._inventory(), encoding="utf-8")
        self.pids["ctl"] = self._spawn("ctl", ["unshare", "--net", "sleep", "infinity"])
        system.wait_own_netns(self.pids["ctl"])
        system.ip_batch(self.pids["ctl"], f"link set lo up\naddr add {CONTROLLER}/32 dev lo\n"
                        f"route add local {MANAGEMENT} dev lo src {CONTROLLER}\n")  # fmt: skip
        for number, names in enumerate(_parts(self.names)):
            part = f"part{number}"
            spec = {"key": allowed, "home": str(self.state / "nodes"), "nodes": [
                {"name": name, "address": self.address(name), "host_key": _private(keys[name])}
                for name in names
            ]}  # fmt: skip
            path = self.state / f"{part}.json"
            path.touch(mode=0o600)
            path.write_text(json.dumps(spec), encoding="ascii")
            enter = ["nsenter", f"--net=/proc/{self.pids['ctl']}/ns/net"]
            argv = [*enter, sys.executable, "-m", "tests.bench.simulated", str(path)]
            self.pids[part] = self._spawn(part, argv, {"PYTHONPATH": str(ROOT)})
        self._wait_ready()

    def _log_of(self, name: str) -> Path:
        place = next(n for n, names in enumerate(_parts(self.names)) if name in names)
        return self.state / f"part{place}.log"


def _parts(names: list[str]) -> list[list[str]]:
    """Names by the process that answers for them."""
    return [names[at : at + NODES_PER_PROCESS] for at in range(0, len(names), NODES_PER_PROCESS)]


def _public(key: Ed25519PrivateKey) -> str:
    public = key.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH)
    return public.decode()


def _private(key: Ed25519PrivateKey) -> str:
    nothing = form.NoEncryption()
    private = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.OpenSSH, nothing)
    return private.decode()
