#!/bin/bash
# Gets releases that people deploy, two versions of each, and prints the table of
# docs/performance.md that tells what a host that has the older one fetches of the
# newer one.
#
#     bench/pairs.sh                 npm packages, Go toolchains and Debian packages
#     DIR=/mnt/x bench/pairs.sh      where: 3 GB are needed (default /var/tmp)
#     PROGRAM=/path/to/it bench/pairs.sh  what to measure instead of what is built here
#
# Needs npm, Go, and, for Debian's packages, a Debian with apt-get and dpkg-deb:
# elsewhere they are left out. Of these, the two newest versions are taken that
# apt-get finds.
set -euo pipefail

cd "$(dirname "$0")/.."
work=$(mktemp -d "${DIR:-/var/tmp}/pairs-XXXXXX")
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
pairs=()

# npm_pair PACKAGE OLD NEW
npm_pair() {
    local v dir=$work/npm-$1
    for v in "$2" "$3"; do
        mkdir -p "$dir/$v"
        (cd "$dir" && tar -xzf "$(npm pack --silent "$1@$v")" -C "$dir/$v" --strip-components=1)
    done
    pairs+=("npm $1 $2 → $3" "$dir/$2" "$dir/$3")
}

# go_pair OLD NEW: toolchains.
go_pair() {
    local v dir=golang.org/toolchain
    for v in "$1" "$2"; do
        GOFLAGS=-modcacherw GOMODCACHE=$work/go go mod download "$dir@v0.0.1-go$v.linux-amd64"
    done
    pairs+=("Go $1 → $2" "$work/go/$dir@v0.0.1-go$1.linux-amd64" "$work/go/$dir@v0.0.1-go$2.linux-amd64")
}

# debian_pair PACKAGE
debian_pair() {
    local v versions dir=$work/debian-$1
    mapfile -t versions < <(apt-cache madison "$1" | awk '{ print $3 }' | sort -u | sort -V | tail -n 2)
    if [ ${#versions[@]} -lt 2 ]; then
        echo "pairs: apt-get has no two versions of $1" >&2
        return
    fi
    for v in "${versions[@]}"; do
        mkdir -p "$dir/$v.deb"
        (cd "$dir/$v.deb" && apt-get -qq -o APT::Sandbox::User=root download "$1=$v")
        dpkg-deb -x "$dir/$v.deb/"*.deb "$dir/$v"
    done
    pairs+=("Debian $1 ${versions[0]} → ${versions[1]}" "$dir/${versions[0]}" "$dir/${versions[1]}")
}

npm_pair lodash 4.17.20 4.17.21
npm_pair react-dom 19.1.0 19.1.1
npm_pair typescript 5.9.2 5.9.3
npm_pair npm 11.6.1 11.6.2
npm_pair next 15.5.3 15.5.4
go_pair 1.26.6 1.26.7
go_pair 1.26.7 1.26.8
if command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null; then
    for package in git libpython3.11-stdlib libssl3 postgresql-15; do debian_pair "$package"; done
else
    echo 'pairs: no apt-get and dpkg-deb: Debian packages are left out' >&2
fi

export TMPDIR=$work
CGO_ENABLED=0 go build -tags disable_grpc_modules -o "$work/stretcher" .
go run ./bench/pairs "${PROGRAM:-$work/stretcher}" "${pairs[@]}"
