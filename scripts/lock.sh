#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Pins and hashes all dependencies of pyproject.toml, the development ones and the build backend
# included, into requirements.lock. Needs uv. To move one package on: scripts/lock.sh -P paramiko
set -euo pipefail
cd "$(dirname "$0")/.."
command -v uv >/dev/null || { echo "lock: uv is missing; python3 -m pip install uv" >&2; exit 3; }
uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
    --no-header --no-annotate --quiet --output-file requirements.lock "$@"
sed -i '1i # Made from pyproject.toml by scripts/lock.sh; all platforms, Python 3.11 and newer.' \
    requirements.lock
