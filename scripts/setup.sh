#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing: Debian packages, then a virtual environment with pinned and hashed
# dependencies. Does nothing, quickly, where all is there. Exits 3 where it cannot go on, and says why.
#
#     scripts/setup.sh          everything
#     scripts/setup.sh python   the virtual environment only (enough for tests/unit)
#     scripts/setup.sh tests    everything, and a kube-apiserver, which takes 5 to 10 minutes once
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "setup: $*" >&2; }
stop() { say "$1"; shift; for line in "$@"; do echo "  -> $line" >&2; done; exit 3; }

POLICY=/usr/sbin/policy-rc.d

# ---- Debian packages ----

wanted_packages() { grep -v '^#' scripts/packages.txt; }

missing_packages() {
    local name
    for name in $(wanted_packages); do
        dpkg-query -W -f '${db:Status-Status}\n' "$name" 2>/dev/null | grep -qx installed ||
            echo "$name"
    done
}

# Daemons must not start, nor be enabled for the next boot: the lab runs its own, in namespaces.
forbid_starting() {
    [ -e "$POLICY" ] && return
    printf '#!/bin/sh\nexit 101\n' > "$POLICY"
    chmod 755 "$POLICY"
    trap 'rm -f "$POLICY"' EXIT
}

disable_units() {
    [ -d /run/systemd/system ] || return 0
    local unit
    for unit in $(dpkg -L "$@" | sed -n 's|.*/systemd/system/\([^/@]*\.\(service\|timer\|socket\)\)$|\1|p'); do
        if systemctl --quiet is-enabled "$unit" 2>/dev/null; then
            say "disabling $unit, which its package had just enabled"
            systemctl --quiet disable "$unit" || say "could not disable $unit"
        fi
    done
}

apt_install() {
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"
}

setup_packages() {
    command -v dpkg-query >/dev/null && command -v apt-get >/dev/null || stop \
        "this is not Debian or Ubuntu: there is no apt-get" \
        "install by other means what scripts/packages.txt lists, then run: scripts/setup.sh python"
    local missing
    mapfile -t missing < <(missing_packages)
    [ "${#missing[@]}" -gt 0 ] || return 0
    [ "$(id -u)" -eq 0 ] || stop "Debian packages are missing, and only root can install them" \
        "sudo apt-get install --no-install-recommends ${missing[*]}" \
        "or run the same make target as root; the lab needs root in any case"
    say "installing ${missing[*]}"
    forbid_starting
    local log updated=""
    log=$(mktemp)
    # The lists may be absent (a fresh image) or too old; they are fetched only then.
    if ! apt-cache show "${missing[@]}" >/dev/null 2>&1; then
        apt-get update -q >"$log" 2>&1 || { cat "$log" >&2; stop "apt-get update failed" \
            "check the network and /etc/apt/sources.list"; }
        updated=yes
    fi
    if ! apt_install "${missing[@]}" >"$log" 2>&1; then
        [ -n "$updated" ] || { apt-get update -q && apt_install "${missing[@]}"; } >"$log" 2>&1 ||
            { cat "$log" >&2; stop "apt-get could not install: ${missing[*]}" \
                "the output above says why"; }
        [ -z "$updated" ] || { cat "$log" >&2; stop "apt-get could not install: ${missing[*]}" \
            "the output above says why"; }
    fi
    rm -f "$log"
    disable_units "${missing[@]}"
}

# ---- Python ----

find_python() {
    local candidate
    for candidate in python3 /usr/bin/python3; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            "$candidate" -c 'import venv, ensurepip' 2>/dev/null && { echo "$candidate"; return; }
        fi
    done
    return 1
}

setup_python() {
    local stamp python
    stamp=".venv/.stamp-$(cat requirements.lock pyproject.toml | sha256sum | cut -c1-16)"
    [ -e "$stamp" ] && return
    python=$(find_python) || stop "no Python 3.11 or newer with its venv module was found" \
        "sudo apt-get install python3-venv (Debian 12 or newer, Ubuntu 24.04 or newer)"
    say "making .venv with $("$python" --version)"
    [ -x .venv/bin/python ] && .venv/bin/python -c '' 2>/dev/null ||
        { rm -rf .venv; "$python" -m venv .venv; }
    rm -f .venv/.stamp-*
    .venv/bin/python -m pip install -qq --disable-pip-version-check \
        --no-deps --require-hashes -r requirements.lock ||
        stop "pip could not install requirements.lock" "the output above says why"
    # The build backend is in the lock file, so nothing unpinned is fetched here either.
    .venv/bin/python -m pip install -qq --disable-pip-version-check \
        --no-deps --no-build-isolation -e . ||
        stop "pip could not install gameday itself" "the output above says why"
    touch "$stamp"
}

case "${1:-all}" in
    all) setup_packages; setup_python ;;
    python) setup_python ;;
    tests) setup_packages; setup_python; scripts/kube-apiserver.sh >/dev/null ;;
    *) stop "unknown argument $1" "scripts/setup.sh [python|tests]" ;;
esac
