package fleet

import (
	"strings"
	"testing"
)

// TestRollbackOfAGroup: hosts go back by what they have kept, within the limits; who
// has not had the bad version has nothing to do.
func TestRollbackOfAGroup(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 4)
	for _, version := range []string{"one", "two"} {
		hosts := g.nodes
		if version == "two" {
			hosts = g.nodes[:3]
		}
		manifest := g.app(version, "{service: web, parallel: 2}", atWork)
		var all []*host
		for _, node := range hosts {
			all = append(all, g.start(node, manifest))
		}
		for _, h := range all {
			if status := h.wait(); status != 0 {
				t.Fatalf("%s: exit %d\n%s", h.node, status, h.said.String())
			}
		}
	}
	back := g.write("back.yml", `
name: web
dest: DIR/live-{{ must_env "HOST" }}
rollback: {to: previous, from: two}
rollout: {service: web, parallel: 2}
`)
	for _, h := range g.startAll(back) {
		if status := h.wait(); status != 0 {
			t.Errorf("%s: exit %d\n%s", h.node, status, h.said.String())
		}
		if got := g.read("live-" + h.node + "/current/version"); got != "one\n" {
			t.Errorf("%s has %q", h.node, got)
		}
		said := h.said.String()
		waits, idle := strings.Contains(said, "it is the turn of"), strings.Contains(said, "nothing to do: ")
		if last := h.node == g.nodes[3]; waits == last || idle != last {
			t.Errorf("%s waits: %v, has nothing to do: %v\n%s", h.node, waits, idle, said)
		}
	}
	if failures := g.read("failures"); failures != "" {
		t.Errorf("more were at work than may be:\n%s", failures)
	}
}
