package fleet

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"stretcher/internal/testparts"
)

// TestLosesItsSlot: a host that can't hold its slot any more ends what it does, before
// anybody else has begun.
func TestLosesItsSlot(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 1)
	manifest := g.app("one", "{service: web, lease: 1m}",
		"  pre: [\"sleep 300; touch DIR/ended\"]\n  failure: [\"touch DIR/failed\"]")
	h := g.start(g.nodes[0], manifest)
	testparts.WaitFor(t, "the host to be at work", g.isIn(g.nodes[0], "pre"))
	key, value, session := g.held()
	g.put("/v1/session/destroy/"+session, "")
	var mine struct{ ID string }
	if err := json.Unmarshal([]byte(g.put("/v1/session/create", `{"LockDelay":"0s"}`)), &mine); err != nil {
		t.Fatal(err)
	}
	testparts.WaitFor(t, "another session to have the slot", func() bool {
		return strings.TrimSpace(g.put("/v1/kv/"+key+"?acquire="+mine.ID, value)) == "true"
	})
	if status := h.wait(); status != 1 || !strings.Contains(h.said.String(), "its slot is lost") {
		t.Errorf("exit %d\n%s", status, h.said.String())
	}
	for name, want := range map[string]bool{"ended": false, "failed": true, "live-" + g.nodes[0] + "/current": false} {
		if _, err := os.Stat(g.path(name)); (err == nil) != want {
			t.Errorf("%s is there: %v", name, err == nil)
		}
	}
}

// held is the key that the only host at work holds, and by which session.
func (g *group) held() (key, value, session string) {
	g.t.Helper()
	var all []struct{ Key, Value, Session string }
	if err := json.Unmarshal([]byte(g.get("/v1/kv/stretcher/fleet/web/?recurse")), &all); err != nil {
		g.t.Fatal(err)
	}
	for _, pair := range all {
		if pair.Session == "" || !strings.Contains(pair.Key, "/t/") { // the clock of the rollout is held as well
			continue
		}
		b, err := base64.StdEncoding.DecodeString(pair.Value)
		if err != nil {
			g.t.Fatal(err)
		}
		return pair.Key, string(b), pair.Session
	}
	g.t.Fatal("nobody holds a slot")
	return "", "", ""
}

// put sends something to Consul's API.
func (g *group) put(path, body string) string {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), http.MethodPut, "http://"+g.consul+path,
		strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		g.t.Fatalf("PUT %s: %s, %v, %s", path, resp.Status, err, b)
	}
	return string(b)
}
