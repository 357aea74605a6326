#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every test. Stops before the first one where the lab cannot run, so that nothing is skipped
# unseen: tests/unit alone runs anywhere, with .venv/bin/pytest tests/unit.
set -euo pipefail
cd "$(dirname "$0")/.."
.venv/bin/gameday lab check
# The unit tests come first: they fail within seconds.
exec .venv/bin/pytest tests/unit tests/uml tests/lab "$@"
