package fleet

import (
	"strings"
	"testing"

	"stretcher/internal/testparts"
)

// TestEventTwice: of two runs of a host that wait for one rollout the older one gives way,
// and the host is told to be at work while the newer one is.
func TestEventTwice(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 2)
	hold := g.app("one", "{service: web}", `  pre: ["while [ ! -e DIR/go-$HOST ]; do sleep 0.05; done"]`)
	first := g.start(g.nodes[0], hold)
	testparts.WaitFor(t, "the first host to be at work", g.isIn(g.nodes[0], "pre"))
	older := g.start(g.nodes[1], hold)
	testparts.WaitFor(t, "the second host to wait", g.waits(g.nodes[1]))
	newer := g.start(g.nodes[1], hold)
	testparts.WaitFor(t, "its newer run to wait", func() bool {
		return strings.Count(g.get("/v1/kv/stretcher/fleet/web/?keys"), "/t/") == 3
	})
	g.write("go-"+g.nodes[0], "")
	if status := first.wait(); status != 0 {
		t.Errorf("who was at work: exit %d\n%s", status, first.said.String())
	}
	why := "error: turn: a newer run on this host has taken its place: run "
	if status := older.wait(); status != 1 || !strings.Contains(older.said.String(), why) {
		t.Errorf("the older run: exit %d\n%s", status, older.said.String())
	}
	testparts.WaitFor(t, "the newer run to be at work", g.isIn(g.nodes[1], "pre"))
	g.asks = []string{"CONSUL_HTTP_ADDR=" + g.consul}
	if a := g.status(); a.exit != 7 || a.Counts["working"] != 1 || a.Counts["stopped"] != 0 || a.Phase != "open" {
		t.Errorf("the status is %+v", a)
	}
	g.write("go-"+g.nodes[1], "")
	if status := newer.wait(); status != 0 {
		t.Errorf("the newer run: exit %d\n%s", status, newer.said.String())
	}
	if a := g.status(); a.exit != 0 || a.Counts["good"] != 2 {
		t.Errorf("at the end the status is %+v", a)
	}
}
