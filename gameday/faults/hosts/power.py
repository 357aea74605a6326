# SPDX-License-Identifier: Apache-2.0
"""Power of machines: of others through their BMCs, of this one through sysrq.

A *system* is JSON: "node" (its name in the inventory), "url" (of its BMC), and where to find
the credentials: "credentials_file", or "user_env" and "password_env"; "ca_file" may be "".
Never the credentials themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Mapping, Protocol, Sequence, Tuple

System = Mapping[str, Any]


@dataclass(frozen=True)
class Supply:
    """What a BMC says of its machine.

    Attributes:
        state: "On", "Off", "PoweringOn", "PoweringOff"; empty where it was not read.
        policy: what the BMC does when mains power returns ("AlwaysOn", "LastState",
            "AlwaysOff"); empty where it does not tell.
        resets: kinds of reset that it allows. uuid: of the machine.
        error: why it was not read; never holds credentials.
    """

    state: str = ""
    policy: str = ""
    resets: Tuple[str, ...] = ()
    uuid: str = ""
    error: str = ""


class Power(Protocol):
    """BMCs, all of a call at once, and this machine's own end."""

    def supplies(self, systems: Sequence[System]) -> Dict[str, Supply]:
        """What each system's BMC says, by node."""

    def reset(self, systems: Sequence[System], kinds: Sequence[str]) -> Dict[str, str]:
        """Ask for the first of the kinds that each BMC allows; by node why not, "" where done."""

    def own_uuid(self) -> str:
        """This machine's own UUID; "" where it is not to be had."""

    def sysrq_refusal(self) -> str:
        """Why sysrq must not be used here; "" where it may."""

    def sysrq(self, letter: str) -> None:
        """Write one letter to the kernel's sysrq trigger: this machine may be gone then."""
