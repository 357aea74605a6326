# SPDX-License-Identifier: Apache-2.0
"""One API server for all tests of this directory: Kubernetes 1.20, not a supported version."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kube.apiserver import ApiServer


@pytest.fixture(scope="session")
def apiserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """Shared: a test uses names of its own, and leaves the server running."""
    with ApiServer(tmp_path_factory.mktemp("apiserver") / "server") as server:
        yield server
