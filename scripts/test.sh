#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every test, about an hour. Stops before the first one where the lab cannot run, so that nothing
# is skipped unseen: tests/unit alone runs anywhere, with .venv/bin/pytest tests/unit.
set -euo pipefail
cd "$(dirname "$0")/.."
.venv/bin/gameday lab check
# The unit tests come first: they fail within seconds.
.venv/bin/pytest -n 2 tests/unit

# Then two lanes side by side, one for each core of a small machine: kernels, which mostly wait, with
# databases in places of their own; and the lab. More lanes starve what the tests watch.
# Last, alone, what measures time itself and shall not measure another lane.
data=(tests/lab/test_data_real.py tests/lab/test_databases.py)
last=(tests/uml/test_shaping.py tests/lab/test_accuracy.py tests/lab/test_slow_paths.py
    tests/lab/test_workers.py tests/lab/test_reproduce.py tests/lab/test_search.py)
logs=$(mktemp -d)
lanes=()
# Their machines and nodes die with them.
trap 'kill "${lanes[@]}" 2>/dev/null || true; rm -rf "$logs"' EXIT

lane() { # name, arguments of pytest
    .venv/bin/pytest -p no:cacheprovider --durations=20 "${@:2}" >"$logs/$1" 2>&1 &
    lanes+=($!)
}

ended() { # place of the lane, its name
    wait "${lanes[$1]}" || failed=$?
    cat "$logs/$2"
}

failed=0
echo "two lanes, about 40 minutes; meanwhile: tail -f $logs/*"
lane kernels tests/uml "${data[@]}" "${last[@]/#/--ignore=}"
lane lab tests/lab "${data[@]/#/--ignore=}" "${last[@]/#/--ignore=}"
ended 1 lab
# API servers take the place of the lab.
lane kube tests/kube
ended 0 kernels
ended 2 kube
.venv/bin/pytest -p no:cacheprovider --durations=20 "${last[@]}" || failed=$?
exit "$failed"
