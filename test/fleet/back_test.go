package fleet

import (
	"slices"
	"strings"
	"testing"

	"stretcher/internal/testparts"
)

// TestRollbackRefused: what hosts would refuse is not published; what they do refuse
// changes nothing there.
func TestRollbackRefused(t *testing.T) {
	t.Parallel()
	g, _, _ := wantSignatures(t)
	const url = "consul://stretcher/manifests/web/rollback.yml"
	says := func(exit int, want string, args ...string) {
		t.Helper()
		if out, got := g.ask(append([]string{"rollback"}, args...)...); got != exit || !strings.Contains(out, want) {
			t.Errorf("%s: exit %d, want %d and %q\n%s", args, got, exit, want, out)
		}
	}
	says(8, `no such rollout is known: "web"`, "web")
	g.release("one", 1)
	g.release("two", 2)
	says(8, `no such rollout is known: "api"`, "api", "--sign", g.path("a.key"))
	says(2, "serial 2 is not above 2, which hosts have", "web", "--sign", g.path("a.key"), "--serial", "2")
	says(2, "serial 2 is not above 2, which hosts have", "web", "--manifest", g.path("one.yml"), "--serial", "2",
		"--unsigned")
	g.exit(1, url) // nothing is there
	says(2, "without --sign they would refuse the way back", "web")
	says(2, "without --sign they would refuse the way back", "web", "--manifest", g.path("two.yml"))
	g.exit(1, url) // nothing is there
	g.run("operator", "keygen", "--no-password", g.path("b"))
	for _, args := range [][]string{{"--sign", g.path("b.key")}, {"--unsigned"}} {
		says(0, "serial: ", append([]string{"web"}, args...)...)
		g.exit(4, url)
		says(0, url, append([]string{"web", "--manifest", g.path("two.yml")}, args...)...)
		for _, h := range g.exit(4, url) {
			if none := strings.Contains(h.said.String(), ": not signed: "); none != (args[0] == "--unsigned") {
				t.Errorf("%s: %s says\n%s", args, h.node, h.said.String())
			}
		}
	}
	if has := g.has(); has["two"] != 2 {
		t.Errorf("they have %v", has)
	}
	says(0, "serial: 3\n", "web", "--sign", g.path("a.key"))
	g.exit(0, url)
	says(0, "serial: 4\n", "web", "--sign", g.path("a.key")) // once more
	for _, h := range g.exit(0, url) {
		if !strings.Contains(h.said.String(), `nothing to do: `) || strings.Contains(h.said.String(), "it is the turn of") {
			t.Errorf("%s says\n%s", h.node, h.said.String())
		}
	}
	if has := g.has(); has["one"] != 2 {
		t.Errorf("they have %v", has)
	}
}

// TestRollbackToUnsigned: where signatures are required since, hosts don't go back to
// what was not signed.
func TestRollbackToUnsigned(t *testing.T) {
	t.Parallel()
	g, _, _ := wantSignatures(t)
	for _, h := range g.startAll(g.app("one", "{service: web, parallel: 2}", "  post: [\"true\"]")) {
		if status := h.wait(); status != 0 {
			t.Fatalf("%s: exit %d\n%s", h.node, status, h.said.String())
		}
	}
	g.release("two", 2)
	out, exit := g.ask("rollback", "web", "--sign", g.path("a.key"))
	if exit != 0 {
		t.Fatalf("exit %d\n%s", exit, out)
	}
	for _, h := range g.exit(4, "consul://stretcher/manifests/web/rollback.yml") {
		if !strings.Contains(h.said.String(), "was not signed when it was deployed") {
			t.Errorf("%s says\n%s", h.node, h.said.String())
		}
	}
	if has := g.has(); has["two"] != 2 {
		t.Errorf("they have %v", has)
	}
}

// TestRollbackWhileGoing: hosts that wait for the version to get away from stop, and
// have nothing to do then; who is at work finishes, and goes back.
func TestRollbackWhileGoing(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 3)
	for _, h := range g.startAll(g.app("one", "{service: web, parallel: 3}", "  post: [\"true\"]")) {
		if status := h.wait(); status != 0 {
			t.Fatalf("%s: exit %d\n%s", h.node, status, h.said.String())
		}
	}
	two := g.app("two", "{service: web}", "  pre: [\"while [ ! -e DIR/go ]; do sleep 0.05; done\"]")
	first := g.start("h0", two)
	testparts.WaitFor(t, "the first host to be at work", g.isIn("h0", "pre"))
	var rest []*host
	for _, node := range g.nodes[1:] {
		rest = append(rest, g.start(node, two))
		testparts.WaitFor(t, "a host to wait", g.waits(node))
	}
	out := g.exits(0, "the rollout that went on is stopped", "fleet", "rollback", "web", "--manifest", two,
		"--to", g.path("published")+"/")
	lines := strings.Split(out, "\n")
	url := lines[slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, "file://") })]
	for _, h := range rest {
		if status := h.wait(); status != 1 || !strings.Contains(h.said.String(), "for a rollback") {
			t.Errorf("%s: exit %d\n%s", h.node, status, h.said.String())
		}
		g.ends(h.node, 0, "nothing to do: ", url)
	}
	g.write("go", "")
	if status := first.wait(); status != 0 || g.read("live-h0/current/version") != "two\n" {
		t.Errorf("exit %d\n%s", status, first.said.String())
	}
	g.ends("h0", 0, "it is the turn of", url)
	for _, node := range g.nodes {
		if got := g.read("live-" + node + "/current/version"); got != "one\n" {
			t.Errorf("%s has %q", node, got)
		}
	}
	g.exits(0, "3 of 3 hosts good", "fleet", "status", "web")
}
