# SPDX-License-Identifier: Apache-2.0
"""Logs: structured lines on standard error, off by default; the journal is the evidence."""

from __future__ import annotations

import logging
import sys


def configure(level: str) -> None:
    """Send log lines of ``level`` and above to standard error, one JSON object each."""
    import structlog

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(sort_keys=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
