# ACL policy of who may only look: dashboards, people on call. It shows which
# manifests have been named lately, and on which nodes agents run. It fires nothing.
event "deploy" { policy = "read" }
node_prefix "" { policy = "read" }
