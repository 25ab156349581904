#!/bin/bash
# A host that looks by itself, as the timer of the packages has it: it deploys what has
# changed, and does nothing else. The command is that of the unit, and that of cron.
. "$(dirname "$0")/../lib.sh"
need busybox

# The units lie beside the sources, beside the examples of a release, or where a package that
# has the examples in /usr/share/doc/stretcher has put them.
units=
for place in "$here/../../packaging/systemd" "$here/../../systemd" "$here/../../../../../lib/systemd/system"; do
    if [ -z "$units" ] && [ -e "$place/stretcher-pull@.timer" ]; then units=$(realpath "$place"); fi
done
[ -n "$units" ] || missing 'the units stretcher-pull@ are not installed'

mkdir -p "$dir/srv" "$dir/published"
url=http://$net.1:8080/web.yml
serve server busybox httpd -f -p "$net.1:8080" -h "$dir/published"

# publish VERSION: by a name that stays. The server hands out whole files only: each takes
# the place of the one before by a rename.
publish() {
    mkdir -p "$dir/build" && echo "version $1" >"$dir/build/index.html"
    "$stretcher" pack "$dir/build" --to "$dir/published/web.yml" --public-url "${url%web.yml}" --name web --version "$1" \
        --replace --manifest - >>"$dir/pack.log" 2>&1 <<END
dest: $dir/srv/web
sync_strategy: releases
commands: {post: ["echo restarted >> $dir/restarts"]}
END
}

# look: what `systemctl start stretcher-pull@web` comes to.
sed "s|^MANIFEST=.*|MANIFEST=$url|" "$here/pull-web.env" >"$dir/pull-web.env"
settings=$(sed -n 's/^Environment=\(STRETCHER_.*\)/\1/p' "$units/stretcher-pull@.service")
command=$(sed -n 's|^ExecStart=/usr/bin/stretcher ||p' "$units/stretcher-pull@.service")
look() (
    set -a
    eval "$settings"
    . "$dir/pull-web.env"
    eval "$stretcher --retry-wait 0.1 $command" >>"$dir/look.log" 2>&1
)
# state RUNS RESTARTS VERSION: what there is after a look.
state() {
    [ "$("$stretcher" history --json | wc -l)" = "$1" ] || die "there are other than $1 runs"
    [ "$(wc -l <"$dir/restarts")" = "$2" ] || die "it was restarted other than $2 times"
    holds "version $3" "$dir/srv/web/current/index.html" || die "version $3 is not live"
}

title 'the first look deploys'
publish 1
wait_for busybox wget -q -O /dev/null "$url"
expect 0 look
state 1 1 1

title 'the next ones find nothing to do: no run, no restart'
expect 0 look
expect 0 look
state 1 1 1

title 'a new version, and two looks at once'
publish 2
look & first=$!
expect 0 look
expect 0 wait "$first"
state 2 2 2

title 'by cron'
publish 3
grep -v '^#' "$here/cron" | sed "s|^.*[*] root ||; s|/usr/bin/stretcher|$stretcher|; s|5m|0.1s|; \
    s|https://[^ ]*|$url|; s|logger -t stretcher|cat >> $dir/cron.log|" >"$dir/cron"
sh "$dir/cron"
state 3 3 3
sh "$dir/cron"
state 3 3 3

title 'a manifest that has expired is refused; what is there stays'
echo 'expires: 2026-01-01T00:00:00Z' >>"$dir/published/web.yml"
expect 4 look
state 4 3 3

title 'the server is down: what is there stays'
stop
expect 1 look
holds 'version 3' "$dir/srv/web/current/index.html" || die 'version 3 is gone'

if command -v systemd-analyze >/dev/null; then
    title 'systemd reads the units'
    mkdir "$dir/units"
    for unit in service timer; do
        sed 's|^ExecStart=[^ ]*|ExecStart=/bin/true|' "$units/stretcher-pull@.$unit" >"$dir/units/stretcher-pull@.$unit"
    done
    if ! systemd-analyze verify --man=no "$dir/units/"* >"$dir/analyze.log" 2>&1 || holds "$dir/units" "$dir/analyze.log"; then
        die 'systemd does not take them'
    fi
fi
