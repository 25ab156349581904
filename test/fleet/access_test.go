package fleet

import (
	"os"
	"strings"
	"testing"

	"stretcher/internal/testparts"
)

// guardedGroup is one host of a group, at a Consul that lets in only who has a token.
func guardedGroup(t *testing.T, token string) (*group, testparts.ConsulAgent) {
	t.Helper()
	agent := testparts.ConsulWithACL(t)
	agent.Register(t, "h0", "web", nil)
	g := &group{t: t, bin: testparts.Program(t), dir: t.TempDir(), consul: agent.HTTPAddr, name: "web"}
	g.nodes = []string{"h0"}
	g.env = func(string) []string { return []string{"CONSUL_HTTP_TOKEN=" + token} }
	g.asks = []string{"CONSUL_HTTP_ADDR=" + agent.HTTPAddr, "CONSUL_HTTP_TOKEN=" + token}
	return g, agent
}

// TestWrongToken: whom Consul does not know fails at once, whatever the rollout says of
// a Consul that is away, and nothing is deployed. Who asks is told as much.
func TestWrongToken(t *testing.T) {
	t.Parallel()
	const token = "no-such-token"
	g, _ := guardedGroup(t, token)
	for _, what := range []string{"wait", "proceed", "fail"} {
		manifest := g.app("one", "{service: web, on_unreachable: "+what+"}", "  failure: [\"touch DIR/failed-"+what+"\"]")
		h := g.start("h0", manifest)
		status, said := h.wait(), h.said.String()
		if status != 1 || !strings.Contains(said, "error: turn: ") || strings.Contains(said, token) ||
			!strings.Contains(said, "consul does not know the token") {
			t.Errorf("%s: exit %d\n%s", what, status, said)
		}
		if _, err := os.Stat(g.path("failed-" + what)); err != nil || g.read("live-h0/current/version") != "" {
			t.Errorf("%s: it is deployed, or its failure commands have not run: %v", what, err)
		}
	}
	for _, args := range [][]string{
		{"status"}, {"status", "web"}, {"status", "--watch", "web"}, {"wait", "web", "one"}, {"stop", "web"},
		{"resume", "web"},
	} {
		if out, exit := g.ask(args...); exit != 5 || !strings.Contains(out, "consul does not know the token") {
			t.Errorf("fleet %q: exit %d\n%s", args, exit, out)
		}
	}
}

// TestNoRights: who may not read is not told that there is nothing.
func TestNoRights(t *testing.T) {
	t.Parallel()
	g, agent := guardedGroup(t, "")
	none := agent.NewToken(t, "none", `key_prefix "other/" { policy = "write" }`)
	reads := agent.NewToken(t, "reads", `key_prefix "stretcher/fleet/" { policy = "read" }`)
	agent.Put(t, "/v1/kv/stretcher/fleet/web/head", "spoilt")
	for _, token := range []string{"", none} {
		g.asks[1] = "CONSUL_HTTP_TOKEN=" + token
		for _, args := range [][]string{
			{"status"}, {"status", "web"}, {"status", "app"}, {"wait", "app", "1"}, {"retry", "web"},
		} {
			out, exit := g.ask(args...)
			if exit != 5 || !strings.Contains(out, "consul does not allow it, key:read is missing") ||
				!strings.Contains(out, `key_prefix "stretcher/fleet/" { policy = "read" }`) {
				t.Errorf("fleet %q: exit %d\n%s", args, exit, out)
			}
		}
	}
	g.asks[1] = "CONSUL_HTTP_TOKEN=" + reads
	if out, exit := g.ask("status", "app"); exit != 8 {
		t.Errorf("who may read: exit %d\n%s", exit, out)
	}
}

// TestConsulStops: hosts that wait when Consul stops say so, and when it is back.
func TestConsulStops(t *testing.T) {
	t.Parallel()
	server := testparts.ConsulDurable(t)
	g := &group{t: t, bin: testparts.Program(t), dir: t.TempDir(), consul: server.HTTPAddr, name: "web"}
	for _, node := range []string{"h0", "h1"} {
		server.Register(t, node, "web", nil)
		g.nodes = append(g.nodes, node)
	}
	g.env = func(string) []string { return []string{"CONSUL_HTTP_TOKEN=" + server.Token} }
	g.asks = []string{"CONSUL_HTTP_ADDR=" + server.HTTPAddr, "CONSUL_HTTP_TOKEN=" + server.Token}
	hold := g.app("one", "{service: web}", "  pre: [\"while [ ! -e DIR/go ]; do sleep 0.05; done\"]")
	first := g.start("h0", hold)
	testparts.WaitFor(t, "the first host to be at work", g.isIn("h0", "pre"))
	second := g.start("h1", hold)
	testparts.WaitFor(t, "the second host to wait", func() bool { return g.status().Counts["waiting"] == 1 })
	server.Kill()
	says := func(h *host, text string) func() bool {
		return func() bool { return strings.Contains(h.said.String(), text) }
	}
	testparts.WaitFor(t, "who waits to say so", says(second, "no answer of consul since"))
	const unconfirmed = "the slot of this host is not confirmed, and its work ends at"
	testparts.WaitFor(t, "who works to say so", says(first, unconfirmed))
	if out, exit := g.ask("status"); exit != 5 {
		t.Errorf("fleet status: exit %d\n%s", exit, out)
	}
	server.Start(t)
	testparts.WaitFor(t, "who waits to say that it is back", says(second, "consul answers again, after"))
	testparts.WaitFor(t, "who works to say that it is back", says(first, "the slot of this host is confirmed again"))
	g.write("go", "")
	for _, h := range []*host{first, second} {
		if status := h.wait(); status != 0 {
			t.Errorf("%s: exit %d\n%s", h.node, status, h.said.String())
		}
	}
}

// TestJustBegun: hosts that could not have come yet are not missing.
func TestJustBegun(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 3)
	g.asks = []string{"CONSUL_HTTP_ADDR=" + g.consul}
	h := g.start(g.nodes[0], g.app("one", "{service: web}", "  post: [\"true\"]"))
	seen := map[int]bool{}
	testparts.WaitFor(t, "the rollout to begin", func() bool { return g.status().exit != 8 })
	testparts.WaitFor(t, "hosts to be missing", func() bool {
		a := g.status()
		seen[a.exit] = true
		if a.exit == 7 && a.Counts["missing"] > 0 && a.Counts["working"] == 0 {
			t.Errorf("some are missing, and it goes on: %+v", a)
		}
		return a.Counts["missing"] == 2
	})
	if status := h.wait(); status != 0 || !seen[7] || !seen[3] || len(seen) != 2 {
		t.Errorf("exit %d, seen %v", status, seen)
	}
}
