#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A search and a reproduction from end to end: a quarter of an hour of slowed paths. Not part of
# scripts/test.sh, for the time that they take; both are to be run when anything of them changes.
set -euo pipefail
cd "$(dirname "$0")/.."
.venv/bin/gameday lab check
.venv/bin/pytest -p no:cacheprovider --durations=5 tests/lab/test_search.py tests/lab/test_reproduce.py
