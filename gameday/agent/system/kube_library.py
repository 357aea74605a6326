# SPDX-License-Identifier: Apache-2.0
"""Imported by guards a moment before they ask an API server: the library takes its time."""

from __future__ import annotations

from gameday.probes.kube_client import library

LIBRARY = library()
