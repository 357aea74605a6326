# SPDX-License-Identifier: Apache-2.0
"""Read and change packet filter rules, through whichever iptables back end the node uses.

A node can have both back ends installed, and rules put into the one that nobody else uses
still work; but reading back and comparing must see what the node's CNI sees. The choice
follows the one that Kubernetes' own iptables-wrappers make: the back end that carries the
kubelet's hint chains, else the one with more rules, else the node's default.
"""

from __future__ import annotations

import re
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from gameday.agent.system.command import find, run
from gameday.agent.system.emptyns import in_empty_namespace
from gameday.errors import NodeError

KUBELET_CHAINS = (":KUBE-IPTABLES-HINT ", ":KUBE-KUBELET-CANARY ")
WORD = re.compile(r'^\[(\d+):\d+\] .*--comment "?gameday:([0-9a-f]{8}):([a-z-]+)"?')
LOCK_WAIT_S = "5"


class Iptables:
    """The node's iptables, one instance per process; the back end is chosen once."""

    def __init__(self) -> None:
        self._backend: Optional[str] = None

    @property
    def backend(self) -> str:
        """ "nft" or "legacy"; "" where there is no iptables."""
        if self._backend is None:
            self._backend = _choose()
        return self._backend

    def tool(self, family: int, verb: str) -> str:
        """Name of the program for ``save`` or ``restore`` and a family, of the chosen back end."""
        base = "iptables" if family == 4 else "ip6tables"
        chosen = f"{base}-{self.backend}-{verb}"
        return chosen if find(chosen) else f"{base}-{verb}"

    def saved(self, family: int, counters: bool = False) -> Dict[str, Tuple[str, ...]]:
        """Chains and rules per table; packet counts in front of rules where asked for.

        Empty where the node has no iptables: a lease cannot have left anything there.
        """
        if not self.backend:
            return {}
        argv = [self.tool(family, "save"), *(["-c"] if counters else [])]
        return parse_save(run(argv))

    def restore(self, family: int, batch: str) -> None:
        """Apply a batch atomically, leaving everything it does not name."""
        run([self.tool(family, "restore"), "--noflush", "-w", LOCK_WAIT_S], stdin=batch)

    def try_batch(self, family: int, batch: str) -> None:
        """Apply a batch in a network namespace that is thrown away; raises NodeError."""
        tool = self.tool(family, "restore")
        in_empty_namespace(lambda: run([tool, "--noflush"], stdin=batch))

    def counters(self, family: int, lease_id: str) -> Dict[str, int]:
        """Packets per comment word of one lease, summed over its rules."""
        return parse_counters(self.saved(family, counters=True), lease_id)


def parse_save(text: str) -> Dict[str, Tuple[str, ...]]:
    """Lines of ``iptables-save`` per table; policies' counters are cut off, order is kept."""
    tables: Dict[str, List[str]] = {}
    current: List[str] = []
    for line in text.splitlines():
        if line.startswith("*"):
            current = tables.setdefault(line[1:].strip(), [])
        elif line.startswith(":"):
            current.append(line.rsplit(" [", 1)[0])
        elif line.startswith(("-", "[")):
            current.append(line)
    return {table: tuple(lines) for table, lines in tables.items()}


def parse_counters(tables: Mapping[str, Sequence[str]], lease_id: str) -> Dict[str, int]:
    """Sum of packets per word in ``gameday:<lease>:<word>`` comments."""
    found: Dict[str, int] = {}
    for lines in tables.values():
        for line in lines:
            match = WORD.match(line)
            if match and match.group(2) == lease_id:
                word = match.group(3)
                found[word] = found.get(word, 0) + int(match.group(1))
    return found


def _choose() -> str:
    found = {}
    for backend in ("legacy", "nft"):
        if find(f"iptables-{backend}-save"):
            try:
                found[backend] = run([f"iptables-{backend}-save"]).splitlines()
            except NodeError:
                # An installed back end whose kernel half is missing cannot be the one in use.
                continue
    for backend, lines in found.items():
        if any(line.startswith(KUBELET_CHAINS) for line in lines):
            return backend
    rules = {b: sum(1 for x in lines if x.startswith("-A")) for b, lines in found.items()}
    if rules.get("legacy", 0) != rules.get("nft", 0):
        return max(rules, key=lambda b: rules[b])
    if not find("iptables"):
        return ""
    default = "nft" if "nf_tables" in run(["iptables", "--version"]) else "legacy"
    if default == "nft" and "legacy" in found and not _works("nft"):
        # Some kernels have the old tables only, whatever the tools prefer.
        return "legacy"
    return default


def _works(backend: str) -> bool:
    """Whether the kernel takes a rule through a back end; tried where it changes nothing."""
    batch = "*raw\n:GD-probe - [0:0]\n-A GD-probe -j DROP\nCOMMIT\n"
    try:
        in_empty_namespace(lambda: run([f"iptables-{backend}-restore", "--noflush"], stdin=batch))
    except NodeError:
        return False
    return True
