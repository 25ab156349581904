#!/bin/bash
# Part of run.sh: an archive over HTTP, on one connection and on several.

measure_connections() {
    settle "$shm"
    mkdir "$place/tree"
    head -c 131000000 /dev/urandom >"$place/tree/blob"
    tar -cf "$place/blob.tar" -C "$place" tree
    printf '\n## connections: an archive of %s over HTTP, %s runs each\n' "$(megabytes "$place/blob.tar")" "$runs"
    serve_http "$place"
    local n
    for n in 1 2 4 8; do
        over_http loopback "$n" "$http"
        over_http shaped "$n" "$shaped"
    done
    rm -f "$work"/took.*
    for _ in $(seq "$runs"); do
        for n in 1 2 4 8; do
            timed_fetch loopback "$n"
            timed_fetch shaped "$n"
        done
    done
    printf '%-10s %11s %8s %8s %7s %8s\n' way connections 'fetch s' 'x one' 'CPU s' 'own MB'
    for way in loopback shaped; do
        for n in 1 2 4 8; do connections_row "$way" "$n"; done
    done
    kill "${servers[@]}"
}

# serve_http DIR: $http serves it, and $shaped does so at 50 MB/s for each
# connection, with round trips of 20 ms. $servers are their processes.
serve_http() {
    servers=()
    "$bench" serve 127.0.0.1:0 "$1" >"$work/http" &
    servers+=($!)
    http=http://$(first_line "$work/http")
    "$bench" shape 127.0.0.1:0 "${http#http://}" "${RATE:-50MB}" "${RTT:-20ms}" >"$work/shaped" &
    servers+=($!)
    shaped=http://$(first_line "$work/shaped")
}

first_line() {
    until [ -s "$1" ]; do sleep 0.05; done
    head -n 1 "$1"
}

# over_http WAY CONNECTIONS BASE: a manifest.
over_http() {
    cat >"$place/$1.$2.yml" <<END
src: $3/blob.tar
checksum: $(sha256sum "$place/blob.tar" | cut -d ' ' -f 1)
dest: $place/dest-native
sync_strategy: native
fetch: {connections: $2}
END
    echo "file://$place/$1.$2.yml" >"$place/$1.$2.url"
}

# timed_fetch WAY CONNECTIONS: the time that the log says, and what the whole
# deployment takes.
timed_fetch() {
    clear_dest native
    rm -rf "${STRETCHER_STATE_DIR:?}"
    local log=$place/log cost
    rm -f "$log"
    cost=$("$bench" measure "$place/$1.$2.url" "$program" --log-file "$log")
    echo "$(sed -n 's/.*fetched ".* in \([^,]*\), .*/\1/p' "$log" | seconds) $cost" >>"$work/took.$1.$2"
}

# seconds: of times such as 1m2.5s and 153ms.
seconds() { sed 's/ms$/e-3/; s/s$//' | awk -F m '{ print (NF > 1) ? $1 * 60 + $2 : $1 + 0 }'; }

connections_row() {
    local one
    one=$("$bench" median <"$work/took.$1.1" | cut -d ' ' -f 1)
    "$bench" median <"$work/took.$1.$2" | awk -v way="$1" -v n="$2" -v one="$one" \
        '{ printf "%-10s %11d %8.2f %8.2f %7.2f %8.1f\n", way, n, $1, $1 / one, $3, $5 * 1024 / 1e6 }'
}
