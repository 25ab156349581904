#!/bin/bash
# Measures ./stretcher, as `make bench` builds it, and prints medians.
#
#     bench/run.sh                         all of the following
#     bench/run.sh start                   size and start-up
#     bench/run.sh deploys                 deploys of a tree of 400 MB, on tmpfs and on
#                                          disk, beside a shell pipeline that does the same
#     bench/run.sh scale                   deploys of 1 000 to 100 000 files, on tmpfs
#     bench/run.sh packed                  first deploys of archives by stretcher pack, on tmpfs
#     bench/run.sh connections             an archive over HTTP, on one connection and on several
#     bench/run.sh delta                   what changed of a tree over HTTP, by parts and in full
#
#     PEER=/path/to/other bench/run.sh     and another stretcher; the goals refer to it
#     PROGRAM=/path/to/it bench/run.sh     what to measure instead of ./stretcher
#     RUNS=9 bench/run.sh                  deploys of each kind (default 5)
#     SHM=/mnt/ram DISK=/mnt/x bench/run.sh  where (default /dev/shm and /var/tmp)
#     ON=disk bench/run.sh deploys         only there (default "tmpfs disk")
#     TREES="real generated" bench/run.sh deploys  of other trees (default "real")
#     FILES="1000 10000" bench/run.sh scale  of other numbers of files
#     SHARES="1 30" WAYS=shaped BY=native bench/run.sh delta  of other shares of changed files (default
#                                          "1 30 100"), ways (default "loopback shaped") and strategies (default
#                                          "native releases rsync")
#
# As root it drops the machine's page cache before each deploy on disk: see rest
# in deploys.sh.
#
# Needs hyperfine, rsync, curl, 5 GB in SHM and 3 GB in DISK. Nothing else
# should run meanwhile. With RUNS=5 it takes about a quarter of an hour.
set -euo pipefail

cd "$(dirname "$0")/.."
program=$(realpath "${PROGRAM:-stretcher}")
peer=${PEER:+$(realpath "$PEER")}
runs=${RUNS:-5}
shm=${SHM:-${DIR:-/dev/shm}}
disk=${DISK:-/var/tmp}

for need in hyperfine rsync curl tar "$program" ${peer:+"$peer"}; do
    command -v "$need" >/dev/null || { echo "bench: $need is missing" >&2; exit 1; }
done

# What is measured lies in $place, on the file system in question; all else,
# the trees that archives are made of as well, in $work.
work=$(mktemp -d "$shm/bench-XXXXXX")
place=$work
# Interrupted, some of it may be vanishing meanwhile.
trap 'chmod -R u+w "$work" "$place" 2>/dev/null || :; rm -rf "$work" "$place"' EXIT
go build -o "$work/bench" ./bench
bench=$work/bench

# settle DIR: measure in a new directory below DIR. Every program keeps its
# temporary files there.
settle() {
    [ "$place" = "$work" ] || { chmod -R u+w "$place"; rm -rf "$place"; }
    place=$(mktemp -d "$1/bench-XXXXXX")
    mkdir "$place/tmp"
    export TMPDIR=$place/tmp STRETCHER_STATE_DIR=$place/state
}

machine() {
    echo '## machine'
    sed -n 's/^model name[^:]*: /cpu      /p' /proc/cpuinfo | sort | uniq -c | awk '{ n = $1; $1 = ""; print $0 " x " n }' | sed 's/^ //'
    awk '/^MemTotal/ { printf "memory   %.0f GiB\n", $2 / 1048576 }' /proc/meminfo
    echo "kernel   $(uname -sr)"
    echo "go       $(go version | cut -d ' ' -f 3)"
    echo "rsync    $(rsync --version | awk 'NR == 1 { print $3 }')"
    echo "program  $("$program" version)"
    echo "peer     ${peer:-none}"
    echo "load     $(load) at the start"
}

load() { cut -d ' ' -f 1-3 /proc/loadavg; }

# shellcheck source=bench/start.sh
. bench/start.sh
# shellcheck source=bench/deploys.sh
. bench/deploys.sh
# shellcheck source=bench/scale.sh
. bench/scale.sh
# shellcheck source=bench/connections.sh
. bench/connections.sh
# shellcheck source=bench/packed.sh
. bench/packed.sh
# shellcheck source=bench/delta.sh
. bench/delta.sh

parts=("$@")
[ $# -gt 0 ] || parts=(start deploys scale packed connections delta)
for part in "${parts[@]}"; do
    case $part in
    start | deploys | scale | packed | connections | delta) ;;
    *) echo "usage: bench/run.sh [start|deploys|scale|packed|connections|delta]..." >&2; exit 2 ;;
    esac
done

machine
for part in "${parts[@]}"; do "measure_$part"; done
printf '\nload     %s at the end, after %d minutes\n' "$(load)" $((SECONDS / 60))
