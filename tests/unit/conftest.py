# SPDX-License-Identifier: Apache-2.0
"""Unit tests run anywhere, in seconds, without root."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

# That a machine is busy is no finding.
settings.register_profile("gameday", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("gameday")


@pytest.fixture(autouse=True)
def logs_of_each_test() -> Iterator[None]:
    """A command line's logs go to its own standard error, which is closed after its test."""
    yield
    structlog.reset_defaults()
