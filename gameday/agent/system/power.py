# SPDX-License-Identifier: Apache-2.0
"""The real ``Power`` of ``gameday.faults.hosts.power``.

BMCs are reached from the controller's host only; ``power_redfish`` and the library behind it
are imported there, on first use.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Dict, Sequence, Tuple

from gameday.agent import vigil
from gameday.agent.system.command import Check
from gameday.errors import NodeError
from gameday.faults.hosts.power import Supply, System

TRIGGER = Path("/proc/sysrq-trigger")
UUID = Path("/sys/class/dmi/id/product_uuid")

INITIAL_NAMESPACES = {"pid": "pid:[4026531836]", "uts": "uts:[4026531838]"}
"""Numbers that the kernel gives to the namespaces it boots with (include/linux/proc_ns.h)."""


def use_site_packages() -> None:
    """Make the libraries of this interpreter's environment importable, as without ``-I -S``."""
    import site

    site.main()


def _look_for_redfish() -> None:
    if not vigil.LOCAL:
        raise NodeError("BMCs are reached from the controller's host, not from nodes")
    use_site_packages()
    if importlib.util.find_spec("sushy") is None:
        raise NodeError("the library sushy is not installed")


def _look_for_sysrq() -> None:
    refusal = RealPower().sysrq_refusal()
    if refusal:
        raise NodeError(refusal)


CHECKS: Tuple[Check, ...] = (
    Check("redfish", _look_for_redfish, "install gameday with the extra: gameday[power]"),
    Check("sysrq", _look_for_sysrq, "it works on real machines and virtual ones only"),
)


class RealPower:
    """This machine, and the BMCs that it reaches."""

    def supplies(self, systems: Sequence[System]) -> Dict[str, Supply]:
        """See ``Power``."""
        from gameday.agent.system import power_redfish

        use_site_packages()
        return power_redfish.supplies(systems)

    def reset(self, systems: Sequence[System], kinds: Sequence[str]) -> Dict[str, str]:
        """See ``Power``."""
        from gameday.agent.system import power_redfish

        use_site_packages()
        return power_redfish.reset(systems, kinds)

    def own_uuid(self) -> str:
        """See ``Power``; only root may read it."""
        try:
            return UUID.read_text(encoding="ascii").strip()
        except OSError:
            return ""

    def sysrq_refusal(self) -> str:
        """See ``Power``: in a container the trigger would hit the machine below it."""
        if vigil.LOCAL:
            return "this is the controller's host"
        for kind, number in INITIAL_NAMESPACES.items():
            if os.readlink(f"/proc/self/ns/{kind}") != number:
                return "this node is a container: the machine below it would be hit"
        if not os.access(TRIGGER, os.W_OK):
            return f"{TRIGGER} cannot be written"
        return ""

    def sysrq(self, letter: str) -> None:
        """See ``Power``.

        Raises:
            NodeError: where it must not be used here, or the kernel refuses.
        """
        refusal = self.sysrq_refusal()
        if refusal:
            raise NodeError(f"sysrq: {refusal}")
        try:
            TRIGGER.write_text(letter, encoding="ascii")
        except OSError as error:
            raise NodeError(f"sysrq: {error}") from error
