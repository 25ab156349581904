#!/bin/bash
# Deploys a sample application twice with the binary named by $1, in a temporary
# directory, and shows what happens. Ends with status 1 as soon as anything is
# not as it should be.
set -euo pipefail

stretcher=$(realpath "${1:?usage: run.sh BINARY}")
app=$(dirname "$(realpath "$0")")/app

if ! command -v rsync >/dev/null; then
    echo 'The demo needs rsync: sudo apt-get install rsync' >&2
    exit 1
fi

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
dest=$dir/srv/app
export STRETCHER_STATE_DIR=$dir/state

title() { printf '\n=== %s\n' "$*"; }

die() {
    echo "demo failed: $*" >&2
    exit 1
}

# pack VERSION: an archive of the tree and the manifest that deploys it. A
# service is restarted in real life; here a line in a file stands for it.
pack() {
    local archive=$dir/app-$1.tar.gz sum
    tar -czf "$archive" -C "$dir/build" .
    sum=$(sha256sum "$archive" | cut -d ' ' -f 1)
    cat >"$dir/app-$1.yml" <<END
src: file://$archive
checksum: sha256:$sum
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

# deploy VERSION: the manifest's URL comes in by a pipe, as from an event.
deploy() {
    title "the manifest of version $1"
    cat "$dir/app-$1.yml"
    title "echo file://$dir/app-$1.yml | stretcher"
    echo "file://$dir/app-$1.yml" | "$stretcher"
}

show() {
    title "$1"
    (cd "$dest" && find . -printf '%M %6s %P\n' | sort -k 3)
    sh "$dest/bin/hello"
}

mkdir -p "$dir/build" "$dir/srv"
cp -R "$app/." "$dir/build"
chmod +x "$dir/build/bin/hello"
chmod 755 "$dir/build"
# rsync takes a file of the same size and second for unchanged, and both versions
# are made within one.
find "$dir/build" -exec touch -t 202601020304.05 {} +

pack 1
deploy 1 || die "the first deploy ended with status $?"
show "dest: $dest"
cmp -s "$dir/build/index.html" "$dest/index.html" || die "index.html differs"
[ -x "$dest/bin/hello" ] || die "bin/hello lost its mode"

title 'version 2: a changed page, a file less; the running one has left app.pid in dest'
echo $$ >"$dest/app.pid"
sed -i.bak 's/version 1/version 2/' "$dir/build/index.html"
sed -i.bak 's/version=1/version=2/' "$dir/build/config/app.conf"
find "$dir/build" -name '*.bak' -delete
rm "$dir/build/news.html"
pack 2
deploy 2 || die "the second deploy ended with status $?"
show 'dest: news.html is gone, app.pid (excluded) is kept'
cmp -s "$dir/build/index.html" "$dest/index.html" || die "index.html differs"
[ ! -e "$dest/news.html" ] || die "news.html is still there"
[ -e "$dest/app.pid" ] || die "app.pid is gone"

title 'version 3 arrives damaged: it is refused, and dest stays as it is'
sed -i.bak 's/version=2/version=3/' "$dir/build/config/app.conf"
pack 3
echo damage >>"$dir/app-3.tar.gz"
status=0
deploy 3 || status=$?
[ "$status" = 4 ] || die "a damaged archive ended with status $status, not 4 (refused)"
sh "$dest/bin/hello" | grep 'version 2' || die "dest has changed"

title 'what the success command of version 2 got on its stdin: the log'
[ -s "$dir/log-2" ] || die "the success command got no log"
cat "$dir/log-2"

title "all of it was in $dir, which is removed now"
