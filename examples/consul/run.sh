#!/bin/bash
# A Consul cluster of three servers and two hosts, with certificates, ACLs and
# encrypted gossip, by the files of this directory. An event deploys on both hosts; who
# has another token than the deployer's deploys nothing.
. "$(dirname "$0")/../lib.sh"
need consul

agents=(server1 server2 server3 web1 web2)
ca=$dir/consul-agent-ca.pem
gossip=$(consul keygen)

# address NODE
address() {
    local i
    for i in "${!agents[@]}"; do
        if [ "${agents[i]}" = "$1" ]; then echo "$net.$((i + 1))"; fi
    done
}

# consul_at NODE TOKEN ARGUMENT...: a client of that agent.
consul_at() {
    local node=$1 token=$2
    shift 2
    CONSUL_HTTP_ADDR=https://$(address "$node"):8501 CONSUL_CACERT=$ca CONSUL_TLS_SERVER_NAME=localhost \
        CONSUL_HTTP_TOKEN=$token consul "$@"
}

# configure NODE KIND: what /etc/consul.d of the node has.
configure() {
    local etc=$dir/$1
    mkdir -p "$etc"
    mv "$dir/dc1-$2-consul-0.pem" "$etc/agent.pem"
    mv "$dir/dc1-$2-consul-0-key.pem" "$etc/agent-key.pem"
    cp "$ca" "$etc"
    sed "s|/etc/consul.d/|$etc/|" "$here/tls.hcl" >"$etc/tls.hcl"
    sed "s|^encrypt  .*|encrypt = \"$gossip\"|" "$here/agent.hcl" >"$etc/deploy.hcl"
    if [ "$2" = server ]; then cp "$here/server.hcl" "$etc"; fi
}

title 'certificates'
(cd "$dir" && consul tls ca create >/dev/null)
for node in "${agents[@]}"; do
    kind=client
    case $node in server*) kind=server ;; esac
    (cd "$dir" && consul tls cert create "-$kind" -dc dc1 >/dev/null 2>&1)
    configure "$node" "$kind"
    # What has nothing to do with deploying opens no port.
    serve "$node" consul agent -config-dir "$dir/$node" -data-dir "$dir/$node/data" -node "$node" \
        -bind "$(address "$node")" -client "$(address "$node")" -retry-join "$net.1" -dns-port -1 -grpc-port -1 \
        -hcl 'ports { serf_wan = -1 }' -hcl 'disable_update_check = true' -hcl 'connect { enabled = false }' \
        -log-level warn
done

title 'tokens: of each agent, of a host, of who deploys'
bootstrap() {
    consul_at server1 '' acl bootstrap -format json >"$dir/bootstrap"
}
wait_for bootstrap
secret() { sed -n 's/.*"SecretID": "\(.*\)".*/\1/p'; }
management=$(secret <"$dir/bootstrap")

# patiently COMMAND...: a cluster may be without a leader for a moment.
patiently() {
    local i
    for ((i = 0; i < 100; i++)); do
        if "$@" 2>"$dir/consul.log"; then return; fi
        sleep 1
    done
    die "gave up on: $*"
}

# token ARGUMENT...: makes one.
token() { patiently consul_at server1 "$management" acl token create -format json "$@" | secret; }

for node in "${agents[@]}"; do
    patiently consul_at "$node" "$management" acl set-agent-token agent "$(token -node-identity "$node:dc1")" >/dev/null
done
for policy in host deployer; do
    patiently consul_at server1 "$management" acl policy create -name "stretcher-$policy" -rules "@$here/$policy.hcl" >/dev/null
done
host=$(token -policy-name stretcher-host)
deployer=$(token -policy-name stretcher-deployer)

title 'an agent answers by TLS alone, and who does not know its authority does not trust it'
if consul members -http-addr "http://$net.1:8501" -token "$management" 2>/dev/null ||
    consul members -http-addr "https://$net.1:8501" -tls-server-name localhost -token "$management" 2>"$dir/said"; then
    die 'an agent answers'
fi
holds 'certificate' "$dir/said" || die "it says $(cat "$dir/said")"

title 'a watch on each host'
# watch NODE TEXT: what the unit in ../systemd starts there, until it has said TEXT. ROOT
# stands for the host's /.
watch() {
    : >"$dir/watch-$1.log"
    mkdir -p "$dir/$1/srv"
    serve "watch-$1" env ROOT="$dir/$1" STRETCHER_STATE_DIR="$dir/$1/state" CONSUL_CACERT="$ca" \
        CONSUL_HTTP_ADDR="https://$(address "$1"):8501" CONSUL_TLS_SERVER_NAME=localhost \
        consul watch -token-file "$dir/token" -type event -name deploy "$stretcher"
    wait_for holds "$2" "$dir/watch-$1.log"
}
echo "$host" >"$dir/token"
watch web2 'nothing to do: no event'
watch web1 'nothing to do: no event'

# publish VERSION: gives the manifest's URL. An event has little room for it.
publish() {
    mkdir -p "$dir/build" && echo "version $1" >"$dir/build/index.html"
    "$stretcher" pack "$dir/build" --to "$dir/p/" --name app --version "$1" --manifest - 2>>"$dir/pack.log" <<'END'
dest: '{{ must_env "ROOT" }}/srv/app'
sync_strategy: releases
END
}
live() { holds "version $2" "$dir/$1/srv/app/current/index.html"; }

title 'who may deploy'
one=$(ROOT=/ publish 1)
# denied NODE TOKEN: it fires no event.
denied() {
    if consul_at "$1" "$2" event -name deploy "$one" >"$dir/said" 2>&1; then die 'it fires an event'; fi
    grep 'Permission denied' "$dir/said"
}
wait_for denied web1 "$host"
wait_for denied server1 ''
if [ -e "$dir/web1/srv/app" ]; then die 'it is deployed all the same'; fi
patiently consul_at server2 "$deployer" event -name deploy "$one"
wait_for live web1 1
wait_for live web2 1

title 'a second version'
two=$(ROOT=/ publish 2)
patiently consul_at server3 "$deployer" event -name deploy "$two"
wait_for live web1 2
wait_for live web2 2
wait_for holds 'deployed "app" version "2"' "$dir/watch-web1.log"

title 'a watch that is started anew is handed the last event again, and does not deploy again'
stop
watch web1 'has been handled by run'
[ "$("$stretcher" history --json --state-dir "$dir/web1/state" | grep -c '"good"')" = 2 ] || die 'there are other runs'
