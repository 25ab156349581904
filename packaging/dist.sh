#!/bin/bash
# Builds what is released into dist/: for each of PLATFORMS an archive and a list
# of what is in the program (SBOM); for Linux packages (deb, rpm, apk) and an image;
# the sums of all, and a signature of them when there is a key. `make dist` calls it.
#
# The same sources, VERSION and Go give the same bytes, in any directory, at any
# time: all times are SOURCE_DATE_EPOCH, by default that of the last commit.
#
#   PLATFORMS         such as "linux/amd64 darwin/arm64"
#   FORMATS           such as "tar deb rpm apk image"
#   VERSION           as git describe has it
#   MAINTAINER        of the packages: "Name <address>"
#   KEY               a secret key, as stretcher keygen or minisign -G makes it
#   KEY_PASSWORD      a file; its first line is the password
#   SIGNING_KEY       the text of a key, where there is no file of it (a secret of a CI)
#   SIGNING_PASSWORD  its password
set -euo pipefail

cd "$(dirname "$0")/.."
root=$PWD
# What lies beside docs/ and examples/, whose pages link to it.
pages=(LICENSE README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md)
umask 022
export LC_ALL=C TZ=UTC0

# What the compiler is told is not the caller's affair.
export GOAMD64=v1 GO386=sse2 GOARM=6 GOARM64=v8.0 GOEXPERIMENT=
unset GOOS GOARCH

# Without git nobody knows of a commit: a time that every program takes.
epoch() { git log -1 --format=%ct 2>/dev/null || echo 1767225600; }
export MAINTAINER=${MAINTAINER:-The stretcher authors <stretcher@packages.example.org>}
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(epoch)}

# when FORMAT: that time, by the date of GNU or of BSD.
when() { date -u -d "@$SOURCE_DATE_EPOCH" "+$1" 2>/dev/null || date -u -r "$SOURCE_DATE_EPOCH" "+$1"; }

# Secrets are not for compilers. However many lines end them, one does here.
key_text=$(printf '%s' "${SIGNING_KEY:-}")
key_password=${SIGNING_PASSWORD:-}
unset SIGNING_KEY SIGNING_PASSWORD

die() {
    echo "dist: $*" >&2
    exit 1
}

# number VERSION: what packages call it. "2.0.0-rc.1" is before 2.0.0; what comes after
# a tag is "2.0.0+4.g1234567"; where there was none yet, "0.0.0+1234567".
number() {
    local version=${1#v} dirty='' pre='' rest=''
    [[ $version != *-dirty ]] || dirty=.dirty
    version=${version%-dirty}
    if [[ $version =~ ^([0-9]+(\.[0-9]+)+)(-([A-Za-z][0-9A-Za-z.]*))?(-([0-9]+)-(g[0-9a-f]+))?$ ]]; then
        pre=${BASH_REMATCH[4]:+~${BASH_REMATCH[4]}}
        rest=${BASH_REMATCH[6]:+${BASH_REMATCH[6]}.${BASH_REMATCH[7]}}
        version=${BASH_REMATCH[1]}
    else
        rest=$(tr -c '0-9A-Za-z\n' . <<<"$version")
        version=0.0.0
    fi
    rest=${rest:-${dirty:+0}}$dirty
    [ -n "$rest" ] || { echo "$version$pre" && return; }
    echo "$version$pre+$rest"
}

# alpine NUMBER: as apk has it, which knows no text: 2.0.0_rc1, 2.0.0_p4, 0.0.0_git20260101.
alpine() {
    local version=${1%%[+~]*} pre='' rest=''
    [[ ! $1 =~ ~(alpha|beta|pre|rc)\.?([0-9]*) ]] || pre=_${BASH_REMATCH[1]}${BASH_REMATCH[2]}
    if [[ $1 =~ \+([0-9]+)\.g ]]; then
        rest=_p${BASH_REMATCH[1]}
    elif [[ $1 == *+* ]]; then
        rest=_git$(when %Y%m%d)
    fi
    echo "$version$pre$rest-r0"
}

# wanted FORMAT
wanted() { [[ " $FORMATS " == *" $1 "* ]]; }

# compile OS ARCH FILE
compile() { GOOS=$1 GOARCH=$2 make --no-print-directory -s build VERSION="$VERSION" BIN="$3"; }

# common DIR: what is the same for all platforms.
common() {
    local kind
    mkdir -p "$1/man" "$1/completions" "$1/systemd" "$1/schemas" "$1/doc/docs" "$1/doc/examples"
    "$host" man "$1/man"
    gzip -9n "$1"/man/*
    "$host" completion bash >"$1/completions/stretcher.bash"
    "$host" completion zsh >"$1/completions/_stretcher"
    "$host" completion fish >"$1/completions/stretcher.fish"
    for kind in manifest policy; do "$host" schema $kind >"$1/schemas/$kind.schema.json"; done
    cp packaging/systemd/* "$1/systemd"
    cp packaging/{copyright,lintian-overrides,postinst,prerm,postrm} "$1"
    cp examples/policy/config.yml "$1/config.yml.example"
    cp "${pages[@]}" "$1/doc"
    cp docs/*.md docs/*.png "$1/doc/docs"
    cp -R examples/. "$1/doc/examples"
    changelog | gzip -9n >"$1/changelog.gz"
    find "$1/doc" \( -type d -o -perm -u=x \) -exec chmod 755 {} + -o -type f -exec chmod 644 {} +
}

# changelog: the one that Debian's tools read.
changelog() {
    printf 'stretcher (%s) unstable; urgency=medium\n\n' "$number"
    printf '  * What has changed is in CHANGELOG.md.\n\n'
    printf ' -- %s  %s\n' "$MAINTAINER" "$(when '%a, %d %b %Y %H:%M:%S +0000')"
}

# inventory OS ARCH PROGRAM: the modules that are in it.
inventory() {
    .tools/cyclonedx-gomod bin -json -noserial -notimestamp -std -version "$VERSION" \
        -output "dist/stretcher_${label}_$1_$2.cdx.json" "$3" 2>"$work/log" ||
        die "no list of what is in $3: $(tail -n 1 "$work/log")"
}

# archive OS ARCH PROGRAM
archive() {
    local name=stretcher_${label}_$1_$2 dir
    dir=$work/archives/$name
    mkdir -p "$dir"
    cp "$3" "$dir/stretcher"
    cp "${pages[@]}" "$dir"
    cp -R "$work/common"/{man,completions,schemas,doc/docs,doc/examples} "$dir"
    [ "$1" != linux ] || cp -R "$work/common/systemd" "$dir"
    cp "dist/$name.cdx.json" "$dir/sbom.cdx.json"
    "$work/release" tar "dist/$name.tar.gz" "$name" "$dir"
}

# packages ARCH PROGRAM: one of each kind. The program runs on an ARM of version 6;
# the systems that take packages call themselves by version 7.
packages() {
    local arch=$1 kind version
    [ "$arch" != arm ] || arch=arm7
    cp "$2" "$work/common/stretcher"
    cp "dist/stretcher_${label}_linux_$1.cdx.json" "$work/common/doc/sbom.cdx.json"
    # nfpm takes some of the times as they are here.
    find "$work/common" -exec touch -d "$(when %Y-%m-%dT%H:%M:%SZ)" {} +
    for kind in deb rpm apk; do
        wanted $kind || continue
        version=$number
        [ $kind != apk ] || version=$(alpine "$number")
        (cd "$work/common" && PACKAGE_ARCH=$arch PACKAGE_VERSION=$version "$root/.tools/nfpm" package \
            --config "$root/packaging/nfpm.yaml" --packager $kind --target "$work/new") >"$work/log" ||
            die "no $kind for $1: $(tail -n 1 "$work/log")"
        [ $kind != rpm ] || "$work/release" rpm "$work"/new/*.rpm
        mv "$work"/new/* dist
    done
}

# sign: the sums, and so all that they are of.
sign() {
    local key=${KEY:-} password=(--password-file "${KEY_PASSWORD:-}")
    if [ -z "$key" ] && [ -n "$key_text" ]; then
        key=$work/key
        (umask 077 && echo "$key_text" >"$key" && echo "$key_password" >"$work/password")
        password=(--password-file "$work/password")
    fi
    [ -n "$key" ] || return 0
    [ -n "${password[1]}" ] || password=()
    "$host" sign --state-dir "$work/state" --key "$key" ${password[@]+"${password[@]}"} \
        --comment "stretcher $VERSION" dist/SHA256SUMS 2> >(grep -v '^warning: no host that asks' >&2)
}

number=$(number "$VERSION")
label=${VERSION#v}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
host=$work/stretcher
rm -rf dist
mkdir dist "$work/new"
(cd tools && go build -o "$work/release" ./release)
compile '' '' "$host"
common "$work/common"

images=()
for platform in $PLATFORMS; do
    os=${platform%/*} arch=${platform#*/} program=$work/$os-$arch
    echo "dist: $platform"
    compile "$os" "$arch" "$program"
    inventory "$os" "$arch" "$program"
    ! wanted tar || archive "$os" "$arch" "$program"
    if [ "$os" = linux ]; then
        packages "$arch" "$program"
        [ "$arch" != arm ] || arch=arm/v6
        images+=("linux/$arch=$program")
    fi
done
if [ ${#images[@]} -gt 0 ] && wanted image; then
    "$work/release" image dist/image "$VERSION" "${images[@]}"
    find dist/image -type f -exec chmod 644 {} +
    "$work/release" tar "dist/stretcher_${label}_image.tar" '' dist/image
fi
"$work/release" sums dist
sign
