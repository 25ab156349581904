package fleet

import (
	"strings"
	"testing"

	"stretcher/internal/testparts"
)

// TestForget: what Consul holds of a rollout goes when it is over, and not while hosts
// are at work or wait, unless by force; what is deployed stays.
func TestForget(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 2)
	g.exits(8, `no such rollout is known: "web"`, "fleet", "forget", "web")
	manifest := g.app("one", "{service: web}", "  pre: [\"while [ ! -e DIR/go ]; do sleep 0.05; done\"]")
	first := g.start("h0", manifest)
	testparts.WaitFor(t, "the first host to be at work", g.isIn("h0", "pre"))
	second := g.start("h1", manifest)
	testparts.WaitFor(t, "the second host to wait", g.waits("h1"))
	const going = `the rollout goes on: hosts at work: "h0"; hosts that wait for their turn: "h1"`
	g.exits(1, going, "fleet", "forget", "web")
	g.exits(1, "--force removes it all the same", "fleet", "forget", "web", "--dry-run")
	g.write("go", "")
	if a, b := first.wait(), second.wait(); a != 0 || b != 0 {
		t.Fatalf("exit %d, %d\n%s%s", a, b, first.said.String(), second.said.String())
	}

	g.exits(0, "would remove stretcher/fleet/web/res/: 2 keys", "fleet", "forget", "web", "--dry-run")
	g.exits(0, "2 of 2 hosts good", "fleet", "status", "web")
	said := g.exits(0, "web one: good, done, 2 of 2 hosts good", "fleet", "forget", "web")
	if !strings.Contains(said, "removed stretcher/fleet/web/head: 1 key\n") || strings.Contains(said, "warning") {
		t.Errorf("it says\n%s", said)
	}
	g.exits(8, "no such rollout is known", "fleet", "status", "web")
	g.exits(8, "no such rollout is known", "fleet", "forget", "web")
	if got := g.read("live-h1/current/version"); got != "one\n" {
		t.Errorf("there is %q", got)
	}

	g.ends("h0", 0, "deployed", manifest)
	g.exits(0, "rollback.yml", "fleet", "rollback", "web", "--event", "none")
	g.exits(1, "stretcher/manifests/web/rollback.yml is newer, and hosts may be about to go by it",
		"fleet", "forget", "web")
	g.exits(0, "warning: the rollout went on: hosts that have yet to come: \"h1\"", "fleet", "forget", "web", "--force")
	if keys := g.agent.Get("/v1/kv/stretcher/?keys=", ""); keys != "" {
		t.Errorf("left: %s", keys)
	}
}

// TestForgetNoRights: who may not write removes nothing, and is told which right is
// missing; who may not read, too.
func TestForgetNoRights(t *testing.T) {
	t.Parallel()
	g, agent := guardedGroup(t, "")
	reads := agent.NewToken(t, "reads", `key_prefix "stretcher/" { policy = "read" }`)
	writes := agent.NewToken(t, "writes", `key_prefix "stretcher/" { policy = "write" }`)
	agent.Put(t, "/v1/kv/stretcher/fleet/web/head", "spoilt")
	for _, c := range []struct {
		token, says string
		exit        int
	}{
		{"", "consul does not allow it, key:read is missing", 5},
		{"none", "consul does not know the token", 5},
		{reads, "consul does not allow it, key:write is missing", 5},
		{writes, "removed stretcher/fleet/web/head: 1 key\n", 0},
	} {
		g.asks[1] = "CONSUL_HTTP_TOKEN=" + c.token
		out, exit := g.ask("forget", "web")
		if exit != c.exit || !strings.Contains(out, c.says) {
			t.Errorf("exit %d, want %d\n%s", exit, c.exit, out)
		}
		if is := agent.Get("/v1/kv/stretcher/fleet/web/head", agent.Token) != ""; is != (exit != 0) {
			t.Errorf("exit %d, and there: %v", exit, is)
		}
	}
}
