#!/bin/bash
# Measures ./stretcher, as `make bench` builds it, and prints medians:
# start-up, size, and deploys of a tree of 400 MB with their peak memory,
# beside a shell pipeline that does the same.
#
#     bench/run.sh                        all
#     PEER=/path/to/other bench/run.sh    and another stretcher
#     RUNS=9 bench/run.sh                 deploys of each kind (default 5)
#     DIR=/mnt/x bench/run.sh             where the trees are (default /dev/shm)
#
# Needs hyperfine, rsync, curl and 3 GB in DIR. Nothing else should run.
set -euo pipefail

cd "$(dirname "$0")/.."
program=$PWD/stretcher
runs=${RUNS:-5}
goal_ms=20
goal_mb=64

for need in hyperfine rsync curl tar "$program"; do
    command -v "$need" >/dev/null || { echo "bench: $need is missing" >&2; exit 1; }
done

work=$(mktemp -d "${DIR:-/dev/shm}/bench-XXXXXX")
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
# Every program keeps its temporary files on the same file system.
export TMPDIR=$work/tmp STRETCHER_STATE_DIR=$work/state
mkdir "$TMPDIR"
go build -o "$work/bench" ./bench

verdict() { awk -v v="$1" -v goal="$2" 'BEGIN { print (v <= goal) ? "met" : "MISSED" }'; }

machine() {
    echo '## machine'
    sed -n 's/^model name[^:]*: /cpu      /p' /proc/cpuinfo | sort | uniq -c | awk '{ n = $1; $1 = ""; print $0 " x " n }' | sed 's/^ //'
    awk '/^MemTotal/ { printf "memory   %.0f GiB\n", $2 / 1048576 }' /proc/meminfo
    echo "kernel   $(uname -sr)"
    echo "go       $(go version | cut -d ' ' -f 3)"
    echo "rsync    $(rsync --version | awk 'NR == 1 { print $3 }')"
    echo "files on $(stat -f -c %T "$work")"
    echo "load     $(cut -d ' ' -f 1-3 /proc/loadavg) at the start"
}

start_up() {
    printf '\n## start-up (200 runs)\n'
    echo 'commands: {pre: ["true"]}' >"$work/true.yml"
    local name bin ms
    for name in stretcher ${PEER:+peer}; do
        bin=$program
        [ "$name" = stretcher ] || bin=$PEER
        for _ in $(seq 220); do "$work/bench" first "$bin" "$work" 2>/dev/null; done | tail -n 200 >"$work/first"
        ms=$("$work/bench" median <"$work/first")
        echo "$name: start to first command   $ms ms (goal $goal_ms: $(verdict "$ms" $goal_ms))"
        echo "$name: -version                 $(hyper "$bin -version") ms (hyperfine)"
    done
    echo "stretcher: whole run of one \`true\`  $(hyper "$program file://$work/true.yml") ms (hyperfine)"
}

# hyper COMMAND: its median in milliseconds.
hyper() {
    hyperfine -N --warmup 20 --runs 200 --export-json "$work/hyper.json" "$1" >"$work/hyper.log" 2>&1 || cat "$work/hyper.log" >&2
    awk -F '[:,]' '/"median"/ { printf "%.2f", $2 * 1000 }' "$work/hyper.json"
}

size() {
    printf '\n## size\n'
    echo "stretcher: $(stat -c %s "$program" | awk '{ printf "%.1f MB", $1 / 1e6 }'), stripped"
    [ -z "${PEER:-}" ] || echo "peer: $(stat -c %s "$PEER" | awk '{ printf "%.1f MB", $1 / 1e6 }')"
}

# real_tree DIR: the Go installation, with its binaries three times.
real_tree() {
    cp -RL "$(go env GOROOT)/." "$1"
    chmod -R u+w "$1"
    local copy
    for copy in 2 3; do cp -R "$1/pkg" "$1/pkg$copy"; cp -R "$1/bin" "$1/bin$copy"; done
}

# pack TREE: TREE.A.tar.gz, and TREE.B.tar.gz with 1 % of the files changed,
# and for each a manifest and a file with its URL.
pack() {
    local tree=$1 v
    for v in A B; do
        [ $v = A ] || "$work/bench" change "$work/$tree"
        tar -czf "$work/$tree.$v.tar.gz" -C "$work/$tree" .
        manifest "$tree.$v" "$work/$tree.$v.tar.gz"
    done
}

# manifest NAME ARCHIVE: in the form that every version reads.
manifest() {
    cat >"$work/$1.yml" <<END
src: file://$2
checksum: $(sha256sum "$2" | cut -d ' ' -f 1)
dest: $work/dest
commands: {post: ["true"]}
END
    echo "file://$work/$1.yml" >"$work/$1.url"
}

# pipeline NAME: the same by hand, for NAME's archive.
pipeline() {
    cat >"$work/pipeline.sh" <<END
set -euo pipefail
t=\$(mktemp -d)
mkdir "\$t/tree"
sum=\$(curl -sS "file://$work/$1.tar.gz" | tee "\$t/archive" | sha256sum | cut -d ' ' -f 1)
[ "\$sum" = "\$(sed -n 's/^checksum: //p' "$work/$1.yml")" ]
tar -xzf "\$t/archive" -C "\$t/tree"
rsync -a --delete -v "\$t/tree/" "$work/dest/"
rm -rf "\$t"
END
}

# one WHO NAME: deploy NAME's archive once and print seconds, CPU seconds and peak KiB.
# With WHO = current, dest may be as it shall be already; else all is done anew.
one() {
    case $1 in
    stretcher) "$work/bench" measure "$work/$2.url" "$program" --force ;;
    current) "$work/bench" measure "$work/$2.url" "$program" ;;
    peer) "$work/bench" measure "$work/$2.url" "$PEER" ;;
    pipeline) pipeline "$2"; "$work/bench" measure /dev/null bash "$work/pipeline.sh" ;;
    esac
}

# deploys TREE: each program in turn, so that a busy moment hits all alike.
deploys() {
    local tree=$1 who what round
    rm -f "$work"/result.*
    for round in $(seq "$runs"); do
        for who in stretcher pipeline ${PEER:+peer}; do
            rm -rf "$work/dest"
            one "$who" "$tree.A" >>"$work/result.$who.first"
            one "$who" "$tree.A" >>"$work/result.$who.same"
            [ "$who" != stretcher ] || one current "$tree.A" >>"$work/result.stretcher.current"
            one "$who" "$tree.B" >>"$work/result.$who.changed"
        done
    done
    for who in stretcher pipeline ${PEER:+peer}; do
        for what in first same current changed; do
            [ -e "$work/result.$who.$what" ] || continue
            "$work/bench" median <"$work/result.$who.$what" | awk -v who="$who" -v what="$what" \
                '{ printf "%-10s %-8s %6.2f s  %6.2f s CPU  %6.1f MB\n", who, what, $1, $2, $3 * 1024 / 1e6 }'
        done
    done
    "$work/bench" median <"$work/result.stretcher.first" | awk '{ print $3 * 1024 / 1e6 }' >"$work/peak"
    echo "peak of stretcher, first deploy: goal $goal_mb MB: $(verdict "$(cat "$work/peak")" $goal_mb)"
}

tree() {
    printf '\n## deploys: %s tree (%s runs each)\n' "$1" "$runs"
    mkdir "$work/$1"
    "$2" "$work/$1"
    pack "$1"
    find "$work/$1" -type f -printf '%s\n' | awk -v gz="$(stat -c %s "$work/$1.A.tar.gz")" \
        '{ n++; s += $1 } END { printf "%d files, %.0f MB, as .tar.gz %.0f MB\n", n, s / 1e6, gz / 1e6 }'
    deploys "$1"
    zstd_too "$1"
    rm -rf "${work:?}/$1" "$work/$1".*
}

# zstd_too TREE: what unpacks faster.
zstd_too() {
    command -v zstd >/dev/null || return 0
    tar -c -C "$work/$1" . | zstd -q -3 -o "$work/$1.Z.tar.zst"
    manifest "$1.Z" "$work/$1.Z.tar.zst"
    rm -f "$work/result.zstd"
    for _ in $(seq "$runs"); do
        rm -rf "$work/dest"
        one stretcher "$1.Z" >>"$work/result.zstd"
    done
    "$work/bench" median <"$work/result.zstd" | awk '{ printf "%-10s %-8s %6.2f s  %6.2f s CPU  %6.1f MB  (archive packed by zstd -3)\n", "stretcher", "first", $1, $2, $3 * 1024 / 1e6 }'
}

made_tree() { "$work/bench" make "$1"; }

machine
size
start_up
tree real real_tree
tree generated made_tree
printf '\nload     %s at the end\n' "$(cut -d ' ' -f 1-3 /proc/loadavg)"
