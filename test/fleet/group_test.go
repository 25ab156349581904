package fleet

import (
	"os"
	"strings"
	"testing"
	"time"

	"stretcher/internal/testparts"
)

// TestUnknownGroup: a service that Consul does not know, as one that is mistyped, is no
// group of one: nobody deploys, and all who ask hear why. Mended, the same event begins.
func TestUnknownGroup(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 2)
	manifest := g.app("one", "{service: wbe}", "  failure: [\"echo $HOST $STRETCHER_RUN_SUMMARY >> DIR/failures\"]")
	const why = `it could not begin: consul knows no instance of service "wbe"`
	for _, h := range g.startAll(manifest) {
		status, said := h.wait(), h.said.String()
		if status != 1 || !strings.Contains(said, "error: turn: the rollout is stopped: "+why) ||
			!strings.Contains(said, "check its name") || strings.Count(said, why) > 2 {
			t.Errorf("%s: exit %d\n%s", h.node, status, said)
		}
		if _, err := os.Stat(g.path("live-" + h.node)); err == nil {
			t.Errorf("%s has deployed", h.node)
		}
		if left := leftovers(t, g, h.node); len(left) > 0 {
			t.Errorf("%s leaves %q", h.node, left)
		}
	}
	if failures := g.read("failures"); strings.Count(failures, `"result":"stopped"`) != 2 {
		t.Errorf("failure commands were told\n%s", failures)
	}
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"status", "web"}, "web one: failed, stopped (" + why + "), 0 of 2 hosts good, 2 stopped\n"},
		{[]string{"status", "--json", "web"}, `"verdict":"failed","ended":true,"phase":"stopped"`},
		{[]string{"wait", "web", "one"}, why},
		{[]string{"resume", "web"}, why},
		{[]string{"retry", "web"}, "fire it again"},
	} {
		if out, exit := g.ask(c.args...); exit != 1 || !strings.Contains(out, c.says) {
			t.Errorf("%s: exit %d\n%s", c.args, exit, out)
		}
	}
	for _, node := range g.nodes {
		g.agent.Register(t, node, "wbe", nil)
	}
	for _, h := range g.startAll(manifest) {
		if status := h.wait(); status != 0 {
			t.Errorf("%s: exit %d\n%s", h.node, status, h.said.String())
		}
	}
	if out, exit := g.ask("wait", "web", "one"); exit != 0 || !strings.Contains(out, "2 of 2 hosts good") {
		t.Errorf("exit %d\n%s", exit, out)
	}
}

// TestOutsider: a host that is not of the group deploys, and says what it is; a listed
// one that Consul does not know is waited for.
func TestOutsider(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 1)
	h := g.start("new", g.app("one", "{hosts: [h0, gone]}", "  post: [\"true\"]"))
	const says = `this host, "new", is not of the group, 2 listed hosts: it deploys in turn, and counts, as if it were`
	if status := h.wait(); status != 0 || !strings.Contains(h.said.String(), says) {
		t.Errorf("exit %d\n%s", status, h.said.String())
	}
	h = g.start("h0", g.path("one.yml"))
	if status := h.wait(); status != 0 || strings.Contains(h.said.String(), "not of the group") {
		t.Errorf("exit %d\n%s", status, h.said.String())
	}
	testparts.WaitFor(t, "the time to come to be over", func() bool {
		_, exit := g.ask("status", "web")
		return exit == 3
	})
	out, exit := g.ask("status", "web")
	for _, line := range []string{
		"web one: missing, open, 2 of 3 hosts good, 1 missing\n",
		" consul did not know it when the rollout began\n", " not of the group\n",
	} {
		if exit != 3 || !strings.Contains(out, line) {
			t.Errorf("exit %d\n%s", exit, out)
		}
	}
	if out, exit := g.ask("wait", "web", "one", "--timeout", "1s"); exit != 3 {
		t.Errorf("wait: exit %d\n%s", exit, out)
	}
	if out, _ := g.ask("status", "--json", "web"); !strings.Contains(out, `"note":"not of the group"`) {
		t.Error(out)
	}
}

// TestSilentHost: a member that nothing is heard of has failed when the timeout is over,
// for who waits for the rollout, too.
func TestSilentHost(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 2)
	h := g.start("h0", g.app("one", "{service: web, timeout: 5s}", "  post: [\"true\"]"))
	if status := h.wait(); status != 0 {
		t.Fatalf("exit %d\n%s", status, h.said.String())
	}
	if out, exit := g.ask("wait", "web", "one", "--timeout", testparts.Limit(2*time.Minute).String()); exit != 1 ||
		!strings.Contains(out, "h1 failed: silent for 5s\n") {
		t.Errorf("exit %d\n%s", exit, out)
	}
	if out, exit := g.ask("status", "--json", "web"); exit != 1 || !strings.Contains(out, `"error":"silent for 5s"`) {
		t.Errorf("exit %d\n%s", exit, out)
	}
	page := g.path("page.html")
	out, exit := g.ask("status", "--html", page, "web")
	if exit != 1 || !strings.Contains(g.read("page.html"), "silent for 5s") {
		t.Errorf("exit %d\n%s", exit, out)
	}
	late := g.start("h1", g.path("one.yml")) // one may not fail, but it has come
	if status := late.wait(); status != 0 {
		t.Errorf("exit %d\n%s", status, late.said.String())
	}
	if out, exit := g.ask("status", "web"); exit != 0 {
		t.Errorf("exit %d\n%s", exit, out)
	}
}

// TestHangingCommand: a host whose command never ends is bounded by the timeout.
func TestHangingCommand(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 1)
	h := g.start("h0", g.app("one", "{service: web, timeout: 4s}",
		"  pre: [\"exec sleep 3600\"]\n  failure: [\"touch DIR/failed\"]"))
	if status := h.wait(); status != 1 ||
		!strings.Contains(h.said.String(), "it was at work for longer than the timeout of the rollout") {
		t.Errorf("exit %d\n%s", status, h.said.String())
	}
	if _, err := os.Stat(g.path("failed")); err != nil {
		t.Error("failure commands have not run")
	}
	if out, exit := g.ask("status", "web"); exit != 1 || !strings.Contains(out, "1 failed") {
		t.Errorf("exit %d\n%s", exit, out)
	}
}

// TestHiddenGroup: a host whose token may not see all of the group deploys nothing, and
// says which right it lacks, whatever it does without Consul.
func TestHiddenGroup(t *testing.T) {
	t.Parallel()
	agent := testparts.ConsulWithACL(t)
	hostRules, deployerRules, _, _ := blocks(t)
	blind := agent.NewToken(t, "blind", strings.Replace(hostRules, `service_prefix ""`, `service "db"`, 1))
	deployer := agent.NewToken(t, "deployer", deployerRules)
	g := &group{t: t, bin: testparts.Program(t), dir: t.TempDir(), consul: agent.HTTPAddr, name: "web",
		nodes: []string{"h0"}, asks: []string{"CONSUL_HTTP_ADDR=" + agent.HTTPAddr, "CONSUL_HTTP_TOKEN=" + deployer}}
	g.env = func(string) []string { return []string{"CONSUL_HTTP_TOKEN=" + blind} }
	agent.Register(t, "h0", "web", nil)
	h := g.start("h0", g.app("one", "{service: web, on_unreachable: proceed}", "  post: [\"true\"]"))
	const why = `it could not begin: consul does not show all of service "web" to this token: ` +
		`it lacks service:read for "web"`
	if status := h.wait(); status != 1 || !strings.Contains(h.said.String(), why) {
		t.Errorf("exit %d\n%s", status, h.said.String())
	}
	if _, err := os.Stat(g.path("live-h0")); err == nil {
		t.Error("it has deployed")
	}
	if out, exit := g.ask("wait", "web", "one"); exit != 1 || !strings.Contains(out, why) {
		t.Errorf("exit %d\n%s", exit, out)
	}
	g.env = func(string) []string { return []string{"CONSUL_HTTP_TOKEN=" + agent.NewToken(t, "host", hostRules)} }
	h = g.start("h0", g.path("one.yml"))
	if status := h.wait(); status != 0 {
		t.Errorf("exit %d\n%s", status, h.said.String())
	}
}
