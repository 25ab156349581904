#!/bin/bash
# The checks of `make lint`. All run, even when an early one fails; status 1
# when any did.
set -euo pipefail

cd "$(dirname "$0")/.."
tags=disable_grpc_modules
status=0

# check WHAT COMMAND...: the command succeeds and prints nothing. What it prints,
# or its exit status when it prints nothing, is why it failed.
check() {
    local what=$1 out code=0
    shift
    out=$("$@" 2>&1) || code=$?
    if [ "$code" = 0 ] && [ -z "$out" ]; then
        echo "lint: $what: ok"
    else
        printf 'lint: %s: FAILED\n%s\n' "$what" "${out:-exit status $code of: $*}"
        status=1
    fi
}

# download GOOS GOARCH: the modules that the checks for this system need. What
# can't be downloaded is no failed check: nothing is checked then.
download() {
    if ! GOOS=$1 GOARCH=$2 tools/download.sh . -test -tags "$tags" ./...; then
        echo "lint: nothing checked: the modules can't be downloaded" >&2
        exit 1
    fi
}

# unchecked WHAT WHY: it could not be looked at, which is no failed check.
unchecked() { echo "lint: $1: not checked: $2"; }

# verified: the modules that are here are those whose sums go.sum has. It asks
# for the whole graph, which a download that breaks off may leave in part.
verified() {
    local try
    for try in 1 2 3 4 5; do
        if go list -m all >/dev/null 2>&1; then
            check 'go mod verify' quietly go mod verify
            return
        fi
        sleep "$try"
    done
    unchecked 'go mod verify' "the modules' graph can't be downloaded"
}

# quietly COMMAND...: what a good command prints to standard output is not told.
quietly() { "$@" >/dev/null; }

# vulnerabilities: none is known of what the program calls. Status 3 is what
# govulncheck ends with when it has found one; after any other its database, or
# a download, has failed.
vulnerabilities() {
    local what='govulncheck' out code=0 db=()
    [ -z "${GOVULNDB:-}" ] || db=(-db "$GOVULNDB")
    if ! CI=true sh tools/setup.sh govulncheck >/dev/null 2>&1; then
        unchecked "$what" "it can't be built"
    elif ! .tools/govulncheck "${db[@]}" -version 2>/dev/null | grep '^DB updated' >/dev/null; then
        unchecked "$what" "its database can't be reached"
    else
        out=$(.tools/govulncheck "${db[@]}" -tags "$tags" ./... 2>&1) || code=$?
        case $code in
        0) echo "lint: $what: ok" ;;
        3) printf 'lint: %s: FAILED\n%s\n' "$what" "$out" && status=1 ;;
        *) unchecked "$what" "$(tail -n 1 <<<"$out")" ;;
        esac
    fi
}

# workflows: the hosted CI will take its file. Scripts in it are make's alone.
workflows() {
    if CI=true sh tools/setup.sh actionlint >/dev/null 2>&1; then
        check 'workflows' .tools/actionlint -shellcheck= -pyflakes= .github/workflows/*.yml
    else
        unchecked 'workflows' "actionlint can't be built"
    fi
}

sources() { find . -name '*.go' -not -path './.tools/*' -not -path './.git/*' "$@"; }

format() { sources -print0 | xargs -0 gofmt -l; }

# builds_for GOOS GOARCH: the compiler takes the program, and all tests. As they
# are released: what is compiled here `make dist` need not compile again.
builds_for() {
    local with=(-trimpath -tags "$tags")
    CGO_ENABLED=0 GOOS=$1 GOARCH=$2 GOARM=6 go build "${with[@]}" ./... &&
        CGO_ENABLED=0 GOOS=$1 GOARCH=$2 GOARM=6 go list -test -export "${with[@]}" ./... >/dev/null
}

shell_syntax() {
    local f
    while IFS= read -r f; do
        case $(head -n 1 "$f") in
        '#!/bin/sh'*) sh -n "$f" ;;
        *) bash -n "$f" ;;
        esac
        # What a file that is read by another takes from it, or gives it, is not seen.
        if command -v shellcheck >/dev/null; then shellcheck --severity=warning --exclude=SC2034,SC2154 "$f"; fi
    done < <(find . \( -name '*.sh' -o -path './.ci/run' \) -not -path './.tools/*')
}

# What has hidden effects: one exit in main.go, no change of the process's own
# state, no client without time limits. hookenv is for the programs of others:
# to end them is what its ExitUnlessEvent is for. What tests build is no part
# of the program. The exporter of traces reads the environment whatever it is
# told: send.go, in the last moment of a run, takes from it what has been judged.
hidden_effects() {
    sources -not -name '*_test.go' -not -name main.go -not -path ./hookenv/hookenv.go \
        -not -path ./internal/journal/trace/send.go -not -path '*/testdata/*' -print0 |
        xargs -0 grep -HnE '\<(os\.Exit|log\.Fatal[a-z]*|os\.Chdir|os\.Setenv|context\.TODO|http\.DefaultClient|http\.Get)\(?' |
        grep -vE ':[0-9]+:\s*//' || true
}

# Files under 500 lines, functions of at most 100. gofmt puts a function's
# closing brace, and nothing else's inside it, in the first column.
sizes() {
    sources -print0 | xargs -0 awk '
        FNR == 1 { start = 0 }
        FNR == 500 { print FILENAME ": 500 lines or more" }
        /^func / && !/}$/ { start = FNR; name = $0 }
        /^}/ && start { if (FNR - start + 1 > 100) print FILENAME ":" start ": over 100 lines: " name; start = 0 }'
}

# The measures, and tools/layers.txt. They say by themselves how it went.
measures() { (cd tools && go vet ./measure && go run ./measure) || status=1; }

# What is released, save for this system, for which vet compiles all.
platforms=()
for platform in $PLATFORMS; do
    [ "$platform" = "$(go env GOOS)/$(go env GOARCH)" ] || platforms+=("$platform")
done

download "$(go env GOOS)" "$(go env GOARCH)"
for platform in "${platforms[@]}"; do download "${platform%/*}" "${platform#*/}"; done
check 'gofmt' format
check 'go vet' go vet -tags "$tags" ./...
for platform in "${platforms[@]}"; do
    check "build and tests for $platform" builds_for "${platform%/*}" "${platform#*/}"
done
check 'staticcheck' .tools/staticcheck -tags "$tags" ./...
verified
vulnerabilities
check 'shell scripts' shell_syntax
workflows
check 'hidden effects' hidden_effects
check 'sizes' sizes
measures
exit "$status"
