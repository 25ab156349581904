#!/bin/bash
# Deploys a sample application with the binary named by $1, in a temporary
# directory, and shows what happens: to a plain directory, then by releases.
# Ends with status 1 as soon as anything is not as it should be.
set -euo pipefail

stretcher=$(realpath "${1:?usage: run.sh BINARY}")
app=$(dirname "$(realpath "$0")")/app

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
dest=$dir/srv/app
web=$dir/srv/web
site=$dir/site
export STRETCHER_STATE_DIR=$dir/state

title() { printf '\n=== %s\n' "$*"; }

die() {
    echo "demo failed: $*" >&2
    exit 1
}

# publish NAME VERSION: packs the tree, with what the manifest says besides on
# standard input.
publish() {
    title "stretcher pack build --to site --name $1 --version $2 --manifest -"
    "$stretcher" pack "$dir/build" --to "$site" --name "$1" --version "$2" --manifest -
}

# pack VERSION: for a plain directory. A service is restarted in real life; here
# a line in a file stands for it.
pack() {
    publish app "$1" <<END
dest: $dest
excludes: ["*.pid"]
commands:
  pre:     ["echo before version $1"]
  post:    ["echo restarted >> $dir/restarts"]
  verify:  ["sh $dest/bin/hello | grep 'version $1'"]
  success: ["cat > $dir/log-$1; echo version $1 is live"]
  failure: ["echo version $1 failed"]
END
}

# release VERSION: the same by releases. The log directory is shared by all.
release() {
    publish web "$1" <<END
dest: $web
sync_strategy: releases
releases: {keep: 3, shared: [log/]}
commands:
  post:    ["sh $web/current/bin/hello | tee -a $web/current/log/starts"]
  verify:  ["sh $web/current/bin/hello | grep '^Hello'"]
  success: ["echo version $1 is live"]
  failure: ["echo version $1 failed"]
END
}

# version FROM TO: what the sample application is from now on. A file of the same
# size and second is taken for unchanged, and all versions are made within one.
version() {
    sed -i.bak "s/version $1/version $2/" "$dir/build/index.html"
    sed -i.bak "s/version=$1/version=$2/" "$dir/build/config/app.conf"
    find "$dir/build" -name '*.bak' -delete
    touch -t "2026020${2}0304.05" "$dir/build/index.html" "$dir/build/config/app.conf"
}

# deploy NAME: the manifest's URL comes in by a pipe, as from an event.
deploy() {
    title "echo file://$site/$1.yml | stretcher"
    echo "file://$site/$1.yml" | "$stretcher"
}

# run ARGUMENT...: stretcher, and what it was told.
run() {
    title "stretcher $*"
    "$stretcher" "$@"
}

# expect STATUS COMMAND...
expect() {
    local want=$1 status=0
    shift
    "$@" || status=$?
    [ "$status" = "$want" ] || die "$* ended with status $status, not $want"
}

show() {
    title "$1"
    (cd "$dest" && find . -printf '%M %6s %P\n' | sort -k 3)
    sh "$dest/bin/hello"
}

# live VERSION: it is what is current, and the link is no dangling one.
live() {
    title "what is live: current leads to $(readlink "$web/current")"
    sh "$web/current/bin/hello" | grep "version $1\$" || die "version $1 is not live"
}

mkdir -p "$dir/build" "$dir/srv"
cp -R "$app/." "$dir/build"
chmod +x "$dir/build/bin/hello"
chmod 755 "$dir/build"
find "$dir/build" -exec touch -t 202601020304.05 {} +

title 'PART 1: a plain directory'
if command -v rsync >/dev/null; then
    echo 'rsync is installed, so the manifest, which names no strategy, is synced by it'
else
    echo 'rsync is not installed, so the manifest, which names no strategy, is synced by stretcher itself'
fi

pack 1
title 'the manifest of version 1'
cat "$site/app-1.yml"
expect 0 deploy app-1
show "dest: $dest"
cmp -s "$dir/build/index.html" "$dest/index.html" || die "index.html differs"
[ -x "$dest/bin/hello" ] || die "bin/hello lost its mode"

title 'version 2: a changed page, a file less; the running one has left app.pid in dest'
echo $$ >"$dest/app.pid"
version 1 2
rm "$dir/build/news.html"
pack 2
expect 10 run plan "$site/app-2.yml"
[ -e "$dest/news.html" ] || die "plan has changed dest"
expect 0 deploy app-2
show 'dest: news.html is gone, app.pid (excluded) is kept'
cmp -s "$dir/build/index.html" "$dest/index.html" || die "index.html differs"
[ ! -e "$dest/news.html" ] || die "news.html is still there"
[ -e "$dest/app.pid" ] || die "app.pid is gone"

title 'version 3 arrives damaged: it is refused, and dest stays as it is'
version 2 3
pack 3
for archive in "$site"/app-3-*.tar.gz; do echo damage >>"$archive"; done
expect 4 deploy app-3
sh "$dest/bin/hello" | grep 'version 2' || die "dest has changed"

title 'what the success command of version 2 got on its stdin: the log'
[ -s "$dir/log-2" ] || die "the success command got no log"
cat "$dir/log-2"

title 'PART 2: releases'
version 3 1
release 1
title 'the manifest of version 1'
cat "$site/web-1.yml"
expect 0 deploy web-1
version 1 2
release 2
expect 0 deploy web-2
live 2
(cd "$web" && ls -d current shared/log releases/*)

title 'version 3 says nothing sensible: its verify command fails, and stretcher goes back by itself'
sed -i.bak 's/^greeting=.*/greeting=Oops/' "$dir/build/config/app.conf"
rm "$dir/build/config/app.conf.bak"
version 2 3
release 3
expect 1 deploy web-3
live 2
expect 1 run status "$web"

title 'version 2 is not wanted either: back to version 1, which needs no fetching'
expect 0 run rollback "$web"
live 1
expect 0 run status "$web"

title 'what a deployment of version 2 would change now'
expect 10 run plan "$site/web-2.yml"
live 1

title 'the log that all releases share: what has been started, in this order'
cat "$web/shared/log/starts"
[ "$(sed 's/.* //' "$web/shared/log/starts" | tr '\n' ' ')" = '1 2 3 2 1 ' ] || die "the starts are others"

run history "$web"

title "all of it was in $dir, which is removed now"
