#!/bin/bash
# Deploys a site 20 times and goes back 5 times while visitors load it from a real
# nginx: no request fails, no page is of two versions, no asset of a page is missing.
. "$(dirname "$0")/../lib.sh"
need nginx curl
load=$(command -v load || true)
if [ -z "$load" ]; then
    need go
    go build -o "$dir/load" "$here/load/main.go"
    load=$dir/load
fi

site=$dir/srv/site
url=http://$net.1:8080
mkdir "$dir/srv"

# The server block of the example, with directories and address of this script.
cat >"$dir/nginx.conf" <<END
daemon off;
pid $dir/nginx.pid;
error_log stderr error;
events { worker_connections 256; }
http {
    access_log off;
    client_body_temp_path $dir/body;
    proxy_temp_path $dir/proxy;
    fastcgi_temp_path $dir/fastcgi;
    uwsgi_temp_path $dir/uwsgi;
    scgi_temp_path $dir/scgi;
$(sed "s|/srv/|$dir/srv/|; s|listen 80;|listen $net.1:8080;|" "$here/nginx.conf")
}
END
if [ "$(id -u)" = 0 ]; then sed -i '1i user root;' "$dir/nginx.conf"; fi
sed "s|/srv/|$dir/srv/|; s|http://127.0.0.1/|$url/|" "$here/site.yml" >"$dir/site.yml"

# deploy VERSION: builds it, packs it, deploys it. Pages and assets are long, so that
# one of two versions would be noticed.
filler=$(seq 4000)
deploy() {
    rm -rf "$dir/build" && mkdir -p "$dir/build/assets"
    printf 'version %s asset /assets/app-%s.js\n%s\n version %s\n' "$1" "$1" "$filler" "$1" >"$dir/build/index.html"
    printf 'version %s \n%s\n version %s\n' "$1" "$filler" "$1" >"$dir/build/assets/app-$1.js"
    manifest=$("$stretcher" pack "$dir/build" --to "$dir/published" --name site --version "$1" \
        --manifest "$dir/site.yml" 2>>"$dir/pack.log")
    "$stretcher" "$manifest" >>"$dir/deploy.log" 2>&1 || die "version $1 is not deployed"
}

serve nginx nginx -e stderr -p "$dir" -c "$dir/nginx.conf"
wait_for curl -sS "$url/"

title 'version 1, then visitors come'
deploy 1
"$load" "$url" "$dir/seen" >"$dir/load.result" 2>"$dir/load.log" &
visitors=$!
servers+=("$visitors")

title '19 versions more, each seen by visitors'
for version in $(seq 2 20); do
    deploy "$version"
    wait_for grep -qx "$version" "$dir/seen"
done

title 'five rollbacks'
for version in 19 18 17 16 15; do
    "$stretcher" rollback "$site" >>"$dir/deploy.log" 2>&1 || die "no way back to version $version"
    curl -fsS "$url/" >"$dir/page" && holds "version $version asset" "$dir/page" || die "version $version is not live"
done

title 'what the visitors counted'
kill "$visitors"
wait "$visitors" || die "$(cat "$dir/load.result" "$dir/load.log")"
cat "$dir/load.result"
holds ' 0 failed, 20 versions' "$dir/load.result" || die 'something is missing'
