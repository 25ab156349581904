#!/bin/sh
# Sets up what the tests need: programs built from tools/go.mod and
# tools/*/go.mod, and those that tools/*/package.json name, go to
# .tools/NAME-VERSION/NAME, with a link .tools/NAME to the version in use;
# programs of the system are installed with apt-get when this runs as root, and a
# small Debian is made for tests of packages. What is there already is left alone.
#
#     tools/setup.sh            everything
#     tools/setup.sh NAME...    only these built programs
#
# Ends with status 1 when something is missing and CI=true; elsewhere the tests
# that need it are skipped.
set -eu

cd "$(dirname "$0")/.."
root=$PWD
missing=0

# fail MESSAGE: says what is missing and goes on with the rest.
fail() {
    echo "setup: $*" >&2
    missing=1
}

# build NAME DIRECTORY MODULE PACKAGE: DIRECTORY/go.mod names MODULE's version.
build() {
    version=$(awk -v m="$3" '$1 == m && $2 ~ /^v/ { print $2; exit }' "$2/go.mod")
    if [ -z "$version" ]; then
        fail "$2/go.mod does not require $3"
        return
    fi
    dir=$root/.tools/$1-$version
    if [ ! -x "$dir/$1" ]; then
        echo "setup: building $1 $version"
        if ! compile "$2" "$4" "$dir/$1"; then
            fail "$1 $version can't be built"
            return
        fi
    fi
    use "$1" "$version"
}

# use NAME VERSION: has the link .tools/NAME lead to that version.
use() {
    link=$root/.tools/$1
    if [ "$(readlink "$link")" != "$1-$2/$1" ]; then
        ln -sfn "$1-$2/$1" "$link" || fail "$link can't be made"
    fi
}

# compile DIRECTORY PACKAGE FILE: FILE has another name until it's complete,
# for a broken build must not count as one.
compile() {
    mkdir -p "$(dirname "$3")" && tools/download.sh "$1" "$2" &&
        (cd "$1" && CGO_ENABLED=0 GOFLAGS=-buildvcs=false \
            go build -trimpath -ldflags '-s -w' -o "$3.new" "$2") &&
        mv "$3.new" "$3"
}

# node_program NAME [FILE]: a program of Node.js, with what its lock file says that it
# needs: FILE below node_modules, or Node.js itself with the packages at hand. No
# script of a package runs.
node_program() {
    version=v$(sed -n 's/.*": "\([0-9][0-9.]*\)".*/\1/p' "tools/$1/package.json" | paste -s -d - -)
    dir=$root/.tools/$1-$version
    if [ ! -x "$dir/$1" ]; then
        echo "setup: installing $1 $version"
        if ! { mkdir -p "$dir" && cp "tools/$1/package.json" "tools/$1/package-lock.json" "$dir" &&
            packages_of_node "$dir" && launcher "$dir/$1" "${2:-}"; }; then
            fail "$1 $version can't be installed"
            return
        fi
    fi
    use "$1" "$version"
}

# packages_of_node DIRECTORY: a download that breaks off is tried again.
packages_of_node() {
    for try in 1 2 3; do
        if (cd "$1" && npm ci --omit=dev --ignore-scripts --no-audit --no-fund --loglevel=error); then return 0; fi
        sleep "$try"
    done
    return 1
}

# launcher NAME [FILE]: a program that starts FILE with the packages beside it.
launcher() {
    printf '%s\n' '#!/bin/sh' 'modules=$(dirname "$(readlink -f "$0")")/node_modules' \
        "NODE_PATH=\$modules exec node ${2:+\"\$modules/$2\"} \"\$@\"" >"$1.new" &&
        chmod 755 "$1.new" && mv "$1.new" "$1"
}

# debian: a small Debian that packages are installed in, of this month, as an
# archive .tools/debian-SUITE-MONTH.tar, and the link .tools/debian.tar to it.
# Only root can make one. What it mounts goes with its name space.
debian() {
    [ "$(id -u)" = 0 ] || return 0
    name=debian-bookworm-$(date -u +%Y%m).tar
    if [ ! -e "$root/.tools/$name" ]; then
        echo "setup: making $name"
        dir=$(mktemp -d)
        chmod 755 "$dir"
        if ! { bootstrap "$dir" && mkdir -p "$root/.tools" &&
            tar --numeric-owner -C "$dir" -cf "$root/.tools/$name.new" . &&
            mv "$root/.tools/$name.new" "$root/.tools/$name"; }; then
            fail "$name can't be made"
        fi
        rm -rf --one-file-system "$dir"
        [ -e "$root/.tools/$name" ] || return 0
    fi
    ln -sfn "$name" "$root/.tools/debian.tar" || fail ".tools/debian.tar can't be made"
}

# bootstrap DIRECTORY: what was downloaded is not downloaded again.
bootstrap() {
    has debootstrap || return 1
    for try in 1 2 3; do
        if unshare --mount debootstrap --variant=minbase --include=ca-certificates bookworm "$1" >"$1.log" 2>&1; then
            rm -f "$1.log"
            return 0
        fi
        sleep "$try"
    done
    tail -n 3 "$1.log" >&2
    rm -f "$1.log"
    return 1
}

build_named() {
    case $1 in
    versitygw) build "$1" tools github.com/versity/versitygw github.com/versity/versitygw/cmd/versitygw ;;
    fake-gcs-server) build "$1" tools github.com/fsouza/fake-gcs-server github.com/fsouza/fake-gcs-server ;;
    oras) build "$1" tools oras.land/oras oras.land/oras/cmd/oras ;;
    actionlint) build "$1" tools/actionlint github.com/rhysd/actionlint github.com/rhysd/actionlint/cmd/actionlint ;;
    staticcheck) build "$1" tools honnef.co/go/tools honnef.co/go/tools/cmd/staticcheck ;;
    nfpm) build "$1" tools github.com/goreleaser/nfpm/v2 github.com/goreleaser/nfpm/v2/cmd/nfpm ;;
    cyclonedx-gomod) build "$1" tools github.com/CycloneDX/cyclonedx-gomod github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod ;;
    govulncheck) build "$1" tools golang.org/x/vuln golang.org/x/vuln/cmd/govulncheck ;;
    consul) build "$1" tools/consul github.com/hashicorp/consul github.com/hashicorp/consul ;;
    otelcol) build "$1" tools/otelcol go.opentelemetry.io/collector/otelcol . ;;
    azurite) node_program "$1" azurite/dist/src/blob/main.js ;;
    yaml-language-server) node_program "$1" yaml-language-server/bin/yaml-language-server ;;
    playwright) node_program "$1" ;;
    debian) debian ;;
    *) fail "unknown program $1" ;;
    esac
}

# has PROGRAM: nginx is in /usr/sbin, which isn't in everyone's PATH.
has() {
    command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ]
}

# absent: the Debian packages of the programs that are not installed.
absent() {
    for pair in rsync:rsync serf:serf nginx:nginx-light tar:tar xz:xz-utils \
        bzip2:bzip2 zstd:zstd ps:procps gcc:gcc setpriv:util-linux sshd:openssh-server ssh:openssh-client \
        systemd-analyze:systemd visudo:sudo bsdtar:libarchive-tools busybox:busybox-static \
        docker-registry:docker-registry node:nodejs npm:npm \
        podman:podman runc:runc git:git jq:jq sqlite3:sqlite3 openssl:openssl curl:curl minisign:minisign zsh:zsh fish:fish groff:groff-base \
        promtool:prometheus prometheus-node-exporter:prometheus-node-exporter \
        parallel:parallel ansible-playbook:ansible-core man:man-db rpm:rpm rpm2cpio:rpm2cpio cpio:cpio; do
        has "${pair%%:*}" || printf '%s ' "${pair#*:}"
    done
    # Only root can use what these make.
    if [ "$(id -u)" = 0 ]; then
        for pair in mkfs.btrfs:btrfs-progs mkfs.xfs:xfsprogs mkfs.ext4:e2fsprogs mount:mount \
            debootstrap:debootstrap; do
            has "${pair%%:*}" || printf '%s ' "${pair#*:}"
        done
    fi
    # Large, and each one test's: people may do without them.
    if [ "${CI:-}" = true ]; then
        for program in chromium lintian; do
            has "$program" || printf '%s ' "$program"
        done
    fi
    # No program, but what the script for bash completes by.
    if [ ! -e /usr/share/bash-completion/bash_completion ]; then
        printf 'bash-completion '
    fi
    # Names of users that /etc/passwd does not have, for tests.
    if [ "$(uname -s)" = Linux ] && ! ls /lib/*/libnss_systemd.so.2 /usr/lib/*/libnss_systemd.so.2 >/dev/null 2>&1; then
        printf 'libnss-systemd '
    fi
    # The race detector links with the C library.
    if [ "$(uname -s)" = Linux ] && [ ! -e /usr/include/stdlib.h ]; then
        printf 'libc6-dev '
    fi
}

# install PACKAGE...: none of the servers among them may start by itself.
install() {
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    apt-get update -q && DEBIAN_FRONTEND=noninteractive \
        apt-get install -q -y --no-install-recommends "$@"
}

system() {
    packages=$(absent)
    [ -n "$packages" ] || return 0
    # shellcheck disable=SC2086 # the list is meant to be split
    if [ "$(id -u)" = 0 ] && has apt-get && install $packages; then
        packages=$(absent)
        [ -n "$packages" ] || return 0
    fi
    fail "programs are missing; install them with:"
    echo "sudo apt-get install $packages" >&2
}

if [ $# -gt 0 ]; then
    for name in "$@"; do build_named "$name"; done
else
    system
    for name in staticcheck versitygw fake-gcs-server oras consul otelcol azurite yaml-language-server playwright \
        nfpm cyclonedx-gomod debian; do
        build_named "$name"
    done
fi

if [ "$missing" = 1 ] && [ "${CI:-}" = true ]; then exit 1; fi
