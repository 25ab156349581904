# Certificates, so that agents know each other and a watch knows its agent:
# /etc/consul.d/tls.hcl, on servers and clients.
#
#     consul tls ca create                          once; keep the key off the hosts
#     consul tls cert create -server -dc dc1        for each server
#     consul tls cert create -client -dc dc1        for each other agent
#
# Each host has the certificate of the authority, its own certificate and the key of that.

tls {
  defaults {
    ca_file         = "/etc/consul.d/consul-agent-ca.pem"
    cert_file       = "/etc/consul.d/agent.pem"
    key_file        = "/etc/consul.d/agent-key.pem"
    verify_incoming = true
    verify_outgoing = true
  }
  internal_rpc {
    verify_server_hostname = true # a client can't pass itself off as a server
  }
  https {
    verify_incoming = false # who asks here has a token, not a certificate
  }
}

# No token goes over a line that is not encrypted.
ports {
  http  = -1
  https = 8501
}
