# SPDX-License-Identifier: Apache-2.0
"""Makes ``tests`` importable, so that test modules share helpers by their full name."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
