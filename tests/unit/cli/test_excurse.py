# SPDX-License-Identifier: Apache-2.0
"""What ``gameday excurse`` adds to an error of the run."""

from __future__ import annotations

import pytest

from gameday.cli.excurse import _other_place
from gameday.errors import CannotRun

LACKS = "fra-1: netem is not available: the kernel needs the module sch_prio"


@pytest.mark.parametrize(
    ("at", "problem", "hinted"),
    [((), LACKS, True), (("fra-rtr",), LACKS, False), ((), "fra-1: cannot connect", False)],
)
def test_a_router_is_named_where_nodes_cannot_be_shaped(
    at: tuple[str, ...], problem: str, hinted: bool
) -> None:
    with pytest.raises(CannotRun) as caught, _other_place(at):
        raise CannotRun("the estate is not ready", problems=[problem])
    assert ("--at ROUTER" in caught.value.hint) is hinted
