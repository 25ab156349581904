#!/bin/bash
# Two hosts with the policy of this directory, one of them a web server with its drop-in:
# what each takes, and what it refuses by which rule. Names of directories, of the place
# where deployments are published, and of the user are this machine's.
. "$(dirname "$0")/../lib.sh"

# The user that commands run as: only root can run them as another one.
user=$(id -un)
if [ "$user" = root ]; then user=nobody; fi

# host NAME FILE...: what it has in /etc/stretcher.
host() {
    local etc=$dir/$1/etc file
    mkdir -p "$etc/config.d" "$dir/$1/srv"
    cp -R "$dir/trusted.d" "$etc/trusted.d"
    for file in "${@:2}"; do
        sed "s|https://deploys.example.com/|file://$dir/published/|; s|/etc/stretcher|$etc|; s|/srv|$dir/$1/srv|; \
            s|/var/log/stretcher|$dir/$1|; s|^run_as: deploy|run_as: $user|; s|users: \[root, deploy\]|users: [root, $user]|" \
            "$here/$file" >"$etc/$file"
    done
}
# at HOST ARGUMENT...
at() { STRETCHER_CONFIG=$dir/$1/etc/config.yml STRETCHER_STATE_DIR=$dir/$1/state "$stretcher" "${@:2}" 2>&1; }

title 'two who sign, and a stranger'
mkdir "$dir/trusted.d"
for key in ci ops stranger; do
    (cd "$dir" && "$stretcher" keygen --no-password "$key") >/dev/null
done
cp "$dir/ci.pub" "$dir/ops.pub" "$dir/trusted.d"
host batch config.yml
host web config.yml config.d/50-web.yml

# publish HOST FILE NAME DEST KEYS LINE...: a manifest for a dest of the host, signed by those.
serial=0
publish() {
    local key file=$dir/published/$2 names=()
    mkdir -p "$dir/build" && echo "$2" >"$dir/build/index.html"
    serial=$((serial + 1))
    printf '%s\n' "${@:6}" | "$stretcher" pack "$dir/build" --to "file://$file" --name "$3" --dest "$dir/$1$4" --serial $serial \
        --expires 1d --manifest - >>"$dir/pack.log" 2>&1
    for key in $5; do
        "$stretcher" sign --key "$dir/$key.key" --append "$file" >>"$dir/pack.log" 2>&1
        names+=("$key")
    done
    echo "$2: for $4, signed by: ${names[*]:-nobody}"
}
# takes HOST FILE, and refuses HOST FILE RULE: so says check, by the rule, and the host does it.
takes() {
    expect 0 at "$1" check --explain "file://$dir/published/$2" >"$dir/said.log"
    expect 0 at "$1" "file://$dir/published/$2" >"$dir/said.log"
}
refuses() {
    expect 4 at "$1" check --explain "file://$dir/published/$2" >"$dir/said.log"
    grep "^refused  $3 " "$dir/said.log" || die "check does not name the rule $3: $(cat "$dir/said.log")"
    expect 4 at "$1" "file://$dir/published/$2" >"$dir/said.log"
}

title 'what two have signed is taken; what one has, or a stranger as well, is not'
publish batch job.yml job /srv/job 'ci ops' 'commands: {post: ["echo by $(id -un)"]}'
takes batch job.yml
holds job.yml "$dir/batch/srv/job/index.html" || die 'it is not deployed'
grep "by $user$" "$dir/said.log" || die "its command did not run as $user"
publish batch one.yml job /srv/one ci
refuses batch one.yml trust.threshold
publish batch stranger.yml job /srv/stranger 'ci stranger'
refuses batch stranger.yml trust.threshold
publish batch nobody.yml job /srv/nobody ''
refuses batch nobody.yml trust.threshold

title 'by whomever it is signed: nothing goes outside /srv, or comes from elsewhere'
publish batch outside.yml job /opt/job 'ci ops'
refuses batch outside.yml allow.dests
publish batch elsewhere.yml job /srv/elsewhere 'ci ops'
mv "$dir/published/elsewhere.yml" "$dir/published/elsewhere.yml.minisig" "$dir"
refuses batch ../elsewhere.yml allow.manifests

title 'a web server takes the site alone, and runs nothing'
publish web web/site.yml web /srv/web 'ci ops' 'sync_strategy: releases'
takes web web/site.yml
holds web/site.yml "$dir/web/srv/web/current/index.html" || die 'it is not deployed'
publish web job-for-web.yml web /srv/web 'ci ops' 'sync_strategy: releases'
refuses web job-for-web.yml allow.manifests
publish web web/api.yml api /srv/web 'ci ops' 'sync_strategy: releases'
refuses web web/api.yml allow.names
publish web web/mv.yml web /srv/web 'ci ops' 'sync_strategy: mv'
refuses web web/mv.yml allow.strategies
publish web web/commands.yml web /srv/web 'ci ops' 'sync_strategy: releases' 'commands: {post: ["true"]}'
refuses web web/commands.yml commands
