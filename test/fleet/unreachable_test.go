package fleet

import (
	"strings"
	"testing"

	"stretcher/internal/testparts"
)

// TestUnreachable: without Consul a host does what its manifest says, and deploys only
// when that is to proceed.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]struct {
		exit int
		says string
	}{
		"fail":    {1, "error: turn: "},
		"wait":    {1, "error: turn: its turn has not come in time after 3s: "},
		"proceed": {0, "this host deploys WITHOUT the limits of the rollout"},
	} {
		t.Run(word, func(t *testing.T) {
			t.Parallel()
			g := &group{t: t, bin: testparts.Program(t), dir: t.TempDir(), consul: "127.0.0.1:1", name: "web"}
			g.nodes = []string{"h0"}
			rollout := "{service: web, lease: 1m, on_unreachable: " + word
			if word == "wait" {
				rollout += ", timeout: 3s"
			}
			h := g.start("h0", g.app("one", rollout+"}", watched("true", "true")))
			if exit := h.wait(); exit != want.exit || !strings.Contains(h.said.String(), want.says) {
				t.Errorf("exit %d, it says\n%s", exit, h.said.String())
			}
			good := g.read("live-h0/current/version") == "one\n"
			told := strings.Contains(g.read("failures"), `"result":"failed"`)
			if proceeds := want.exit == 0; good != proceeds || told == proceeds {
				t.Errorf("it has deployed: %v, its failure commands ran: %v", good, told)
			}
		})
	}
}
