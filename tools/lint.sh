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

sources() { find . -name '*.go' -not -path './.tools/*' -not -path './.git/*' "$@"; }

format() { sources -print0 | xargs -0 gofmt -l; }

build_for() { CGO_ENABLED=0 GOOS=$1 GOARCH=$2 go build -tags "$tags" ./...; }

shell_syntax() {
    local f
    while IFS= read -r f; do
        case $(head -n 1 "$f") in
        '#!/bin/sh'*) sh -n "$f" ;;
        *) bash -n "$f" ;;
        esac
        if command -v shellcheck >/dev/null; then shellcheck "$f"; fi
    done < <(find . \( -name '*.sh' -o -path './.ci/run' \) -not -path './.tools/*')
}

# What has hidden effects: one exit in main.go, no change of the process's own
# state, no client without time limits. hookenv is for the programs of others:
# to end them is what its ExitUnlessEvent is for. What tests build is no part
# of the program.
hidden_effects() {
    sources -not -name '*_test.go' -not -name main.go -not -path ./hookenv/hookenv.go -not -path '*/testdata/*' -print0 |
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

download "$(go env GOOS)" "$(go env GOARCH)"
download linux arm64
download linux 386
download darwin arm64
check 'gofmt' format
check 'go vet' go vet -tags "$tags" ./...
check 'build for linux/arm64' build_for linux arm64
check 'build for linux/386' build_for linux 386 # ints of 32 bits, as on arm
check 'build for darwin/arm64' build_for darwin arm64
check 'staticcheck' .tools/staticcheck -tags "$tags" ./...
check 'shell scripts' shell_syntax
check 'hidden effects' hidden_effects
check 'sizes' sizes
measures
exit "$status"
