#!/bin/bash
# The checks of `make lint`. All run, even when an early one fails; status 1
# when any did.
set -euo pipefail

cd "$(dirname "$0")/.."
tags=disable_grpc_modules
status=0

# check WHAT COMMAND...: the command succeeds and prints nothing.
check() {
    local what=$1 out
    shift
    if out=$("$@" 2>&1) && [ -z "$out" ]; then
        echo "lint: $what: ok"
    else
        printf 'lint: %s: FAILED\n%s\n' "$what" "$out"
        status=1
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

# Internal packages know nothing of flags or of the program around them, save
# for the command line, and what only tests may import stays out of the
# program.
imports() {
    go list -tags "$tags" -f '{{range .Imports}}{{$.ImportPath}} imports {{.}}{{"\n"}}{{end}}' ./... |
        awk '($1 ~ /\/internal\// && $1 !~ /\/internal\/cli$/ && $3 ~ /^(flag|github.com\/spf13\/(cobra|pflag)|stretcher(\/internal\/cli)?)$/) ||
             ($3 == "stretcher/internal/testparts")'
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

check 'gofmt' format
check 'go vet' go vet -tags "$tags" ./...
check 'build for linux/arm64' build_for linux arm64
check 'build for darwin/arm64' build_for darwin arm64
check 'staticcheck' .tools/staticcheck -tags "$tags" ./...
check 'shell scripts' shell_syntax
check 'imports' imports
check 'hidden effects' hidden_effects
check 'sizes' sizes
exit "$status"
