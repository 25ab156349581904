package testparts

import (
	"slices"
	"strconv"
	"testing"
)

// ConsulServer is a Consul server that remembers what it knew when it is started again.
type ConsulServer struct {
	ConsulAgent
	args []string
	p    *proc
}

// ConsulDurable starts one that allows nothing to who has no token for it, with further arguments.
func ConsulDurable(t testing.TB, more ...string) *ConsulServer {
	t.Helper()
	const token = "11111111-2222-3333-4444-555555555555"
	port := FreePort(t)
	s := &ConsulServer{ConsulAgent: ConsulAgent{Token: token, HTTPAddr: hostPort(port), Bin: Need(t, "consul")}}
	s.args = append([]string{
		"agent", "-server", "-bootstrap", "-data-dir", t.TempDir(), "-node", "test", "-bind", "127.0.0.1",
		"-client", "127.0.0.1", "-http-port", strconv.Itoa(port), "-server-port", strconv.Itoa(FreePort(t)),
		"-serf-lan-port", strconv.Itoa(FreePort(t)), "-dns-port", "-1", "-grpc-port", "-1", "-serf-wan-port", "-1",
		"-hcl", "connect { enabled = false }", "-hcl", "disable_update_check = true",
		"-hcl", "performance { raft_multiplier = 1 }", "-hcl", `acl {
			enabled = true
			default_policy = "deny"
			tokens { initial_management = "` + token + `", agent = "` + token + `" }
		}`,
	}, more...)
	s.Start(t)
	return s
}

// Start starts the server, and waits until it has elected itself.
func (s *ConsulServer) Start(t testing.TB) {
	t.Helper()
	s.p = start(t, nil, s.Bin, slices.Clone(s.args)...)
	s.p.ready(t, s.leads)
}

// Kill ends the server as a power failure does.
func (s *ConsulServer) Kill() { s.p.kill() }
