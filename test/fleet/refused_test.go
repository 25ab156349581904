package fleet

import (
	"os"
	"strings"
	"testing"
	"time"

	"stretcher/internal/testparts"
)

// waitsFor is what fleet wait says, which has a long time.
func (g *group) waitsFor(version string) (string, int) {
	g.t.Helper()
	return g.ask("wait", g.name, version, "--timeout", testparts.Limit(2*time.Minute).String())
}

// TestRefusedByPolicy: what a host's own policy refuses is told to the rollout, so that
// nobody waits for that host.
func TestRefusedByPolicy(t *testing.T) {
	t.Parallel()
	for policy, why := range map[string]string{
		"allow: {dests: [DIR/other]}\n":       "allow.dests",
		"allow: {names: [other]}\n":           "allow.names",
		"allow: {sources: [\"s3://a/b/\"]}\n": "allow.sources",
	} {
		t.Run(why, func(t *testing.T) {
			t.Parallel()
			g := newGroup(t, 2)
			config := g.write("policy.yml", policy)
			manifest := g.app("one", "{service: web, max_failed: 1}", "  post: [\"true\"]\n  failure: [\"touch DIR/failed\"]")
			h := g.start("h0", "--config", config, manifest)
			if status := h.wait(); status != 4 || !strings.Contains(h.said.String(), why) {
				t.Fatalf("exit %d\n%s", status, h.said.String())
			}
			if h = g.start("h1", manifest); h.wait() != 0 {
				t.Errorf("the other one says\n%s", h.said.String())
			}
			const told = "h0 failed: manifest: refused by the host policy"
			if out, exit := g.waitsFor("one"); exit != 1 || !strings.Contains(out, told) {
				t.Errorf("exit %d\n%s", exit, out)
			}
			for _, name := range []string{"failed", "live-h0"} {
				if _, err := os.Lstat(g.path(name)); err == nil {
					t.Errorf("there is %s", name)
				}
			}
		})
	}
}

// TestRefusedAsOlder: an older event changes nothing of what is known of the newer
// rollout, and begins none where nothing is known.
func TestRefusedAsOlder(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 1)
	older := g.app("one", "{service: web}\nserial: 1", "  post: [\"true\"]")
	if h := g.start("h0", g.app("two", "{service: web}\nserial: 2", "  post: [\"true\"]")); h.wait() != 0 {
		t.Fatal(h.said.String())
	}
	for _, known := range []bool{true, false} {
		if !known {
			g.agent.Put(t, "/v1/txn", `[{"KV": {"Verb": "delete-tree", "Key": "stretcher/fleet/"}}]`)
		}
		if h := g.start("h0", older); h.wait() != 4 {
			t.Errorf("exit %d\n%s", h.ProcessState.ExitCode(), h.said.String())
		}
		a := g.status()
		if good := a.Version == "two" && a.Counts["good"] == 1 && a.exit == 0; good != known {
			t.Errorf("known before: %v, %+v", known, a)
		}
	}
	if keys := g.get("/v1/kv/stretcher/fleet/?keys"); strings.Contains(keys, "stretcher") {
		t.Errorf("there is %s", keys)
	}
}

// TestRefusedUnsigned: by the word of a manifest that a host does not trust nothing is
// written. What is signed, and refused by the rest of the policy, is told.
func TestRefusedUnsigned(t *testing.T) {
	t.Parallel()
	g, agent, token := wantSignatures(t)
	g.write("policy.yml", "trust: {keys: DIR/keys}\nallow: {dests: [DIR/other]}\n")
	g.run("operator", "keygen", "--no-password", g.path("b"))
	manifest := g.app("one", "{service: web}", "  post: [\"true\"]")
	g.write("one.yml", g.read("one.yml")+"serial: 1\nexpires: 2099-12-01T00:00:00Z\n")
	for _, key := range []string{"", "b.key"} {
		if key != "" {
			g.run("operator", "sign", "--key", g.path(key), manifest)
		}
		g.exit(4, manifest)
		if keys := agent.Get("/v1/kv/stretcher/?keys=", token); strings.Contains(keys, "stretcher") {
			t.Errorf("signed by %q, there is %s", key, keys)
		}
	}
	if err := os.Remove(g.path("one.yml.minisig")); err != nil {
		t.Fatal(err)
	}
	g.run("operator", "sign", "--key", g.path("a.key"), manifest)
	g.exit(4, manifest)
	if a := g.status(); a.Counts["failed"] != 2 || !a.Ended {
		t.Errorf("%+v", a)
	}
}
