#!/bin/bash
# Part of run.sh: deploys of one tree by every program, and what scale.sh
# shares with that.

measure_deploys() {
    local tree where
    for tree in ${TREES:-real}; do
        "${tree}_tree" "$work/$tree"
        pack "$tree"
        for where in ${ON:-tmpfs disk}; do
            case $where in
            tmpfs) settle "$shm" ;;
            disk) settle "$disk" ;;
            *) echo "bench: ON: no $where" >&2; exit 2 ;;
            esac
            deploys "$tree"
        done
        rm -rf "${work:?}/$tree" "$work/$tree".*
    done
}

# real_tree DIR: the Go installation, with its binaries three times.
real_tree() {
    mkdir "$1"
    cp -RL "$(go env GOROOT)/." "$1"
    chmod -R u+w "$1"
    local copy
    for copy in 2 3; do cp -R "$1/pkg" "$1/pkg$copy"; cp -R "$1/bin" "$1/bin$copy"; done
}

# generated_tree DIR: 16 000 files of 15 KiB on average and 40 of 4 MiB.
generated_tree() { "$bench" make "$1" 16000 15360 40 4194304; }

# pack TREE: $work/TREE.A.tar.gz, and TREE.B.tar.gz with 1 % of the files
# changed; TREE.changed has the number of these files and their bytes.
pack() {
    cp -a "$work/$1" "$work/$1.B"
    "$bench" change "$work/$1.B" 1 >"$work/$1.changed"
    tar -czf "$work/$1.B.tar.gz" -C "$work/$1.B" . &
    tar -czf "$work/$1.A.tar.gz" -C "$work/$1" .
    wait $!
    rm -rf "${work:?}/$1.B"
}

# describe TREE: its numbers.
describe() {
    find "$work/$1" -type f -printf '%s\n' | awk -v gz="$(stat -c %s "$work/$1.A.tar.gz")" \
        '{ n++; s += $1 } END { printf "%d files, %.0f MB, as .tar.gz %.0f MB", n, s / 1e6, gz / 1e6 }'
    awk '{ printf "; changed: %d files, %.1f MB\n", $1, $2 / 1e6 }' "$work/$1.changed"
}

# offer TREE PROGRAM...: the archives in $place, and for each program, with
# its own dest, manifests that differ in sync_strategy only.
offer() {
    local tree=$1 v who
    shift
    for v in A B; do
        cp "$work/$tree.$v.tar.gz" "$place/$v.tar.gz"
        for who in "$@"; do manifest "$who" "$v" "$place/$v.tar.gz"; done
    done
    pipeline A
    pipeline B
}

# manifest PROGRAM VERSION ARCHIVE: in the form that every stretcher reads.
manifest() {
    cat >"$place/$1.$2.yml" <<END
src: file://$3
checksum: $(sha256sum "$3" | cut -d ' ' -f 1)
dest: $place/dest-$1
commands: {post: ["true"]}
END
    case $1 in rsync | native | releases) echo "sync_strategy: $1" >>"$place/$1.$2.yml" ;; esac
    echo "file://$place/$1.$2.yml" >"$place/$1.$2.url"
}

# pipeline VERSION: the same by hand.
pipeline() {
    cat >"$place/pipeline.$1.sh" <<END
set -euo pipefail
t=\$(mktemp -d)
mkdir "\$t/tree"
sum=\$(curl -sS "file://$place/$1.tar.gz" | tee "\$t/archive" | sha256sum | cut -d ' ' -f 1)
[ "\$sum" = "$(sha256sum "$place/$1.tar.gz" | cut -d ' ' -f 1)" ]
tar -xzf "\$t/archive" -C "\$t/tree"
rsync -a --delete "\$t/tree/" "$place/dest-pipeline/"
rm -rf "\$t"
END
}

# able STRATEGY: whether the program has it; if not, says so. Tried in
# deed, with an archive of one file.
able() {
    mkdir -p "$place/able"
    tar -czf "$place/able.tar.gz" -C "$place" able
    manifest "$1" able "$place/able.tar.gz"
    local status=0
    "$program" <"$place/$1.able.url" >"$place/able.log" 2>&1 || status=$?
    clear_dest "$1"
    [ $status -eq 0 ] || echo "sync_strategy $1: skipped: $(sed -n '$s/.* error: //p' "$place/able.log")" >&2
    return $status
}

# strategies: those of stretcher's that work.
strategies() {
    local who
    for who in rsync native releases; do
        if able "$who"; then echo "$who"; fi
    done
}

clear_dest() {
    [ ! -e "$place/dest-$1" ] || chmod -R u+w "$place/dest-$1"
    rm -rf "${place:?}/dest-$1"
}

# deploy PROGRAM VERSION [FLAG]: once, measured.
deploy() {
    local who=$1 v=$2
    shift 2
    rest
    case $who in
    peer) "$bench" measure "$place/$who.$v.url" "$peer" ;;
    pipeline) "$bench" measure /dev/null bash "$place/pipeline.$v.sh" ;;
    *) "$bench" measure "$place/$who.$v.url" "$program" "$@" ;;
    esac
}

# rest: what earlier deploys left to be written goes to the disk. For some
# minutes ext4 also avoids the inodes of removed files, and makes new ones up
# to ten times slower, as long as it has their blocks in memory: root can make
# it forget. Archives and programs are read again, so that they are in memory.
# The case again makes no files.
rest() {
    sync -f "$place"
    if [ "${where:-}" != disk ] || [ "${what:-}" = again ] || ! may_forget; then return 0; fi
    sync
    echo 1 >/proc/sys/vm/drop_caches
    cat "$place"/*.tar.* "$program" ${peer:+"$peer"} >/dev/null
    sh -c true
    for tool in bash cp curl cut mkdir mktemp rm rsync sha256sum tar gzip tee true "$program"; do
        "$tool" --version >/dev/null 2>&1 || :
    done
}

may_forget() { [ "$(id -u)" = 0 ] && [ -w /proc/sys/vm/drop_caches ]; }

# round PROGRAM RESULTS: a deploy of each kind, in order, with a line each.
round() {
    local who=$1 out=$2
    clear_dest "$who"
    note first A
    note same A --force
    case $who in peer | pipeline) ;; *) note again A ;; esac
    "$bench" mark "$place/dest-$who" >"$work/marks"
    note changed B
    clear_dest "$who"
}

# note CASE VERSION [FLAG]: deploy by $who, with a line in $out.
note() {
    local what=$1 cost fresh=-1
    shift
    touch "$work/began"
    cost=$(deploy "$who" "$@")
    if [ "$what" = changed ]; then
        fresh=$("$bench" fresh "$place/dest-$who" "$work/marks")
        fresh=${fresh#* }
    fi
    echo "$who $what $cost $fresh $(record)" >>"$out"
}

# record: the bytes of what $who has noted of dest in its last deploy.
record() {
    case $who in peer | pipeline) echo 0; return ;; esac
    find "$STRETCHER_STATE_DIR/trees" -type f -newer "$work/began" -printf '%s\n' | awk '{ s += $1 } END { print s + 0 }'
}

# dests: whether the page cache has dest's files, too.
dests() { if [ "$where" = disk ] && may_forget; then echo 'dest not, but for again'; else echo 'dest too'; fi; }

# deploys TREE: by each program in turn, so that a busy moment hits all alike.
deploys() {
    local tree=$1 who all
    printf '\n## deploys: %s tree on %s (%s), %s runs each\n' "$tree" "$where" "$(stat -f -c %T "$place")" "$runs"
    describe "$tree"
    echo 'first: no dest; same: that archive again (stretcher: with --force); again: without; changed: another archive'
    echo "before each: dirty pages of earlier runs written back; archives and programs in the page cache, $(dests)"
    mapfile -t all < <(strategies 2>"$work/skipped")
    cat "$work/skipped"
    all+=(pipeline ${peer:+peer})
    offer "$tree" "${all[@]}"
    rm -f "$work/results"
    for _ in $(seq "$runs"); do
        for who in "${all[@]}"; do round "$who" "$work/results"; done
    done
    "$bench" deploys "$work/results" "$(stat -c %s "$place/B.tar.gz")" "$(cut -d ' ' -f 2 "$work/$tree.changed")"
    [ "$where" != tmpfs ] || zstd_too "$tree"
}

# zstd_too TREE: what unpacks faster.
zstd_too() {
    command -v zstd >/dev/null || return 0
    tar -c -C "$work/$1" . | zstd -q -3 -o "$place/Z.tar.zst"
    local who
    for who in rsync native; do
        grep -q "^$who " "$work/results" || continue
        manifest "$who" Z "$place/Z.tar.zst"
        rm -f "$work/zstd"
        for _ in $(seq "$runs"); do
            clear_dest "$who"
            deploy "$who" Z >>"$work/zstd"
        done
        "$bench" median <"$work/zstd" | awk -v who="$who" '{ printf "%s, first, archive packed by zstd -3: %.2f s, %.2f s CPU, own peak %.1f MB\n", who, $1, $2, $4 * 1024 / 1e6 }'
    done
}
