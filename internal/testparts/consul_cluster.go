package testparts

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// ConsulCluster is three servers on addresses of their own, and an agent that is a
// client of theirs. Who has no token may do nothing.
type ConsulCluster struct {
	ConsulAgent // the client
	Servers     []*ConsulServer
}

// ConsulOfThree starts a cluster. All of it stops with the test.
func ConsulOfThree(t testing.TB) *ConsulCluster {
	t.Helper()
	c := &ConsulCluster{}
	var gossip []string
	for i := range 3 {
		s := &ConsulServer{ConsulAgent: consulMember(t, serverAddress(i))}
		c.Servers = append(c.Servers, s)
		gossip = append(gossip, s.lan)
	}
	c.ConsulAgent = consulMember(t, "127.0.0.1")
	for i, s := range c.Servers {
		s.args = s.arguments(t, fmt.Sprintf("server%d", i), gossip, "-server", "-bootstrap-expect", "3",
			"-hcl", "performance { raft_multiplier = 2 }")
		s.p = start(t, nil, s.Bin, slices.Clone(s.args)...)
	}
	for _, s := range c.Servers {
		s.p.ready(t, s.leads)
	}
	p := start(t, nil, c.Bin, c.arguments(t, "client", gossip)...)
	p.ready(t, func() bool { return c.leads() && strings.Contains(c.get("/v1/catalog/nodes"), `"client"`) })
	return c
}

// Leader is the server that leads now; nil = none is known to.
func (c *ConsulCluster) Leader() *ConsulServer {
	for _, asked := range c.Servers {
		leads := strings.Trim(asked.get("/v1/status/leader"), "\"\n")
		for _, s := range c.Servers {
			if leads != "" && s.rpc == leads && !s.p.exited() {
				return s
			}
		}
	}
	return nil
}

// serverAddress is a loopback address for a server: one of its own where there are
// several.
func serverAddress(i int) string {
	if runtime.GOOS == "linux" {
		return fmt.Sprintf("127.0.0.%d", i+2)
	}
	return "127.0.0.1"
}

// consulMember chooses the ports of a member of a cluster.
func consulMember(t testing.TB, address string) ConsulAgent {
	t.Helper()
	at := func() string { return fmt.Sprintf("%s:%d", address, FreePort(t)) }
	return ConsulAgent{
		Bin: Need(t, "consul"), Token: "11111111-2222-3333-4444-555555555555", HTTPAddr: at(), lan: at(), rpc: at(),
	}
}

// arguments are those of a member that joins the gossip of others.
func (a ConsulAgent) arguments(t testing.TB, node string, gossip []string, more ...string) []string {
	t.Helper()
	address, httpPort, _ := strings.Cut(a.HTTPAddr, ":")
	port := func(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }
	args := []string{
		"agent", "-data-dir", t.TempDir(), "-node", node, "-bind", address, "-client", address,
		"-http-port", httpPort, "-server-port", port(a.rpc), "-serf-lan-port", port(a.lan),
		"-dns-port", "-1", "-grpc-port", "-1", "-serf-wan-port", "-1", "-retry-interval", "1s",
		"-log-level", "error",
		"-hcl", "connect { enabled = false }", "-hcl", "disable_update_check = true",
		"-hcl", "limits { http_max_conns_per_client = 2000 }",
		"-hcl", `acl {
			enabled = true
			default_policy = "deny"
			tokens { initial_management = "` + a.Token + `", agent = "` + a.Token + `" }
		}`,
	}
	for _, addr := range gossip {
		args = append(args, "-retry-join", addr)
	}
	return append(args, more...)
}
