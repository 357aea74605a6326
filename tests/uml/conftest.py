# SPDX-License-Identifier: Apache-2.0
"""One user-mode-linux for all tests of this directory, booted once; it needs root."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from gameday.lab import system
from tests.guarantee.machine import SystemdMachine
from tests.uml.harness import Machine


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests below this directory are marked."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.uml)


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """The machine; it boots with the first job."""
    if os.geteuid() != 0:
        pytest.fail("these tests need root; without it run: .venv/bin/pytest tests/unit")
    if not shutil.which("linux.uml", path=system.PATH):
        pytest.fail("user-mode-linux is missing: apt-get install user-mode-linux")
    one = Machine(tmp_path_factory.mktemp("uml") / "machine")
    try:
        yield one
    finally:
        one.down()


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SystemdMachine]:
    """A node that is up, with a service to hit."""
    with _up(tmp_path_factory.mktemp("systemd") / "node") as one:
        yield one


@pytest.fixture(autouse=True)
def _booted(request: pytest.FixtureRequest) -> None:
    """A test that killed the node, or was too slow for it, shall not fail all that come after."""
    if "node" in request.fixturenames:
        node: SystemdMachine = request.getfixturevalue("node")
        node.up()


@pytest.fixture
def own_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SystemdMachine]:
    """Another one, for a test that takes from a node what others rely on."""
    with _up(tmp_path_factory.mktemp("own") / "node") as one:
        yield one


@contextlib.contextmanager
def _up(directory: Path) -> Iterator[SystemdMachine]:
    one = SystemdMachine(directory)
    try:
        one.up()
        yield one
    finally:
        one.down()
