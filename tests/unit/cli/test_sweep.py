# SPDX-License-Identifier: Apache-2.0
"""What ``gameday sweep`` says, and when it calls an estate clean."""

from __future__ import annotations

from pathlib import Path

import pytest

from gameday.cli.main import cli
from gameday.cli.sweep import done_lines, look_lines
from gameday.conduct.sweep import Swept, require_clean
from gameday.errors import EXIT_NOT_CLEAN, InvalidInput, NotProvenClean

CLEAN = Swept("a", True)
LEFT = Swept("b", True, left=("ipset gd-1: remove with `ipset destroy gd-1`",))
SPARED = Swept("c", True, spared=("lease 1 (noop) of r ends in 9 s; its run may be alive",))
SILENT = Swept("d", False, left=("not read back: no answer",))


def test_clean_is_clean() -> None:
    require_clean([CLEAN, Swept("b", True, done=("lease 1 of r",))])


@pytest.mark.parametrize("one", [LEFT, SPARED, SILENT])
def test_anything_else_is_not_proven_clean(one: Swept) -> None:
    with pytest.raises(NotProvenClean) as caught:
        require_clean([CLEAN, one])
    assert caught.value.exit_code == EXIT_NOT_CLEAN
    assert caught.value.problems[0].startswith(f"{one.node}: ")


def test_spared_leases_name_the_way_to_end_them() -> None:
    with pytest.raises(NotProvenClean) as caught:
        require_clean([SPARED])
    assert "--force" in caught.value.problems[0]


def test_lines() -> None:
    assert look_lines([CLEAN, LEFT, SILENT]) == [f"b: {LEFT.left[0]}"]
    told = done_lines([Swept("b", True, done=("x",), trouble=("y",))])
    assert told == ["b: ended x", "b: trouble: y"]


@pytest.mark.parametrize(
    ("more", "told"), [([], "no site names a cluster"), (["e-1"], "looks at no node")]
)
def test_clusters_that_nobody_names(more: list[str], told: str) -> None:
    estate = Path(__file__).parents[2] / "cases" / "inventory" / "estate.ini"
    with pytest.raises(InvalidInput, match=told):
        cli.main(["sweep", "--clusters", "-i", str(estate), *more], standalone_mode=False)
