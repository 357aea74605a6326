# SPDX-License-Identifier: Apache-2.0
"""Unit tests run anywhere, in seconds, without root."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# That a machine is busy is no finding.
settings.register_profile("gameday", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("gameday")
