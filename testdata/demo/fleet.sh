#!/bin/bash
# Shows a rollout over six hosts with the binary named by $1: a version is there, a
# canary of the next one fails and stops the rollout, and the version after that goes
# to all, two at a time, in a table that changes. Hosts are processes on this machine,
# each with a directory of its own; Consul is real.
set -euo pipefail

stretcher=$(realpath "${1:?usage: fleet.sh BINARY}")
PATH=$PATH:$(realpath "$(dirname "$0")/../..")/.tools
hosts="web-1 web-2 web-3 web-4 web-5 web-6"
dir=$(mktemp -d)
consul=
pids=
clean() {
    kill $pids $consul 2>/dev/null || true
    wait
    rm -rf "$dir"
}
trap clean EXIT
trap 'exit 143' TERM INT HUP

title() { printf '\n=== %s\n' "$*"; }

die() {
    echo "demo failed: $*" >&2
    if [ -d "$dir/said" ]; then tail -n 8 "$dir"/said/* >&2; fi
    exit 1
}

command -v consul >/dev/null || die 'consul is not installed: make test-tools brings it'
unset ${!CONSUL_@} ${!STRETCHER_@}

# port: one that nobody has.
port() {
    local p
    while p=$((20000 + RANDOM % 12000)); (: <"/dev/tcp/127.0.0.1/$p") 2>/dev/null; do :; done
    echo "$p"
}

title 'Consul, with six nodes that have the service web, in two racks'
http=$(port)
export CONSUL_HTTP_ADDR=127.0.0.1:$http
consul agent -dev -node demo -bind 127.0.0.1 -client 127.0.0.1 -http-port "$http" -server-port "$(port)" \
    -serf-lan-port "$(port)" -dns-port -1 -grpc-port -1 -serf-wan-port -1 -hcl 'connect { enabled = false }' \
    -hcl 'disable_update_check = true' >"$dir/consul.log" 2>&1 &
consul=$!
for ((i = 0; ; i++)); do
    if consul operator raft list-peers 2>/dev/null | grep -q leader; then break; fi
    [ "$i" -lt 300 ] && kill -0 "$consul" || die "consul does not start: $(tail -n 3 "$dir/consul.log")"
    sleep 0.1
done

# put PATH BODY: a request to Consul, without any program that may be missing.
put() {
    exec 9<>"/dev/tcp/127.0.0.1/$http"
    printf 'PUT %s HTTP/1.1\r\nHost: consul\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s' "$1" "${#2}" "$2" >&9
    grep -q '200 OK' <&9 || die "PUT $1"
    exec 9<&-
}
n=0
for host in $hosts; do
    n=$((n + 1))
    put /v1/catalog/register '{"Node":"'"$host"'","Address":"127.0.2.'$n'","NodeMeta":{"rack":"r'$((1 + n % 2))'"},"Service":{"Service":"web"}}'
done
echo "$hosts"

# publish VERSION CHECK: a version that is good where CHECK says so.
publish() {
    echo "$2" >"$dir/check-$1"
    mkdir -p "$dir/build"
    echo "version $1" >"$dir/build/index.html"
    "$stretcher" pack "$dir/build" --to "$dir/site" --name web --version "$1" --manifest - >/dev/null 2>"$dir/pack.log" <<END ||
dest: $dir/{{ must_env "NODE" }}
sync_strategy: releases
rollout: {service: web, parallel: 2, canary: 1, pause: 1s, zone: node_meta.rack}
commands:
  post: [sleep 1]
  verify: ["sh $dir/check-$1"]
END
        die "pack: $(cat "$dir/pack.log")"
}

# event VERSION: all hosts get the manifest at once, as by consul watch.
event() {
    title "consul event -name deploy file://.../web-$1.yml"
    mkdir -p "$dir/said"
    pids=
    for host in $hosts; do
        NODE=$host "$stretcher" --state-dir "$dir/state/$host" --node "$host" "$dir/site/web-$1.yml" \
            >"$dir/said/$host" 2>&1 &
        pids="$pids $!"
    done
}

# watch VERSION: the table that changes, from when the rollout has begun. On what is no
# terminal it is a line for each change.
watch() {
    local i
    for ((i = 0; i < 300; i++)); do
        case $("$stretcher" fleet status web 2>/dev/null) in "web $1:"*) break ;; esac
        sleep 0.1
    done
    title 'stretcher fleet status web --watch'
    "$stretcher" fleet status web --watch
}

# results: waits for the hosts, and counts those that were good.
results() {
    local pid
    good=0
    for pid in $pids; do
        if wait "$pid"; then good=$((good + 1)); fi
    done
    pids=
}

# live VERSION: how many hosts have it.
live() { cat "$dir"/web-*/current/index.html | grep -c "^version $1$" || true; }

publish 1 true
event 1
results
[ "$good" = 6 ] && [ "$(live 1)" = 6 ] || die "version 1 is on $(live 1) hosts"
"$stretcher" fleet status web

publish 2 'echo "out of memory" >&2; exit 9'
event 2
watch 2 || true
results
[ "$good" = 0 ] && [ "$(live 1)" = 6 ] || die "version 2 is on $(live 2) hosts"
grep -h 'error:' "$dir"/said/* | sed 's/^[^ ]* //' | sort | uniq -c | cut -c 1-120
echo "the canary has switched back by itself, and version 1 is on all 6"

publish 3 true
event 3
watch 3
results
[ "$good" = 6 ] && [ "$(live 3)" = 6 ] || die "version 3 is on $(live 3) hosts"
title 'version 3 is on all hosts; no more than two were at work'
