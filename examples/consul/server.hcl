# What the three servers have besides: /etc/consul.d/server.hcl.
server           = true
bootstrap_expect = 3
