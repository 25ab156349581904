#!/bin/bash
# Four hosts, each with an sshd of its own. A rollout goes to the first one alone, then to two
# at a time, and stops when one has failed; fleet status tells of all.
. "$(dirname "$0")/../lib.sh"
need parallel ssh-keygen

ssh-keygen -q -t ed25519 -N '' -f "$dir/ci" -C ci
cp "$dir/ci.pub" "$dir/authorized_keys"
sshd_hosts 4
cp "$here/deploy-and-tell" "$dir/bin/"
sed 's/^/root@/' "$dir/names" >"$dir/hosts"
cat >"$dir/ssh" <<END
#!/bin/sh
exec ssh -F none -i $dir/ci -p 2222 -o IdentitiesOnly=yes -o UserKnownHostsFile=$dir/known_hosts \
    -o LogLevel=ERROR "\$@"
END
chmod 755 "$dir/ssh"
export SSH="$dir/ssh"

# publish VERSION REST...: gives the manifest's URL.
publish() {
    mkdir -p "$dir/build" && echo "version $1" >"$dir/build/index.html"
    printf '%s\n' "dest: '{{ must_env \"ROOT\" }}/srv/web'" 'sync_strategy: releases' "${@:2}" |
        ROOT=/ "$stretcher" pack "$dir/build" --to "$dir/published/" --name web --version "$1" --manifest - 2>>"$dir/pack.log"
}
# rollout JOBS FAILURES URL
rollout() { "$here/rollout" "$dir/hosts" "$dir/results" "$1" "$2" deploy-and-tell "$3" '"$ROOT/srv/web"'; }
told() { "$stretcher" fleet status --from "$dir/results" --hosts "$dir/hosts" web "$@"; }
# live VERSION...: what the hosts have, in turn.
live() {
    local i=0 version
    for version; do
        i=$((i + 1))
        holds "version $version" "$dir/web$i/srv/web/current/index.html" || die "version $version is not live on web$i"
    done
}

title 'all hosts, two at a time'
expect 0 rollout 2 0 "$(publish 1)"
expect 0 told 1
live 1 1 1 1

title 'one host fails: the rest is left alone'
bad='commands: {verify: ["case $STRETCHER_DEST in */web3/*) echo no; exit 1; esac"]}'
expect 1 rollout 1 0 "$(publish 2 "$bad")"
expect 1 told 2
told --json 2 >"$dir/told" || true
holds '"failed":1,"good":2,"hosts":4,"missing":1' "$dir/told" || die "$(cat "$dir/told")"
live 2 2 1 1

title 'one may fail'
expect 1 rollout 1 1 "$(publish 3 "$bad")"
expect 1 told 3
live 3 3 1 3

title 'the first host fails: the others are left alone'
expect 1 rollout 2 3 "$(publish 4 'commands: {verify: ["exit 1"]}')"
expect 1 told 4
live 3 3 1 3

title 'one host is down: nothing is heard of it'
stop
expect 1 rollout 2 1 "$(publish 5)"
expect 3 told 5
live 5 5 5 3

title 'a page'
"$stretcher" fleet status --from "$dir/results" --hosts "$dir/hosts" --html "$dir/web.html" || true
holds 'web 5' "$dir/web.html"
