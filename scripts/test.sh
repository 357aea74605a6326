#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every test. Stops before the first one where the lab cannot run, so that nothing is skipped
# unseen: tests/unit alone runs anywhere, with .venv/bin/pytest tests/unit.
set -euo pipefail
cd "$(dirname "$0")/.."
.venv/bin/gameday lab check
# The unit tests come first: they fail within seconds.
.venv/bin/pytest tests/unit

# Then three side by side, which mostly wait: the lab, kernels of their own, and a node that boots
# systemd. (pytest-xdist's groups would do the same, but 3.8 does not see them under pytest 9.2.)
node=(tests/uml/test_systemd.py tests/uml/test_units.py tests/uml/test_reboot.py)
logs=$(mktemp -d)
lanes=()
# Their machines and nodes die with them.
trap 'kill "${lanes[@]}" 2>/dev/null || true; rm -rf "$logs"' EXIT

lane() { # name, arguments of pytest
    local name=$1
    shift
    .venv/bin/pytest -p no:cacheprovider "$@" >"$logs/$name" 2>&1 &
    lanes+=($!)
}

lane node "${node[@]}"
lane kernels tests/uml "${node[@]/#/--ignore=}"
failed=0
.venv/bin/pytest tests/lab || failed=$?
for pid in "${lanes[@]}"; do
    wait "$pid" || failed=$?
done
cat "$logs/node" "$logs/kernels"
exit "$failed"
