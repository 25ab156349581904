package fleet

import (
	"os"
	"strings"
	"testing"

	"stretcher/internal/testparts"
)

// TestFailsBeforeItsTurn: a host that can't fetch counts among those of max_failed, and
// takes no slot for it.
func TestFailsBeforeItsTurn(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 3)
	g.app("one", "{service: web}", "  pre: [\"while [ ! -e DIR/go ]; do sleep 0.05; done\"]")
	text := strings.Replace(g.read("one.yml"), g.path("one.tar.gz"), g.path(`{{ must_env "HOST" }}.tar.gz`), 1)
	manifest := g.write("all.yml", text)
	for _, node := range g.nodes[:2] {
		if err := os.Link(g.path("one.tar.gz"), g.path(node+".tar.gz")); err != nil {
			t.Fatal(err)
		}
	}
	first := g.start(g.nodes[0], manifest)
	testparts.WaitFor(t, "the first host to be at work", g.isIn(g.nodes[0], "pre"))
	second := g.start(g.nodes[1], manifest)
	testparts.WaitFor(t, "the second host to wait", g.waits(g.nodes[1]))
	third := g.start(g.nodes[2], manifest)
	if status := third.wait(); status != 1 || strings.Contains(third.said.String(), "waiting for the turn") {
		t.Errorf("who can't fetch: exit %d\n%s", status, third.said.String())
	}
	const why = "the rollout is stopped: 1 failed"
	if status := second.wait(); status != 1 || !strings.Contains(second.said.String(), why) {
		t.Errorf("who waits: exit %d\n%s", status, second.said.String())
	}
	g.write("go", "")
	if status := first.wait(); status != 0 {
		t.Errorf("who was at work: exit %d\n%s", status, first.said.String())
	}
}

// TestNothingToDo: who has the version already waits for no turn, and is good.
func TestNothingToDo(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 1)
	manifest := g.app("one", "{service: web}", "  post: [\"echo x >> DIR/ran\"]")
	for range 2 {
		h := g.start(g.nodes[0], "--if-changed", manifest)
		if status := h.wait(); status != 0 {
			t.Fatalf("exit %d\n%s", status, h.said.String())
		}
		if strings.Contains(h.said.String(), "waiting for the turn") == strings.Contains(h.said.String(), "nothing to do") {
			t.Errorf("it says\n%s", h.said.String())
		}
	}
	if ran := g.read("ran"); ran != "x\n" {
		t.Errorf("commands ran: %q", ran)
	}
	if status := g.run("operator", "fleet", "status", "web"); !strings.Contains(status, "1 of 1 host good") {
		t.Errorf("the status is\n%s", status)
	}
}

// TestOutOfReach: without Consul a host does what on_unreachable says; nothing of it
// holds up who has no rollout.
func TestOutOfReach(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rollout string
		status  int
		says    string
	}{
		{"{service: web, lease: 1m, on_unreachable: fail}", 1, "consul is out of reach"},
		{"{service: web, lease: 1m, on_unreachable: proceed}", 0, "deploys WITHOUT the limits of the rollout"},
		{"{service: web, lease: 1m, timeout: 2s}", 1, "its turn has not come in time"},
	} {
		t.Run(c.rollout, func(t *testing.T) {
			t.Parallel()
			g := &group{t: t, bin: testparts.Program(t), dir: t.TempDir(), consul: "127.0.0.1:1", nodes: []string{"h0"}}
			h := g.start("h0", g.app("one", c.rollout, "  failure: [\"touch DIR/failed\"]"))
			status := h.wait()
			if status != c.status || !strings.Contains(h.said.String(), c.says) {
				t.Errorf("exit %d\n%s", status, h.said.String())
			}
			n := strings.Count(h.said.String(), "limits of the rollout")
			if n += strings.Count(h.said.String(), "no limit holds"); n > 1 {
				t.Errorf("it says %d times that no limit holds\n%s", n, h.said.String())
			}
			_, failed := os.Stat(g.path("failed"))
			if deployed := g.read("live-h0/current/version") != ""; deployed != (c.status == 0) || (failed == nil) == deployed {
				t.Errorf("deployed: %v, failure commands: %v", deployed, failed)
			}
		})
	}
}
