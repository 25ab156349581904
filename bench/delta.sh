#!/bin/bash
# Part of run.sh: deployments over HTTP where an earlier archive is deployed, by parts
# and in full.

measure_delta() {
    settle "$shm"
    mkdir "$place/www"
    generated_tree "$work/tree"
    printf '\n## delta: generated tree on %s, %s runs each\n' "$(stat -f -c %T "$place")" "$runs"
    serve_http "$place/www"
    publish 0
    local share way who
    for share in ${SHARES:-1 30 100}; do publish "$share"; done
    rm -f "$work"/took.*
    for _ in $(seq "$runs"); do
        for share in ${SHARES:-1 30 100}; do
            for way in ${WAYS:-loopback shaped}; do
                for who in ${BY:-native releases rsync}; do
                    by_parts "$who" "$way" "$share"
                    in_full "$who" "$way" "$share"
                done
                [ -z "$peer" ] || in_full peer "$way" "$share"
            done
        done
    done
    printf '%-8s %-9s %8s %8s %8s %7s %7s %7s %7s\n' way by changed 'parts s' 'full s' 'x full' 'x peer' 'CPU s' 'x CPU'
    for way in ${WAYS:-loopback shaped}; do
        for who in ${BY:-native releases rsync}; do
            for share in ${SHARES:-1 30 100}; do delta_row "$who" "$way" "$share"; done
        done
    done
    sed 's/^/fetched, of 100 files changed /' "$work"/fetched.* | sort -u
    kill "${servers[@]}"
    rm -rf "$work/tree"
}

# publish SHARE: the tree with that many of 100 files changed, and for each program and
# way two manifests: parts, which names the archive's index, and full, which does not.
publish() {
    local tree=$work/tree.$1 archive who way base
    cp -a "$work/tree" "$tree"
    [ "$1" = 0 ] || "$bench" change "$tree" "$1" >/dev/null
    "$program" pack "$tree" --to "file://$place/www/" --name app --version "$1" --dest /nowhere >/dev/null 2>&1
    rm -rf "$tree"
    archive=$(find "$place/www" -name "app-$1-*.tar.gz")
    for way in loopback shaped; do
        base=$http
        [ "$way" = loopback ] || base=$shaped
        for who in native releases rsync peer; do
            cat >"$place/$who.$way.$1.full.yml" <<END
src: $base/$(basename "$archive")
checksum: $(sha256sum "$archive" | cut -d ' ' -f 1)
dest: $place/dest-$who
commands: {post: ["true"]}
END
            [ "$who" = peer ] || echo "sync_strategy: $who" >>"$place/$who.$way.$1.full.yml"
            { cat "$place/$who.$way.$1.full.yml"; grep '^index:' "$place/www/app-$1.yml"; } >"$place/$who.$way.$1.parts.yml"
            for kind in full parts; do echo "file://$place/$who.$way.$1.$kind.yml" >"$place/$who.$way.$1.$kind.url"; done
        done
    done
}

# before WHO: the tree as it was is deployed, and what is known of it.
before() {
    clear_dest "$1"
    rm -rf "${STRETCHER_STATE_DIR:?}"
    case $1 in
    peer) "$peer" <"$place/peer.loopback.0.full.url" >"$place/log" 2>&1 ;;
    *) "$program" <"$place/$1.loopback.0.parts.url" >"$place/log" 2>&1 ;;
    esac
}

# by_parts WHO WAY SHARE: what has changed, measured.
by_parts() {
    before "$1"
    rest
    rm -f "$place/log"
    "$bench" measure "$place/$1.$2.$3.parts.url" "$program" --log-file "$place/log" >>"$work/took.$1.$2.$3.parts"
    sed -n "s/.*fetched \(.* of [^\"]*\) of \".*/$3: \1/p" "$place/log" >>"$work/fetched.$3"
}

# in_full WHO WAY SHARE: all of the archive.
in_full() {
    local by=$program
    [ "$1" != peer ] || by=$peer
    before "$1"
    rest
    "$bench" measure "$place/$1.$2.$3.full.url" "$by" >>"$work/took.$1.$2.$3.full"
}

delta_row() {
    local full peers=0
    full=$("$bench" median <"$work/took.$1.$2.$3.full")
    [ -z "$peer" ] || peers=$("$bench" median <"$work/took.peer.$2.$3.full" | cut -d ' ' -f 1)
    "$bench" median <"$work/took.$1.$2.$3.parts" | awk -v who="$1" -v way="$2" -v share="$3" -v full="$full" -v peer="$peers" \
        '{ split(full, f, " "); printf "%-8s %-9s %7d%% %8.2f %8.2f %7.2f %7.3f %7.2f %7.2f\n", way, who, share, $1, f[1], $1 / f[1], peer ? $1 / peer : 0, $2, $2 / f[2] }'
}
