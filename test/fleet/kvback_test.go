package fleet

import (
	"encoding/base64"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"stretcher/internal/testparts"
)

// wantSignatures has two hosts that deploy what is signed alone, from Consul too, where
// ACLs allow no more than docs/fleet.md says.
func wantSignatures(t *testing.T) (g *group, agent testparts.ConsulAgent, hostToken string) {
	t.Helper()
	agent = testparts.ConsulWithACL(t)
	hostRules, deployerRules, _, _ := blocks(t)
	hostToken = agent.NewToken(t, "host", hostRules)
	deployer := agent.NewToken(t, "deployer", deployerRules)
	g = &group{t: t, bin: testparts.Program(t), dir: t.TempDir(), consul: agent.HTTPAddr, name: "web",
		nodes: []string{"h0", "h1"}, asks: []string{"CONSUL_HTTP_ADDR=" + agent.HTTPAddr, "CONSUL_HTTP_TOKEN=" + deployer}}
	g.env = func(string) []string { return []string{"CONSUL_HTTP_TOKEN=" + hostToken} }
	for _, node := range g.nodes {
		agent.Register(t, node, "web", nil)
	}
	if err := os.Mkdir(g.path("keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	g.run("operator", "keygen", "--no-password", g.path("a"))
	g.write("keys/a.pub", g.read("a.pub"))
	g.write("policy.yml", "trust: {keys: DIR/keys}\n"+
		"allow: {manifests: ['file://DIR', 'consul://stretcher/manifests/web']}\n")
	return g, agent, hostToken
}

// release deploys a signed version on all hosts.
func (g *group) release(version string, serial int) {
	g.t.Helper()
	manifest := g.app(version, "{service: web, parallel: 2}", "  post: [\"true\"]")
	g.write(version+".yml", g.read(version+".yml")+fmt.Sprintf("serial: %d\nexpires: 2099-12-01T00:00:00Z\n", serial))
	g.run("operator", "sign", "--key", g.path("a.key"), manifest)
	g.exit(0, manifest)
}

// exit runs the program on all hosts, which end with this status.
func (g *group) exit(want int, url string) (all []*host) {
	g.t.Helper()
	all = g.startAll("--config", g.path("policy.yml"), url)
	for _, h := range all {
		if status := h.wait(); status != want {
			g.t.Fatalf("%s, %s: exit %d\n%s", h.node, url, status, h.said.String())
		}
	}
	return all
}

// TestRollbackByName: hosts go back by what they have recorded themselves, and by an
// instruction that lies in Consul. Where signatures are required one without is refused.
func TestRollbackByName(t *testing.T) {
	t.Parallel()
	g, agent, hostToken := wantSignatures(t)
	g.release("one", 1)
	g.release("two", 2)
	const url = "consul://stretcher/manifests/web/rollback.yml"

	out, exit := g.ask("rollback", "web", "--unsigned")
	if exit != 0 || !slices.Contains(strings.Split(out, "\n"), url) || !strings.Contains(out, "serial: 3\n") {
		t.Fatalf("exit %d\n%s", exit, out)
	}
	events := agent.Get("/v1/event/list?name=deploy", agent.Token)
	if !strings.Contains(events, base64.StdEncoding.EncodeToString([]byte(url))) {
		t.Errorf("no event: %s", events)
	}
	for _, h := range g.exit(4, url) {
		if !strings.Contains(h.said.String(), "sign") {
			t.Errorf("%s says\n%s", h.node, h.said.String())
		}
	}
	if has := g.has(); has["two"] != 2 {
		t.Fatalf("unsigned, and they have %v", has)
	}

	if out, exit := g.ask("rollback", "web", "--sign", g.path("a.key"), "--event", "none"); exit != 0 {
		t.Fatalf("exit %d\n%s", exit, out)
	}
	for _, h := range g.exit(0, url) {
		if !strings.Contains(h.said.String(), "it is the turn of") {
			t.Errorf("%s has not waited:\n%s", h.node, h.said.String())
		}
	}
	if has := g.has(); has["one"] != 2 {
		t.Errorf("signed, and they have %v", has)
	}

	g.asks = []string{"CONSUL_HTTP_ADDR=" + agent.HTTPAddr, "CONSUL_HTTP_TOKEN=" + hostToken}
	if out, exit := g.ask("rollback", "web", "--unsigned", "--event", "none"); exit == 0 || !strings.Contains(out, "403") {
		t.Errorf("a host can write instructions: exit %d\n%s", exit, out)
	}
}
