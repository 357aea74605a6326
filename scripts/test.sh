#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every test. Stops before the first one where the lab cannot run, so that nothing is skipped
# unseen: tests/unit alone runs anywhere, with .venv/bin/pytest tests/unit.
set -euo pipefail
cd "$(dirname "$0")/.."
.venv/bin/gameday lab check
# The unit tests come first: they fail within seconds.
.venv/bin/pytest tests/unit

# Then the lab's and those on kernels of their own, side by side: both mostly wait. (pytest-xdist's
# groups would do the same, but 3.8 does not see them under pytest 9.2.)
log=$(mktemp)
.venv/bin/pytest tests/uml -p no:cacheprovider >"$log" 2>&1 &
uml=$!
# Its machines and nodes die with it.
trap 'kill "$uml" 2>/dev/null || true; rm -f "$log"' EXIT
failed=0
.venv/bin/pytest tests/lab || failed=$?
wait "$uml" || failed=$?
cat "$log"
exit "$failed"
