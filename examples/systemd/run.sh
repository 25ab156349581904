#!/bin/bash
# systemd reads the units, and what they start is started: by their command lines, with
# their environment, and as root with the rights that they leave. Where root runs this and
# has name spaces of its own, all but /srv and the state directory is read-only, as there.
. "$(dirname "$0")/../lib.sh"
need systemd-analyze consul busybox

title 'systemd takes the units, and finds that little is left to them'
mkdir "$dir/units"
for unit in stretcher-watch.service stretcher@.service stretcher@.path; do
    # What a unit starts need not be on this machine.
    sed 's|^ExecStart=[^ ]*|ExecStart=/bin/true|' "$here/$unit" >"$dir/units/$unit"
done
if ! systemd-analyze verify --man=no "$dir/units/"* >"$dir/analyze.log" 2>&1 || holds "$dir/units" "$dir/analyze.log"; then
    die 'systemd does not take them'
fi
for unit in stretcher-watch.service stretcher@.service; do
    systemd-analyze security --offline=true --no-pager --threshold=33 "$dir/units/$unit" >"$dir/analyze.log"
    tail -n 1 "$dir/analyze.log"
done

# value UNIT NAME: what a unit sets. A line that ends in a backslash goes on.
value() { sed -e ':more' -e '/\\$/ {N; s/ *\\\n */ /; b more' -e '}' "$here/$1" | sed -n "s/^$2=//p"; }

# rights UNIT: has "${sandbox[@]}" start a program with what a unit leaves of root's rights.
rights() {
    local set=()
    sandbox=()
    [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null || return 0
    read -ra set <<<"$(value "$1" CapabilityBoundingSet)"
    set=("${set[@]/#CAP_/+}")
    sandbox=(setpriv --no-new-privs --inh-caps -all --bounding-set "$(IFS=, && tr '[:upper:]' '[:lower:]' <<<"-all,${set[*]}")")
    if unshare --mount mount --make-rprivate / 2>/dev/null; then
        # shellcheck disable=SC2016 # what it is given as arguments it expands by itself
        sandbox=(unshare --mount sh -ec 'mount --make-rprivate /
for dir in "$1" "$2"; do mount --bind "$dir" "$dir"; done
mount -o remount,bind,ro /
shift 2; exec "$@"' sh "$dir/srv" "$STRETCHER_STATE_DIR" "${sandbox[@]}")
    fi
}

# started UNIT INSTANCE: makes command what the unit starts. Programs, the server and the
# token are this script's.
started() {
    local environment
    rights "$1"
    environment=$(value "$1" Environment)
    read -ra command <<<"$(value "$1" ExecStart | sed "s|%i|$2|g; s|/usr/bin/stretcher|$stretcher|; \
        s|/usr/bin/consul|$(command -v consul)|; s|https://deploys.example.com/|http://$net.1:8080/|; \
        s|/etc/stretcher|$dir|")"
    command=("${sandbox[@]}" env -i "$environment" "STRETCHER_STATE_DIR=$STRETCHER_STATE_DIR"
        "STRETCHER_CONFIG=$STRETCHER_CONFIG" "CONSUL_HTTP_ADDR=http://$net.1:8500" "${command[@]}")
}

mkdir -p "$dir/srv" "$dir/published" "$STRETCHER_STATE_DIR"
serve server busybox httpd -f -p "$net.1:8080" -h "$dir/published"
# publish VERSION COMMAND
publish() {
    mkdir -p "$dir/build" && echo "version $1" >"$dir/build/index.html"
    "$stretcher" pack "$dir/build" --to "$dir/published/web.yml" --public-url "http://$net.1:8080/" --name web --version "$1" \
        --replace --manifest - >>"$dir/pack.log" 2>&1 <<END
dest: $dir/srv/web
sync_strategy: releases
commands: {post: ["$2"]}
END
}
live() { holds "version $1" "$dir/srv/web/current/index.html"; }

title 'stretcher@web.service: one deployment of web.yml'
publish 1 "touch $dir/outside || true"
wait_for busybox wget -q -O /dev/null "http://$net.1:8080/web.yml"
started stretcher@.service web
expect 0 "${command[@]}" >"$dir/web.log" 2>&1
live 1 || die 'version 1 is not live'
if [ "${sandbox[0]:-}" = unshare ] && [ -e "$dir/outside" ]; then die 'a command has written outside'; fi

title 'it fails when the deployment fails'
publish 2 'exit 3'
expect 1 "${command[@]}" >"$dir/web.log" 2>&1
live 1 || die 'version 1 is not live again'

title 'stretcher-watch.service: the same on an event'
publish 3 true
touch "$dir/consul.token" # without ACLs there is none
serve agent consul agent -dev -bind "$net.1" -client "$net.1" -node web -dns-port -1 -grpc-port -1 -serf-wan-port -1 \
    -hcl 'disable_update_check = true' -hcl 'connect { enabled = false }' -log-level warn
fire() { CONSUL_HTTP_ADDR=http://$net.1:8500 consul event -name "$1" "http://$net.1:8080/web.yml"; }
wait_for fire another
started stretcher-watch.service ''
serve watch "${command[@]}"
wait_for holds 'nothing to do: no event' "$dir/watch.log"
fire deploy
wait_for live 3

title 'stretcher@web.path: touching a file of that name starts stretcher@web.service'
[ "$(value stretcher@.path PathChanged)" = /var/spool/stretcher/%i ] || die 'it looks at another file'
