#!/bin/bash
# Three hosts, each with an sshd of its own, whose key can do nothing but start the one
# deployment, by the files of this directory. One host that fails is told; a first one that fails
# keeps the others from it.
. "$(dirname "$0")/../lib.sh"
need ssh-keygen

ssh_key
# The key of the example, with that of this script in its place, and what `sudo systemctl
# start stretcher@web.service` comes to in the end.
sed "s|sudo -n /usr/bin/systemctl start stretcher@web.service|$stretcher $dir/published/web.yml|; \
     s|ssh-ed25519 .*|$(cat "$dir/ci.pub")|" "$here/authorized_keys" >"$dir/authorized_keys"

sshd_hosts 3
ssh_client

# publish VERSION REST...: by a name that stays, since the hosts' key says which.
publish() {
    mkdir -p "$dir/build" && echo "version $1" >"$dir/build/index.html"
    printf '%s\n' "dest: '{{ must_env \"ROOT\" }}/srv/web'" 'sync_strategy: releases' "${@:2}" |
        ROOT=/ "$stretcher" pack "$dir/build" --to "$dir/published/web.yml" --name web --version "$1" --replace \
            --manifest - >>"$dir/pack.log" 2>&1
}

title 'all hosts, two at a time'
publish 1
expect 0 "$here/fan-out" "$dir/names" 2
live 1 1 1

title 'what the holder of the key asks for does not count'
expect 0 "$SSH" "$net.1" touch "$dir/evil"
if [ -e "$dir/evil" ]; then die 'the key ran a command of its holder'; fi

title 'one host fails: it goes back, and is told'
publish 2 'commands: {verify: ["case $STRETCHER_DEST in */web3/*) echo no; exit 1; esac"]}'
expect 1 "$here/fan-out" "$dir/names" 2
live 2 2 1

title 'the first host fails: the others are left alone'
publish 3 'commands: {verify: ["exit 1"]}'
expect 1 "$here/fan-out" "$dir/names"
live 2 2 1

title 'one host is down'
stop
publish 4
expect 1 "$here/fan-out" "$dir/names" 2
live 4 4 1
