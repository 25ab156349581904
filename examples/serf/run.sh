#!/bin/bash
# Three Serf agents, by the file of this directory. An event deploys on all of them; a
# query deploys, and each says how it went; another asks what is there.
. "$(dirname "$0")/../lib.sh"
need serf

key=$(serf keygen)
nodes=(web1 web2 web3)

# ROOT stands for the host's /.
for i in "${!nodes[@]}"; do
    node=${nodes[i]} address=$net.$((i + 1))
    mkdir -p "$dir/$node/srv" "$dir/$node/tmp"
    sed "s|\"AAA.*=\"|\"$key\"|; s|/var/log/|$dir/$node/|; s|=stretcher|=$stretcher|" "$here/serf.json" >"$dir/$node/serf.json"
    serve "$node" env ROOT="$dir/$node" STRETCHER_STATE_DIR="$dir/$node/state" TMPDIR="$dir/$node/tmp" \
        serf agent -profile local -node "$node" -bind "$address:7946" -rpc-addr "$address:7373" \
        -config-file "$dir/$node/serf.json" -join "$net.1"
    wait_for serf members -rpc-addr "$address:7373"
done
three() { [ "$(serf members -rpc-addr "$net.3:7373" -status alive | wc -l)" = 3 ]; }
wait_for three

# publish VERSION REST...: gives the manifest's URL. An event has little room for it.
publish() {
    mkdir -p "$dir/build" && echo "version $1" >"$dir/build/index.html"
    printf '%s\n' "dest: '{{ must_env \"ROOT\" }}/srv/app'" 'sync_strategy: releases' "${@:2}" |
        ROOT=/ "$stretcher" pack "$dir/build" --to "$dir/p/" --name app --version "$1" --manifest - 2>>"$dir/pack.log"
}
live() { holds "version $2" "$dir/$1/srv/app/current/index.html"; }
# ended NODE NUMBER: that many runs have come to their end there.
ended() { [ "$("$stretcher" history --json --state-dir "$dir/$1/state" | grep -cE '"result":"(good|failed)"')" = "$2" ]; }
# ask RUNS QUERY PAYLOAD TEXT: until that many runs have come to their end on each node, and
# some node has answered with the text. The client itself waits for its time to be over.
ask() {
    serf query -rpc-addr "$net.2:7373" -relay-factor 1 -timeout 300s "$2" "$3" >"$dir/replies" &
    servers+=($!)
    for node in "${nodes[@]}"; do wait_for ended "$node" "$1"; done
    wait_for holds "$4" "$dir/replies"
    stop
    cat "$dir/replies"
}
# logs: what each node has written.
logs() { cat "$dir"/*/stretcher.log; }

title 'an event'
serf event -rpc-addr "$net.1:7373" deploy "$(publish 1)"
for node in "${nodes[@]}"; do
    wait_for live "$node" 1
    wait_for ended "$node" 1
done

title 'a query: each host answers how it went'
ask 2 deploy "$(publish 2)" 'deployed "app" version "2"'
for node in "${nodes[@]}"; do
    live "$node" 2 || { logs; die "version 2 is not live on $node"; }
done

title 'a version that one host does not take: it goes back to the one before, and says so'
verify='commands: {verify: ["case $STRETCHER_DEST in */web2/*) exit 1; esac"]}'
ask 3 deploy "$(publish 3 "$verify")" 'Response from'
live web1 3 && live web2 2 && live web3 3 || { logs; die 'other versions are live'; }
expect 1 "$stretcher" status --state-dir "$dir/web2/state" "$dir/web2/srv/app"

title 'what is there'
for limit in 2 4 8 16 32 64; do
    # A reply may be lost on its way: what changes nothing is asked again.
    serf query -rpc-addr "$net.3:7373" -relay-factor 1 -timeout "${limit}s" status "$dir/web2/srv/app" >"$dir/replies"
    if holds 'failed: run' "$dir/replies"; then break; fi
done
cat "$dir/replies"
holds 'failed: run' "$dir/replies" || die 'web2 does not answer'

title 'one answer of all'
export SERF_RPC_ADDR=$net.3:7373
for limit in 2 4 8 16 32 64; do
    "$stretcher" fleet status --serf --timeout "$limit" app 3 >"$dir/told" || true
    if holds '2 of 3 hosts good, 1 failed' "$dir/told"; then break; fi
done
cat "$dir/told"
holds '2 of 3 hosts good, 1 failed' "$dir/told" || die 'not all of them answer'
