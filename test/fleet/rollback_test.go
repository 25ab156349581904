package fleet

import (
	"encoding/base64"
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
	url := strings.TrimSpace(g.run("operator", "fleet", "rollback", "web", "--manifest", g.path("two.yml"),
		"--to", g.path("published")+"/"))
	events := g.get("/v1/event/list?name=deploy")
	if !strings.Contains(events, base64.StdEncoding.EncodeToString([]byte(url))) {
		t.Errorf("no event for %s: %s", url, events)
	}
	for _, h := range g.startAll(url) {
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
