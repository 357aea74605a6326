#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every test. Stops before the first one where the lab cannot run, so that nothing is skipped
# unseen: tests/unit alone runs anywhere, with .venv/bin/pytest tests/unit.
set -euo pipefail
cd "$(dirname "$0")/.."
.venv/bin/gameday lab check
# The unit tests come first: they fail within seconds.
.venv/bin/pytest -n 2 tests/unit

# Then four lanes side by side, which mostly wait: the lab; kernels of their own; a node that boots
# systemd; databases in places of their own, and then a second lab for what is not about time.
# Last, alone, what measures time itself and shall not measure the other lanes.
node=(tests/uml/test_systemd.py tests/uml/test_units.py tests/uml/test_reboot.py
    tests/uml/test_schedule.py tests/uml/test_prepared.py)
data=(tests/lab/test_data_real.py tests/lab/test_databases.py)
second=(tests/lab/test_anycast.py tests/lab/test_bad_input.py tests/lab/test_backends.py
    tests/lab/test_nodes.py tests/lab/test_power.py tests/lab/test_process.py
    tests/lab/test_prometheus_evidence.py tests/lab/test_story.py tests/lab/test_sweep.py
    tests/lab/test_upload.py)
last=(tests/uml/test_shaping.py tests/lab/test_accuracy.py tests/lab/test_reproduce.py
    tests/lab/test_search.py tests/lab/test_slow_paths.py tests/lab/test_workers.py)
logs=$(mktemp -d)
lanes=()
# Their machines and nodes die with them.
trap 'kill "${lanes[@]}" 2>/dev/null || true; rm -rf "$logs"' EXIT

lane() { # name, arguments of pytest
    .venv/bin/pytest -p no:cacheprovider --durations=12 "${@:2}" >"$logs/$1" 2>&1 &
    lanes+=($!)
}

ended() { # place of the lane
    wait "${lanes[$1]}" || failed=$?
}

failed=0
echo "four lanes, about 20 minutes; meanwhile: tail -f $logs/*"
lane data "${data[@]}"
lane kernels tests/uml "${node[@]/#/--ignore=}" "${last[@]/#/--ignore=}"
lane node "${node[@]}"
lane lab tests/lab "${data[@]/#/--ignore=}" "${second[@]/#/--ignore=}" "${last[@]/#/--ignore=}"
ended 0
GAMEDAY_TEST_LAB=second lane second "${second[@]}"
for place in 1 2 3 4; do ended "$place"; done
cat "$logs/node" "$logs/kernels" "$logs/data" "$logs/lab" "$logs/second"
.venv/bin/pytest -p no:cacheprovider "${last[@]}" || failed=$?
exit "$failed"
