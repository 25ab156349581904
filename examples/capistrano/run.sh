#!/bin/bash
# Deploys what capistrano-stretcher makes, tarball and manifest, as it is; then the
# same application by `stretcher pack` to the same directory, and goes back.
. "$(dirname "$0")/../lib.sh"
need rsync tar gzip openssl

www=$dir/var/www
mkdir -p "$www/releases" "$www/shared/log" "$www/shared/pids" "$www/shared/config" "$dir/bin" "$dir/assets"
echo 'production: {}' >"$www/shared/config/database.yml"
printf '#!/bin/sh\necho "$*" >>%s/reloads\n' "$dir" >"$dir/bin/systemctl"
chmod 755 "$dir/bin/systemctl"
export PATH=$dir/bin:$PATH

# build VERSION: what a checkout and the tasks for gems and assets leave.
build() {
    rm -rf "$dir/build"
    mkdir -p "$dir/build/config" "$dir/build/log" "$dir/build/tmp" "$dir/build/spec"
    echo "version $1" >"$dir/build/index.html"
    echo 'development: {}' >"$dir/build/config/database.yml"
    echo 8f4b0c >"$dir/build/REVISION"
}

# here TEXT...: the example's text with the directories of this script.
here() { sed "s|/var/www|$www|g; s|/tmp/failure|$dir/failure|; $1" "$2"; }

# capistrano TIME: tarball and manifest as `cap production stretcher:archive_project` makes them.
capistrano() {
    tarball=$dir/assets/shop-$1.tgz
    (cd "$dir/build" && tar -cf - --exclude tmp --exclude spec ./) | gzip >"$tarball"
    sum=$(openssl sha256 "$tarball" | sed 's/.* //')
    here "s|^src: .*|src: file://$tarball|; s|^checksum: .*|checksum: $sum|; s|20261126120000|$1|g" \
        "$here/manifest_www_production.yml" >"$dir/manifest_www_production.yml"
}
deploy() { "$stretcher" "$@" 2>>"$dir/deploy.log"; }
live() {
    holds "version $1" "$www/current/index.html" || die "version $1 is not live"
    holds 'production' "$www/current/config/database.yml" || die 'the configuration is another'
    [ "$(readlink -f "$www/current/log")" = "$www/shared/log" ] || die 'the log is another'
}

title 'as it is: two deployments'
for version in 1 2; do
    build "$version"
    capistrano "2026112612000$version"
    expect 0 deploy "$dir/manifest_www_production.yml"
    live "$version"
done
[ "$(readlink "$www/current")" = "$www/releases/20261126120002" ] || die 'current leads elsewhere'
if grep -E 'unknown key|error:' "$dir/deploy.log"; then die 'it is deployed with complaints'; fi

title 'what fails is told to the commands of failure'
build 3
capistrano 20261126120003
echo damage >>"$tarball"
expect 4 deploy "$dir/manifest_www_production.yml"
holds 'has checksum' "$dir/failure" || die 'failure was not told'
live 2

title 'over to pack: the same directory'
# The gem has shared/pids for tmp/pids: both names lead there from now on.
mkdir -p "$www/shared/tmp"
ln -s ../pids "$www/shared/tmp/pids"
here '' "$here/shop.yml" >"$dir/shop.yml"
for version in 4 5; do
    build "$version"
    url=$("$stretcher" pack "$dir/build" --to "$dir/published" --name shop --version "$version" \
        --exclude tmp --exclude spec --manifest "$dir/shop.yml" 2>>"$dir/pack.log")
    expect 0 deploy "$url"
    live "$version"
    echo 42 >"$www/current/tmp/pids/shop.pid"
    holds 42 "$www/shared/pids/shop.pid" || die 'pids are elsewhere'
done
[ -d "$www/releases/20261126120001" ] || die 'what the gem deployed is gone'
[ "$(wc -l <"$dir/reloads")" = 4 ] || die 'it was reloaded other than four times'

title 'and back'
expect 0 deploy rollback "$www"
live 4
