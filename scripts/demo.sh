#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The drill from nothing to a signed report. Leaves the lab up: a second run starts sooner.
set -euo pipefail
cd "$(dirname "$0")/.."
.venv/bin/gameday keygen --if-missing
.venv/bin/gameday lab up
.venv/bin/gameday run experiments/wan-partition-frankfurt.yaml -i inventory/lab.yaml --yes
