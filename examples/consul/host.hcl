# ACL policy of a host that deploys: its watch may see events of the name deploy,
# and do nothing else; it can't fire one. It is the token of
# `consul watch -token-file`, in a file that only root can read.
#
#     consul acl policy create -name stretcher-host -rules @host.hcl
#     consul acl token create -policy-name stretcher-host -description "deploys on web1"
#
# One token for each host lets you take one away.
event "deploy" { policy = "read" }
