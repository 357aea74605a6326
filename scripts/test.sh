#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every test. Stops before the first one where the lab cannot run, so that nothing is skipped
# unseen: tests/unit alone runs anywhere, with .venv/bin/pytest tests/unit.
set -euo pipefail
cd "$(dirname "$0")/.."
.venv/bin/gameday lab check
# The unit tests come first: they fail within seconds.
.venv/bin/pytest tests/unit -n 2 "$@"
# Two workers: one has the lab, one the user-mode-linux machines. Both mostly wait.
exec .venv/bin/pytest tests/uml tests/lab -n 2 --dist loadgroup "$@"
