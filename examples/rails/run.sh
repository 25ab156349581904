#!/bin/bash
# Two hosts with one database: releases share log, pids, uploads and configuration, one
# host migrates, each restarts its application. A release that does not answer is taken back.
. "$(dirname "$0")/../lib.sh"
need busybox sqlite3 curl

hosts=(web1 web2)
listen() { echo "$net.${1#web}:3000"; }

# start HOST: what systemd does by shop.service.
start() {
    cd "$dir/$1/srv/shop" || exit
    trap 'kill "$!"; exit' TERM
    while true; do
        if [ -e current ]; then
            (cd current && SHOP_LISTEN=$(listen "$1") exec bin/rails server) &
            wait "$!" || true
        fi
        sleep 0.05
    done
}

# on HOST COMMAND...: there. bin has its systemctl.
on() { ROOT=$dir/$1 STRETCHER_STATE_DIR=$dir/$1/state SHOP_LISTEN=$(listen "$1") PATH=$dir/$1/bin:$PATH "${@:2}"; }

# What each host has before the first deployment: its configuration, in shared.
for host in "${hosts[@]}"; do
    root=$dir/$host
    mkdir -p "$root/bin" "$root/etc/stretcher" "$root/srv/shop/shared/config"
    echo "production: {}
  database: $dir/production.sqlite3" >"$root/srv/shop/shared/config/database.yml"
    cat >"$root/bin/systemctl" <<END
#!/bin/sh
# systemctl restart shop: when it returns, the application has been started anew.
file=$root/srv/shop/shared/tmp/pids/server.pid
old=\$(cat "\$file" 2>/dev/null) && kill "\$old" 2>/dev/null
until new=\$(cat "\$file" 2>/dev/null) && [ "\$new" != "\$old" ] && kill -0 "\$new" 2>/dev/null; do sleep 0.05; done
END
    chmod 755 "$root/bin/systemctl"
    serve "$host" start "$host"
done
: >"$dir/web1/etc/stretcher/migrates"

# The manifest of the example, where ROOT stands for the host's /.
sed "s|^dest: .*|dest: '{{ must_env \"ROOT\" }}/srv/shop'|; s|/etc/stretcher/|\$ROOT&|" "$here/shop.yml" >"$dir/shop.yml"
cp -R "$here/app" "$dir/app"
mkdir "$dir/app/log" "$dir/app/spec"

# publish VERSION
publish() {
    echo "$1" >"$dir/app/VERSION"
    touch -d "2026-01-01 00:00:$1" "$dir/app/VERSION"
    manifest=$(ROOT=/ "$stretcher" pack "$dir/app" --to "$dir/published" --name shop --version "$1" \
        --manifest "$dir/shop.yml" 2>>"$dir/pack.log") || die "version $1 is not published"
}
# deploy STATUS: on both hosts at once.
deploy() {
    local jobs=() host job
    for host in "${hosts[@]}"; do
        on "$host" "$stretcher" "$manifest" >>"$dir/deploy-$host.log" 2>&1 &
        jobs+=($!)
    done
    for job in "${jobs[@]}"; do expect "$1" wait "$job"; done
}
# live VERSION: on both hosts.
live() {
    for host in "${hosts[@]}"; do
        [ "$(curl -fsS --retry 30 --retry-delay 1 --retry-connrefused "http://$(listen "$host")/cgi-bin/up")" = "version $1" ] ||
            die "version $1 is not live on $host"
    done
}
query() { sqlite3 "$dir/production.sqlite3" "$1"; }
migrated() { grep -ch ' migrating ' "$dir"/deploy-*.log | tr '\n' ' '; }

title 'version 1, with its first migration, on both hosts at once'
publish 1
deploy 0
live 1
query "INSERT INTO items (name) VALUES ('a chair');"
for host in "${hosts[@]}"; do echo picture >"$dir/$host/srv/shop/current/public/uploads/chair.png"; done

title 'version 2 has another migration'
echo "ALTER TABLE items ADD price INTEGER NOT NULL DEFAULT 7;" >"$dir/app/db/migrate/20260102000000_add_price.sql"
publish 2
deploy 0
live 2
[ "$(query 'SELECT name, price FROM items;')" = 'a chair|7' ] || die 'the database has other items'
[ "$(migrated)" = '2 0 ' ] || die "migrations ran other than twice on web1: $(migrated)"

title 'version 3 does not answer: both hosts go back to version 2, and start it again'
mv "$dir/app/public/cgi-bin/up" "$dir/app/public/cgi-bin/down"
sed -i 's/--retry 30/--retry 0/' "$dir/shop.yml"
publish 3
deploy 1
live 2
mv "$dir/app/public/cgi-bin/down" "$dir/app/public/cgi-bin/up"

title 'what is shared has stayed'
for host in "${hosts[@]}"; do
    shop=$dir/$host/srv/shop
    curl -fsS "http://$(listen "$host")/uploads/chair.png" | grep -x picture >/dev/null || die 'an upload is gone'
    cat "$shop/shared/log/production.log"
    [ "$(sed 's/.* //' "$shop/shared/log/production.log" | uniq | tr '\n' ' ')" = '1 2 3 2 ' ] || die 'the starts are others'
    holds production.sqlite3 "$shop/current/config/database.yml" || die 'the configuration is another'
    [ ! -e "$shop/current/spec" ] || die 'what is excluded is there'
done

title 'a rollback: version 1 by the database of version 2'
for host in "${hosts[@]}"; do
    on "$host" "$stretcher" rollback "$dir/$host/srv/shop" >>"$dir/deploy-$host.log" 2>&1 || die 'rollback'
done
live 1
[ "$(migrated)" = '2 0 ' ] || die "a migration ran again: $(migrated)"

if command -v systemd-analyze >/dev/null; then
    title 'systemd reads shop.service'
    sed 's|^ExecStart=[^ ]*|ExecStart=/bin/true|' "$here/shop.service" >"$dir/shop.service"
    systemd-analyze verify --man=no "$dir/shop.service" 2>&1 | grep -F "$dir" && die 'systemd does not take it'
fi
exit 0
