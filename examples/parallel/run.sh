#!/bin/bash
# Four hosts, each with an sshd of its own. A rollout goes to the first one alone, then to two
# at a time, and stops when one has failed; fleet status tells of all.
. "$(dirname "$0")/../lib.sh"
need parallel ssh-keygen

ssh_key
cp "$dir/ci.pub" "$dir/authorized_keys"
sshd_hosts 4
cp "$here/deploy-and-tell" "$dir/bin/"
sed 's/^/root@/' "$dir/names" >"$dir/hosts"
ssh_client

# rollout JOBS FAILURES URL
rollout() { "$here/rollout" "$dir/hosts" "$dir/results" "$1" "$2" deploy-and-tell "$3" '"$ROOT/srv/web"'; }
told() { "$stretcher" fleet status --from "$dir/results" --hosts "$dir/hosts" web "$@"; }

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
