# What an agent's configuration needs for the policies to mean anything:
# /etc/consul.d/deploy.hcl, on servers and clients.

acl {
  enabled        = true
  default_policy = "deny" # who has no token for it may nothing
  down_policy    = "extend-cache"
}

# ACLs are asked by the servers when somebody fires an event through an agent.
# Agents tell each other of events by gossip, and there nobody asks: who can join
# the gossip can send any event. So encrypt it. Whoever is root on any one of the
# hosts has this key, too; against him, only signed manifests help.
# Put your own key in: consul keygen
encrypt                 = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
encrypt_verify_incoming = true
encrypt_verify_outgoing = true

# Commands by event are what this is all about; not these two ways around it.
disable_remote_exec        = true
enable_local_script_checks = false
