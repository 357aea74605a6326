# SPDX-License-Identifier: Apache-2.0
"""Writes the golden report anew: python -m tests.unit.report.renew_golden."""

from __future__ import annotations

from gameday.report.build import build_report, canonical
from tests.unit.report.test_build import GOLDEN
from tests.unit.synthetic import make_record

if __name__ == "__main__":
    GOLDEN.parent.mkdir(parents=True, exist_ok=True)
    GOLDEN.write_bytes(canonical(build_report(make_record(), "golden")))
