# SPDX-License-Identifier: Apache-2.0
"""One lab for all tests of this directory, brought up once; it needs root.

Tests look at the lab through ``Lab.exec`` and plain ``ping``, never through gameday's own
agent: the truth must not come from what is tested.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from gameday.lab import Lab
from tests.lab.clusters import KUBE_PARTS, Clusters
from tests.lab.drill import Drill

NAME = f"test_{zlib.crc32(bytes(Path(__file__).parent)):08x}"
"""A lab per checkout: nobody takes another's down."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests below this directory are lab tests."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.lab)


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """A lab of its own, beside any that is up already."""
    if os.geteuid() != 0:
        pytest.fail("lab tests need root; without it run: .venv/bin/pytest tests/unit")
    one = Lab(NAME)
    one.down()
    one.up()
    yield one
    one.down()


@pytest.fixture(scope="session")
def kube_lab() -> Iterator[Lab]:
    """One with a cluster per site; without what tests of those do not need."""
    one = Lab(f"{NAME}_kubernetes")
    one.down()
    one.up(**KUBE_PARTS)
    yield one
    one.down()


@pytest.fixture
def clusters(kube_lab: Lab) -> Iterator[Clusters]:
    """Their APIs, asked beside gameday."""
    one = Clusters(kube_lab)
    yield one
    one.close()


@pytest.fixture
def drill(lab: Lab, tmp_path: Path) -> Iterator[Drill]:
    """gameday as a user has it: own key, own reports, the lab's inventory; a healthy lab."""
    lab.up()
    one = Drill(lab, tmp_path)
    yield one
    one.close()
