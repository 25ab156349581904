package fleet

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"stretcher/internal/testparts"
)

// app makes an archive with one file, and the manifest of it for dests of the hosts.
func (g *group) app(version, rollout, commands string) string {
	g.t.Helper()
	dir := g.path("tree-" + version)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		g.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "version"), []byte(version+"\n"), 0o600); err != nil {
		g.t.Fatal(err)
	}
	archive := g.path(version + ".tar.gz")
	if out, err := exec.Command("tar", "-czf", archive, "-C", dir, ".").CombinedOutput(); err != nil {
		g.t.Fatalf("tar: %v, %s", err, out)
	}
	data, err := os.ReadFile(archive)
	if err != nil {
		g.t.Fatal(err)
	}
	return g.write(version+".yml", fmt.Sprintf(`src: %s
checksum: sha256:%x
dest: DIR/live-{{ must_env "HOST" }}
name: %s
version: %q
sync_strategy: releases
rollout: %s
commands:
%s
`, archive, sha256.Sum256(data), g.name, version, rollout, commands))
}

// atWork are commands by which hosts see how many of them are at work: more than most
// are a failure.
const atWork = `  pre:
    - mkdir -p DIR/at-work && touch DIR/at-work/$HOST
    - n=$(ls DIR/at-work | wc -l); echo $n >> DIR/counts; [ $n -le 2 ]
  post: [sleep 0.05]
  verify: ["rm DIR/at-work/$HOST"]
  failure: ["echo $HOST $STRETCHER_RUN_SUMMARY >> DIR/failures"]`

// TestRollout: all hosts deploy, and never more than two at a time; canaries go alone.
func TestRollout(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 6)
	manifest := g.app("one", "{service: web, parallel: 2, canary: 1, zone: node_meta.rack}", atWork)
	for _, h := range g.startAll(manifest) {
		if status := h.wait(); status != 0 {
			t.Errorf("%s: exit %d\n%s", h.node, status, h.said.String())
		}
	}
	for _, node := range g.nodes {
		if got := g.read("live-" + node + "/current/version"); got != "one\n" {
			t.Errorf("%s has %q", node, got)
		}
		steps := g.run(node, "history", "--run", lastRun(t, g, node), "--json")
		if !strings.Contains(steps, `"name":"turn"`) {
			t.Errorf("%s has no step for its turn: %s", node, steps)
		}
	}
	if counts := strings.Fields(g.read("counts")); len(counts) != 6 || counts[0] != "1" {
		t.Errorf("at work were %q: the canary goes alone", counts)
	}
}

// TestCanaryFails: what a canary fails at stops the others. Nothing of them has
// changed, and nothing is left; their failure commands have run.
func TestCanaryFails(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 5)
	good := g.app("one", "{service: web, parallel: 5}", "  post: [\"true\"]")
	for _, h := range g.startAll(good) {
		if status := h.wait(); status != 0 {
			t.Fatalf("%s: exit %d\n%s", h.node, status, h.said.String())
		}
	}
	bad := g.app("two", "{service: web, parallel: 5, max_failed: 100%, canary: 1}",
		"  verify: [\"exit 9\"]\n  failure: [\"echo $HOST $STRETCHER_RUN_SUMMARY >> DIR/failures\"]")
	results := map[string]int{}
	for _, h := range g.startAll(bad) {
		if status := h.wait(); status != 1 {
			t.Errorf("%s: exit %d\n%s", h.node, status, h.said.String())
		}
		row := g.run(h.node, "history", "--json", "--limit", "1")
		result := regexp.MustCompile(`"result":"([a-z]+)"`).FindStringSubmatch(row)[1]
		results[result]++
		why := "error: turn: the rollout is stopped: a canary failed"
		if result == "stopped" && !strings.Contains(h.said.String(), why) {
			t.Errorf("%s says\n%s", h.node, h.said.String())
		}
		if got := g.read("live-" + h.node + "/current/version"); got != "one\n" {
			t.Errorf("%s has %q", h.node, got)
		}
		if left := leftovers(t, g, h.node); result == "stopped" && len(left) > 0 {
			t.Errorf("%s leaves %q", h.node, left)
		}
	}
	if results["failed"] != 1 || results["stopped"] != 4 {
		t.Errorf("results are %v", results)
	}
	failures := g.read("failures")
	if strings.Count(failures, "\n") != 5 || strings.Count(failures, `"result":"stopped"`) != 4 {
		t.Errorf("failure commands were told\n%s", failures)
	}
	if status := exec.Command(g.bin, "--state-dir", g.path("state-"+g.nodes[0]), "status", g.path("live-"+g.nodes[0])).
		Run(); status == nil {
		t.Error("stretcher status says that a host is good whose rollout was stopped")
	}
}

// lastRun is the id of the last run on a host.
func lastRun(t *testing.T, g *group, node string) string {
	t.Helper()
	row := g.run(node, "history", "--json", "--limit", "1")
	id := regexp.MustCompile(`"id":"([0-9a-f-]+)"`).FindStringSubmatch(row)
	if id == nil {
		t.Fatalf("%s has no run: %s", node, row)
	}
	return id[1]
}

// leftovers are what a host has beside its release and what is remembered.
func leftovers(t *testing.T, g *group, node string) (left []string) {
	t.Helper()
	all, err := filepath.Glob(g.path("live-"+node, "releases", "*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 2 { // the release that is live, and what is known of it
		left = append(left, all...)
	}
	staged, err := filepath.Glob(g.path("*stretcher*"))
	if err != nil {
		t.Fatal(err)
	}
	return append(left, staged...)
}

// TestNewerWins: a host that waits for its turn keeps no newer event waiting, and ends
// when that has come.
func TestNewerWins(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 2)
	hold := g.app("one", "{service: web}", "  pre: [\"while [ ! -e DIR/go ]; do sleep 0.05; done\"]")
	first := g.start(g.nodes[0], hold)
	testparts.WaitFor(t, "the first host to be at work", g.isIn(g.nodes[0], "pre"))
	older := g.start(g.nodes[1], hold)
	testparts.WaitFor(t, "the second host to wait", g.waits(g.nodes[1]))
	newer := g.app("two", "{service: web}", "  post: [\"true\"]")
	last := g.start(g.nodes[1], newer)
	why := "error: turn: a newer rollout has taken its place"
	if status := older.wait(); status != 1 || !strings.Contains(older.said.String(), why) {
		t.Errorf("the older one: exit %d\n%s", status, older.said.String())
	}
	line := "waiting: 1 of 1 at work, 0 before this host in the line; 2 in the group; slots are handed out"
	if !strings.Contains(older.said.String(), line) {
		t.Errorf("who waits says\n%s", older.said.String())
	}
	g.write("go", "")
	if status := first.wait(); status != 0 {
		t.Errorf("who was at work: exit %d\n%s", status, first.said.String())
	}
	if status := last.wait(); status != 0 || g.read("live-"+g.nodes[1]+"/current/version") != "two\n" {
		t.Errorf("the newer one: exit %d\n%s", status, last.said.String())
	}
}

// waits tells whether a host waits in the line, as Consul knows it.
func (g *group) waits(node string) func() bool {
	return func() bool {
		cmd := exec.Command(g.bin, "--state-dir", g.path("state-operator"), "fleet", "status", "web")
		cmd.Env = append(os.Environ(), "CONSUL_HTTP_ADDR="+g.consul, testparts.NoExitSleep)
		out, _ := cmd.Output() // it exits with how the rollout stands
		return regexp.MustCompile(node + ` .*waiting`).Match(out)
	}
}

// isIn tells whether the last run on a host is in a step.
func (g *group) isIn(node, step string) func() bool {
	return func() bool {
		cmd := exec.Command(g.bin, "--state-dir", g.path("state-"+node), "history", "--json", "--limit", "1")
		cmd.Env = append(os.Environ(), testparts.NoExitSleep)
		out, err := cmd.Output()
		return err == nil && strings.Contains(string(out), fmt.Sprintf(`"step":%q`, step))
	}
}

// TestInterruptedWhileWaiting: a signal ends the wait, and gives the place in the line
// back. The host has failed, in what is told and in what is counted.
func TestInterruptedWhileWaiting(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 3)
	hold := g.app("one", "{service: web}", "  pre: [\"while [ ! -e DIR/go ]; do sleep 0.05; done\"]")
	first := g.start(g.nodes[0], hold)
	testparts.WaitFor(t, "the first host to be at work", g.isIn(g.nodes[0], "pre"))
	second := g.start(g.nodes[1], hold)
	testparts.WaitFor(t, "the second host to wait", g.waits(g.nodes[1]))
	third := g.start(g.nodes[2], hold)
	testparts.WaitFor(t, "the third host to wait", g.waits(g.nodes[2]))
	if err := second.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if status := second.wait(); status != 143 {
		t.Errorf("exit %d\n%s", status, second.said.String())
	}
	if keys := g.get("/v1/kv/stretcher/fleet/web/?keys"); strings.Count(keys, "/t/") > 2 {
		t.Errorf("keys are %s", keys)
	}
	if status := third.wait(); status != 1 || !strings.Contains(third.said.String(), "is stopped: 1 failed, and 0 may") {
		t.Errorf("another that waits: exit %d\n%s", status, third.said.String())
	}
	g.asks = []string{"CONSUL_HTTP_ADDR=" + g.consul}
	if a := g.status(); a.Counts["failed"] != 1 || a.Counts["stopped"] != 1 || a.Phase != "stopped" {
		t.Errorf("the status is %+v", a)
	}
	g.write("go", "")
	if status := first.wait(); status != 0 {
		t.Errorf("who was at work: exit %d\n%s", status, first.said.String())
	}
}

// TestLookingAsksNobody: what only looks makes no request to Consul.
func TestLookingAsksNobody(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		http.Error(w, r.URL.Path, http.StatusInternalServerError)
	}))
	t.Cleanup(server.Close)
	g := &group{t: t, bin: testparts.Program(t), dir: t.TempDir(), consul: server.URL, name: "web", nodes: []string{"h0"}}
	manifest := g.app("one", "{service: web}", "  post: [\"true\"]")
	for _, args := range [][]string{
		{"check", manifest}, {"render", manifest}, {"plan", manifest}, {"--dry-run", manifest}, {"hooks", "list", manifest},
		{"fetch", manifest},
	} {
		h := g.start("h0", args...)
		status := h.wait()
		changes := status == 10 && strings.Contains(h.said.String(), "2 to add")
		if status != 0 && !changes || asked.Load() > 0 {
			t.Errorf("%s: exit %d, %d requests\n%s", args, status, asked.Load(), h.said.String())
		}
	}
}
