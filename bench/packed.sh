#!/bin/bash
# Part of run.sh: archives by `stretcher pack` beside one by tar and gzip, and
# how long a first deployment of each takes.

measure_packed() {
    settle "$shm"
    real_tree "$work/real"
    tar -czf "$place/plain.tar.gz" -C "$work/real" .
    printf '\n## packed: real tree on %s, %s runs each\n' "$(stat -f -c %T "$place")" "$runs"
    manifest native plain "$place/plain.tar.gz"
    [ -z "$peer" ] || manifest peer plain "$place/plain.tar.gz"
    printf 'sync_strategy: native\ncommands: {post: ["true"]}\n' >"$place/template.yml"
    packed gzip
    packed zstd
    rm -f "$work"/took.*
    for _ in $(seq "$runs"); do
        first_of native plain
        first_of native gzip
        first_of native zstd
        [ -z "$peer" ] || first_of peer plain
    done
    printf '%-7s %-6s %9s %9s %8s %8s %7s %7s %8s\n' who packed MB 'x gzip -6' 'index MB' 'first s' 'x peer' 'CPU s' 'own MB'
    packed_row native plain
    packed_row native gzip
    packed_row native zstd
    [ -z "$peer" ] || packed_row peer plain
    rm -rf "$work/real"
}

# packed FORMAT: publishes the tree, and notes its manifest.
packed() {
    mkdir "$place/$1"
    "$bench" measure /dev/null "$program" pack "$work/real" --to "file://$place/$1/" --name app --version 1 \
        --compress "$1" --dest "$place/dest-native" --manifest "$place/template.yml" |
        awk -v how="$1" '{ printf "pack --compress %s: %.2f s, %.2f s CPU, own peak %.0f MB\n", how, $1, $2, $4 * 1024 / 1e6 }'
    echo "file://$place/$1/app-1.yml" >"$place/native.$1.url"
}

# first_of WHO HOW: a deployment where there is no dest, and nothing is known.
first_of() {
    clear_dest "$1"
    rm -rf "${STRETCHER_STATE_DIR:?}"
    deploy "$1" "$2" >>"$work/took.$1.$2"
}

# archive_of HOW: its name.
archive_of() {
    case $1 in
    plain) echo "$place/plain.tar.gz" ;;
    *) find "$place/$1" -name 'app-1-*.tar.*' ! -name '*.idx' ;;
    esac
}

packed_row() {
    local archive peers=0
    archive=$(archive_of "$2")
    [ ! -e "$work/took.peer.plain" ] || peers=$("$bench" median <"$work/took.peer.plain" | cut -d ' ' -f 1)
    "$bench" median <"$work/took.$1.$2" | awk -v who="$1" -v how="$2" -v peer="$peers" \
        -v size="$(stat -c %s "$archive")" -v plain="$(stat -c %s "$place/plain.tar.gz")" \
        -v idx="$(stat -c %s "$archive.idx" 2>/dev/null || echo 0)" \
        '{ printf "%-7s %-6s %9.1f %9.3f %8.2f %8.2f %7.2f %7.2f %8.1f\n", who, how, size / 1e6, size / plain, idx / 1e6, $1, peer ? $1 / peer : 0, $2, $4 * 1024 / 1e6 }'
}
