#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every test but those of scripts/test-paths.sh, about an hour. Stops before the first one where the lab cannot run, so that nothing is skipped
# unseen: tests/unit alone runs anywhere, with .venv/bin/pytest tests/unit.
set -euo pipefail
cd "$(dirname "$0")/.."
.venv/bin/gameday lab check
# The unit tests come first: they fail within seconds.
.venv/bin/pytest -n 2 tests/unit

# The others go one after another: they watch time, and two of them at once starve each other on a
# machine of two cores. All are run, whatever fails.
data=(tests/lab/test_data_real.py tests/lab/test_databases.py)
apart=(tests/lab/test_search.py tests/lab/test_reproduce.py)
failed=0
.venv/bin/pytest -p no:cacheprovider --durations=20 tests/uml "${data[@]}" || failed=$?
.venv/bin/pytest -p no:cacheprovider --durations=20 tests/lab "${data[@]/#/--ignore=}" \
    "${apart[@]/#/--ignore=}" || failed=$?
exit "$failed"
