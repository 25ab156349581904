#!/bin/bash
# Runs every fuzz target of the module for FUZZTIME (default 10s) each.
set -euo pipefail

cd "$(dirname "$0")/.."
targets=$(grep -roE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sed 's/:func / /' | sort) || {
    echo 'fuzz: no target found' >&2
    exit 1
}
while read -r file name; do
    echo "fuzz: $name in $(dirname "$file")"
    go test -tags disable_grpc_modules -run '^$' -fuzz "^$name\$" -fuzztime "${FUZZTIME:-10s}" -fuzzminimizetime 1s "$(dirname "$file")"
done <<<"$targets"
