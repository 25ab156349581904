#!/bin/bash
# Four hosts, each with an sshd of its own. The playbook deploys to the first one alone, then to a
# fifth of them at a time, and stops when one has failed; fleet status tells of all.
. "$(dirname "$0")/../lib.sh"
need ansible-playbook ssh-keygen python3

ssh_key
cp "$dir/ci.pub" "$dir/authorized_keys"
sshd_hosts 4
echo '[web]' >"$dir/hosts.ini"
for i in 1 2 3 4; do
    echo "web$i ansible_host=$net.$i dest=$dir/web$i/srv/web ansible_remote_tmp=$dir/web$i/tmp" >>"$dir/hosts.ini"
    echo "web$i" >>"$dir/hosts"
done
cat >>"$dir/hosts.ini" <<END
[web:vars]
ansible_user=root
ansible_port=2222
ansible_ssh_private_key_file=$dir/ci
ansible_python_interpreter=$(command -v python3)
END
# No connection outlives the script, and nothing of the caller's counts.
unset "${!ANSIBLE_@}"
export ANSIBLE_HOME=$dir/ansible ANSIBLE_LOCAL_TEMP=$dir/ansible/tmp ANSIBLE_CONFIG=$dir/ansible.cfg ANSIBLE_PIPELINING=1
export ANSIBLE_SSH_ARGS="-F none -o ControlMaster=no -o IdentitiesOnly=yes -o UserKnownHostsFile=$dir/known_hosts"
cp "$here/rollout.yml" "$dir/"
: >"$dir/ansible.cfg"

rollout() { ansible-playbook -i "$dir/hosts.ini" "$dir/rollout.yml" -e "url=$1" >>"$dir/ansible.log" 2>&1; }
told() { "$stretcher" fleet status --from "$dir/results" --hosts "$dir/hosts" web "$@"; }

title 'all hosts, in batches'
expect 0 rollout "$(publish 1)"
expect 0 told 1
live 1 1 1 1

title 'one host fails: the rest is left alone'
expect 2 rollout "$(publish 2 'commands: {verify: ["case $STRETCHER_DEST in */web3/*) echo no; exit 1; esac"]}')"
expect 1 told 2
told --json 2 >"$dir/told" || true
holds '"failed":1,"good":2,"hosts":4,"missing":1' "$dir/told" || die "$(cat "$dir/told")"
live 2 2 1 1
