# ACL policy of who fires events: the job of your CI that deploys, and a person in
# need. `consul event` asks the agent who it is, so it reads agents, too.
#
# Who has it says which manifest is deployed, on all hosts. Without signatures
# (docs/security.md) that is to run commands as root there.
event "deploy" { policy = "write" }
agent_prefix "" { policy = "read" }
