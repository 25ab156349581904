#!/bin/sh
# Downloads the modules that packages need, where they are not there yet. A
# download that breaks off is tried again: what is built or checked afterwards
# shall not fail for it.
#
#     tools/download.sh DIRECTORY [FLAG...] PACKAGE...   as `go list -deps` has them, for GOOS and GOARCH
set -eu

cd "$1"
shift
tries=5
for try in $(seq "$tries"); do
    if why=$(go list -deps "$@" 2>&1 >/dev/null); then exit 0; fi
    if [ "$try" -lt "$tries" ]; then
        echo "download: try $try of $tries failed, trying again" >&2
        sleep "$try"
    fi
done
printf 'download: the modules of %s are not all there after %s tries:\n%s\n' "$*" "$tries" "$why" >&2
exit 1
