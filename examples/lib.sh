# What the scripts run.sh have in common. They try the example beside them on this
# machine, in a temporary directory that they remove: its hosts are directories, and
# addresses of the loopback interface. bash reads this by
#
#     . "$(dirname "$0")/../lib.sh"
#
# STRETCHER names the program; else it is the one that lies above examples/, as after `make
# build` and in an archive of a release, or the one in PATH. A script ends with status
# 77 where a program is missing that it needs, 1 when the example does not do what its
# page says.
# shellcheck shell=bash
set -euo pipefail
exec 3>&2 # what goes wrong is told there, wherever a command's own errors go

here=$(cd "$(dirname "$0")" && pwd)
PATH=$PATH:$here/../../.tools:/usr/local/sbin:/usr/sbin:/sbin
stretcher=stretcher
if [ -x "$here/../../stretcher" ]; then stretcher=$here/../../stretcher; fi
stretcher=${STRETCHER:-$stretcher}

# missing WHAT: this machine can't try the example.
missing() {
    echo "skipped: $*" >&3
    exit 77
}

# need PROGRAM...
need() {
    local program
    for program in "$@"; do
        command -v "$program" >/dev/null || missing "$program is not installed"
    done
}

need "$stretcher"
stretcher=$(realpath "$(command -v "$stretcher")")
dir=$(realpath "$(mktemp -d)")
umask 022
# Neither what the caller has set nor a policy of this machine counts.
unset http_proxy HTTP_PROXY all_proxy ALL_PROXY ${!CONSUL_@} ${!SERF_@} ${!STRETCHER_@}
echo '{}' >"$dir/policy.yml"
export STRETCHER_STATE_DIR=$dir/state STRETCHER_CONFIG=$dir/policy.yml
servers=()

# clean ends the servers, the last one first, and removes what there was. Of a
# script that has failed it shows what the servers said.
clean() {
    local status=$? i
    for ((i = ${#servers[@]} - 1; i >= 0; i--)); do
        kill "${servers[i]}" 2>/dev/null || true
        wait "${servers[i]}" 2>/dev/null || true
    done
    if [ "$status" != 0 ] && [ "$status" != 77 ]; then
        tail -n 40 "$dir"/*.log >&3 2>/dev/null || true
    fi
    rm -rf "$dir"
}
trap clean EXIT
trap 'exit 143' TERM INT HUP

title() { printf '\n=== %s\n' "$*"; }

die() {
    echo "example failed: $*" >&3
    exit 1
}

# expect STATUS COMMAND...
expect() {
    local want=$1 status=0
    shift
    "$@" || status=$?
    [ "$status" = "$want" ] || die "$* ended with status $status, not $want"
}

# serve NAME COMMAND...: a server until the script ends. What it says is in NAME.log.
serve() {
    local name=$1
    shift
    "$@" >>"$dir/$name.log" 2>&1 </dev/null 3>&- &
    servers+=($!)
}

# stop: ends the server that was started last.
stop() {
    kill "${servers[-1]}"
    wait "${servers[-1]}" || true
    unset 'servers[-1]'
}

# wait_for COMMAND...: waits for it to succeed. The limit is for what never will.
wait_for() {
    local i
    for ((i = 0; i < 3000; i++)); do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.1
    done
    die "gave up waiting for: $*"
}

# holds TEXT FILE: the file has the text in it.
holds() { grep -qF -- "$1" "$2" 2>/dev/null; }

# A network of this script's own, so that two of them don't meet: its hosts are
# $net.1 to $net.254.
net=127.$((RANDOM % 200 + 20)).$((RANDOM % 250 + 1))

# sshd_hosts N: so many hosts, web1 and so on, with an sshd each, at $net.1 and so on, port
# 2222. ROOT stands for the host's /. $dir/authorized_keys says which keys they let in; what
# ssh needs to know of the hosts is in $dir/known_hosts, their names are in $dir/names. Hosts
# have the program, and what else is in $dir/bin, in their PATH.
sshd_hosts() {
    local i host root sshd
    need sshd ssh ssh-keygen ssh-keyscan
    [ "$(id -u)" = 0 ] || missing 'only the sshd of root lets others in'
    sshd=$(command -v sshd)
    # sshd wants this directory, which the system's service makes at its start.
    mkdir -p /run/sshd "$dir/bin"
    ln -sf "$stretcher" "$dir/bin/stretcher"
    for ((i = 1; i <= $1; i++)); do
        host=$net.$i root=$dir/web$i
        mkdir -p "$root/srv" "$root/tmp"
        ssh-keygen -q -t ed25519 -N '' -f "$root/key"
        echo "[$host]:2222 $(cut -d ' ' -f 1,2 "$root/key.pub")" >>"$dir/known_hosts"
        cat >"$root/sshd_config" <<END
ListenAddress $host:2222
HostKey $root/key
AuthorizedKeysFile $dir/authorized_keys
StrictModes no
UsePAM no
PidFile none
PermitRootLogin yes
SetEnv ROOT=$root STRETCHER_STATE_DIR=$root/state STRETCHER_CONFIG=$dir/policy.yml TMPDIR=$root/tmp PATH=$dir/bin:$PATH
END
        serve "web$i" "$sshd" -D -e -f "$root/sshd_config"
        echo "$host" >>"$dir/names"
    done
    for ((i = 1; i <= $1; i++)); do wait_for answers "$net.$i"; done
}
answers() { ssh-keyscan -p 2222 "$1" 2>/dev/null | grep .; }

# ssh_key: makes the key $dir/ci. ssh_client: makes the program $SSH, which reaches them by it.
ssh_key() { ssh-keygen -q -t ed25519 -N '' -f "$dir/ci" -C ci; }
ssh_client() {
    cat >"$dir/ssh" <<END
#!/bin/sh
exec ssh -F none -i $dir/ci -p 2222 -o IdentitiesOnly=yes -o UserKnownHostsFile=$dir/known_hosts \
    -o LogLevel=ERROR "\$@"
END
    chmod 755 "$dir/ssh"
    export SSH="$dir/ssh"
}

# publish VERSION REST...: what these hosts deploy to /srv/web, with more lines of the manifest.
# It gives the manifest's URL.
publish() {
    mkdir -p "$dir/build" && echo "version $1" >"$dir/build/index.html"
    printf '%s\n' "dest: '{{ must_env \"ROOT\" }}/srv/web'" 'sync_strategy: releases' "${@:2}" |
        ROOT=/ "$stretcher" pack "$dir/build" --to "$dir/published/" --name web --version "$1" --manifest - 2>>"$dir/pack.log"
}

# live VERSION...: what they have of it, in turn.
live() {
    local i=0 version
    for version; do
        i=$((i + 1))
        holds "version $version" "$dir/web$i/srv/web/current/index.html" || die "version $version is not live on web$i"
    done
}
