# SPDX-License-Identifier: Apache-2.0
"""A signing key and a signed run, made once; tests that change a run copy it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gameday.report.finish import finish_run
from gameday.report.keygen import NewKey, generate
from gameday.report.sign import SigningKey, load_signing_key
from tests.unit.report import searches
from tests.unit.synthetic import write_run


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> NewKey:
    """A key of operator@controller, trusted by its own allowed_signers."""
    path = tmp_path_factory.mktemp("key") / "signing_key"
    return generate("operator@controller", path=path)


@pytest.fixture(scope="session")
def signed(key: NewKey, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A signed run that no test may change."""
    directory = tmp_path_factory.mktemp("signed") / "run"
    write_run(directory)
    finish_run(directory, load_signing_key(key.private))
    return directory


@pytest.fixture
def run(signed: Path, tmp_path: Path) -> Path:
    """A copy of the signed run."""
    return Path(shutil.copytree(signed, tmp_path / "run"))


@pytest.fixture(scope="session")
def signing(key: NewKey) -> SigningKey:
    """The key, to sign with."""
    return load_signing_key(key.private)


@pytest.fixture(scope="session")
def _search(signing: SigningKey, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return searches.search(tmp_path_factory.mktemp("search") / "search", signing)


@pytest.fixture
def searched(_search: Path, tmp_path: Path) -> Path:
    """A copy of a signed search of two runs."""
    return Path(shutil.copytree(_search, tmp_path / "search"))
