#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds a real kube-apiserver for the lab's part kubernetes and for tests/kube, from Debian's source
# package: no package has the program itself. Prints its path; does nothing, quickly, where it is there.
# It is Kubernetes 1.20 (December 2020), which is no supported version: docs/lab.md says what it lacks.
#
#     scripts/kube-apiserver.sh        build it where it is missing: 5 to 10 minutes on 2 cores
#     scripts/kube-apiserver.sh path   print where it is or would be
#
# The program lies in ${XDG_CACHE_HOME:-/var/cache}/gameday; everything else is in a temporary directory,
# 3 GB at most, that is removed. Exits 3 where it cannot go on, and says why.
set -euo pipefail

# gameday/lab/kube.py has the same; a unit test compares them.
VERSION=1.20.2
CACHE=${XDG_CACHE_HOME:-/var/cache}/gameday
PROGRAM=$CACHE/kube-apiserver-$VERSION
# Two vendored libraries are older than Go 1.18 and broken by it. With this one the server dies at
# its first custom object; Debian has a newer copy.
REFLECT2=github.com/modern-go/reflect2
# And this one takes an empty string in a custom resource for null. With Go before 1.18 the second
# half of its test was never true: it compares two pointers that happen to be the same today.
VALIDATE=github.com/go-openapi/validate/type.go
OLD_TEST='if data == nil || reflect.DeepEqual(reflect.Zero(reflect.TypeOf(data)), reflect.ValueOf(data)) {'
NEW_TEST='if data == nil {'
TOOLS=(dpkg-dev gcc golang-go golang-github-modern-go-reflect2-dev make patch rsync)
ROOM_MB=4000

say() { echo "kube-apiserver: $*" >&2; }
stop() { say "$1"; shift; for line in "$@"; do echo "  -> $line" >&2; done; exit 3; }

there() { [ -x "$PROGRAM" ] && "$PROGRAM" --version >/dev/null 2>&1; }

logged() { # a command whose output is of interest only where it fails
    "$@" >>"$work/log" 2>&1 && return
    tail -n 25 "$work/log" >&2
    return 1
}

# ---- What building needs ----

missing_tools() {
    local name
    for name in "${TOOLS[@]}"; do
        dpkg-query -W -f '${db:Status-Status}\n' "$name" 2>/dev/null | grep -qx installed || echo "$name"
    done
}

install_tools() {
    local missing
    mapfile -t missing < <(missing_tools)
    [ "${#missing[@]}" -gt 0 ] || return 0
    [ "$(id -u)" -eq 0 ] || stop "building needs Debian packages that only root can install" \
        "sudo apt-get install --no-install-recommends ${missing[*]}"
    say "installing ${missing[*]}"
    DEBIAN_FRONTEND=noninteractive logged apt-get -o DPkg::Lock::Timeout=600 install -y -q \
        --no-install-recommends "${missing[@]}" || stop "apt-get could not install: ${missing[*]}" \
        "the output above says why"
}

# ---- The source, from the mirror that this machine is configured for ----

own_lists() { # apt's own options: the machine's lists and sources stay as they are
    apt=(-o "Dir::Etc::sourcelist=$work/source.list" -o Dir::Etc::sourceparts=-
        -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=root)
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
}

known_releases() {
    apt-get indextargets --format '$(ORIGIN)|$(COMPONENT)|$(REPO_URI)|$(RELEASE)|$(SOURCESENTRY)' \
        'Created-By: Packages' | sed -n 's/^Debian|main|//p' | sort -u
}

write_source_list() {
    local uri release entry signed
    if [ -z "$(known_releases)" ] && [ "$(id -u)" -eq 0 ]; then
        logged apt-get update -q || stop "apt-get update failed" "check the network and /etc/apt"
    fi
    while IFS='|' read -r uri release entry; do
        signed=$(grep -m 1 -ioP '\bsigned-by\s*[:=]\s*\K/[^] \t]+' "${entry%:*}" || true)
        echo "deb-src ${signed:+[signed-by=$signed] }$uri $release main"
    done < <(known_releases) >"$work/source.list"
    [ -s "$work/source.list" ] || stop "apt knows no release of Debian on this machine" \
        "build on Debian 12, and copy the program to $PROGRAM"
}

fetch_source() {
    own_lists
    write_source_list
    logged apt-get "${apt[@]}" update -q || stop "apt-get found no source packages" \
        "the output above says why; $(head -n 1 "$work/source.list")"
    apt-cache "${apt[@]}" showsrc kubernetes 2>/dev/null | grep -q "^Version: .*$VERSION" || stop \
        "this release of Debian has no source of Kubernetes $VERSION; Debian 12 has" \
        "build on Debian 12, and copy the program to $PROGRAM"
    (cd "$work" && logged apt-get "${apt[@]}" source -q kubernetes) ||
        stop "apt-get could not fetch the source" "the output above says why"
    tree=$(echo "$work"/kubernetes-*/)
}

# ---- Building ----

mend_libraries() {
    local target=$tree/vendor/$REFLECT2 file=$tree/vendor/$VALIDATE text
    rm -rf "$target"
    cp -r "/usr/share/gocode/src/$REFLECT2" "$target"
    text=$(<"$file")
    [[ $text == *"$OLD_TEST"* ]] || stop "$VALIDATE is another than the one that has to be mended"
    printf '%s\n' "${text/"$OLD_TEST"/"$NEW_TEST"}" >"$file"
}

build() {
    mkdir -p "$tree/.go/src/k8s.io" "$work/tmp"
    ln -s ../../.. "$tree/.go/src/k8s.io/kubernetes"
    printf '%s\n' "KUBE_GIT_COMMIT=debian" "KUBE_GIT_TREE_STATE=archive" \
        "KUBE_GIT_VERSION=v$VERSION" "KUBE_GIT_MAJOR=1" "KUBE_GIT_MINOR=20" >"$work/version"
    (cd "$tree" && logged env -u GOFLAGS -u GOROOT GOENV=off GOPROXY=off CGO_ENABLED=0 \
        PATH="/usr/lib/go/bin:/usr/bin:/bin:/usr/sbin:/sbin" HOME="$work" TMPDIR="$work/tmp" \
        GOCACHE="$work/go-cache" GOPATH="$tree/.go" KUBE_GIT_VERSION_FILE="$work/version" make WHAT=cmd/kube-apiserver) ||
        stop "building failed" "the output above says why"
}

keep() {
    # Whoever looks for the program sees either nothing or the whole of it.
    install -m 755 "$tree/_output/bin/kube-apiserver" "$PROGRAM.new"
    "$PROGRAM.new" --version | grep -qF "v$VERSION" || stop "what was built does not run as $VERSION"
    mv "$PROGRAM.new" "$PROGRAM"
}

build_it() {
    command -v dpkg-query >/dev/null && command -v apt-get >/dev/null || stop \
        "this is not Debian: there is no apt-get" "build on Debian 12, and copy the program to $PROGRAM"
    work=$(mktemp -d "${TMPDIR:-/var/tmp}/kube-apiserver.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    [ "$(df -Pm "$work" | awk 'NR == 2 {print $4}')" -ge "$ROOM_MB" ] || stop \
        "building needs $ROOM_MB MB in $(dirname "$work")" "set TMPDIR to a place that has them"
    install_tools
    say "building Kubernetes $VERSION from Debian's source: 5 to 10 minutes on 2 cores"
    fetch_source
    mend_libraries
    build
    keep
}

main() {
    mkdir -p "$CACHE" 2>/dev/null && [ -w "$CACHE" ] || stop "$CACHE cannot be written" \
        "set XDG_CACHE_HOME, or run as root"
    there || (
        # A second one waits for the first, and then finds what that has built.
        exec 9>"$CACHE/kube-apiserver.lock"
        flock 9
        there || build_it
    )
    echo "$PROGRAM"
}

case "${1:-build}" in
    build) there && echo "$PROGRAM" || main ;;
    path) echo "$PROGRAM" ;;
    *) stop "unknown argument $1" "scripts/kube-apiserver.sh [path]" ;;
esac
