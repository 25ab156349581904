package fleet

import (
	"maps"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"stretcher/internal/testparts"
)

// TestStoppedProcess: a process that was stopped for longer than it may go on without
// Consul notices so when it goes on, before it begins anything else: its slot may be
// another host's by then.
func TestStoppedProcess(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 1)
	manifest := g.app("one", "{service: web, lease: 1m}", "  pre:\n    - \"touch DIR/began; "+held+"\"\n"+
		"    - touch DIR/second\n  post: [touch DIR/next]\n  failure: [touch DIR/failed]")
	h := g.start(g.nodes[0], manifest)
	testparts.WaitFor(t, "the host to be at work", func() bool { return g.isThere("began") })
	if err := h.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	g.write("go", "") // what it has begun ends meanwhile
	time.Sleep(46 * time.Second)
	if err := h.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if status := h.wait(); status != 1 || !strings.Contains(h.said.String(), "its slot is lost") {
		t.Errorf("exit %d\n%s", status, h.said.String())
	}
	for name, want := range map[string]bool{
		"second": false, "next": false, "failed": true, "live-" + g.nodes[0] + "/current": false,
	} {
		if g.isThere(name) != want {
			t.Errorf("%s is there: %v", name, !want)
		}
	}
}

// isThere tells whether a file of the group's is there.
func (g *group) isThere(name string) bool {
	_, err := os.Lstat(g.path(name))
	return err == nil
}

// TestStoppedForLong stops a process until another host has its slot. It takes some
// minutes, as TestKilledAtWork does.
func TestStoppedForLong(t *testing.T) {
	if os.Getenv("STRETCHER_FLEET_KILL") == "" {
		t.Skip("it takes minutes: STRETCHER_FLEET_KILL=1, or make test-long")
	}
	t.Parallel()
	g := newGroup(t, 3)
	manifest := g.app("one", "{service: web, parallel: 1, max_failed: 2, lease: 1m}", watched(held, "true"))
	all := g.startAll(manifest)
	testparts.WaitFor(t, "a host at work", func() bool { return len(g.atWork()) == 1 })
	stopped := byNode(all, g.atWork()[0])
	if err := stopped.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	g.gone(stopped.node) // it does nothing: that it begins nothing again is what is judged
	taken := func() bool { return len(g.observed(1)) == 1 }
	_ = testparts.Eventually(taken) // a slot comes back after up to three leases: that is as long as one wait
	testparts.WaitFor(t, "another host at work", taken)
	if err := stopped.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if status := stopped.wait(); status != 1 || !strings.Contains(stopped.said.String(), "its slot is lost") {
		t.Errorf("exit %d\n%s", status, stopped.said.String())
	}
	if n := strings.Count(g.read("log"), stopped.node); n != 2 {
		t.Errorf("it has gone on:\n%s", g.read("log"))
	}
	g.write("go", "")
	if exits := ends(remove(all, stopped.node)); !maps.Equal(exits, map[int]int{0: 2}) {
		t.Errorf("exits are %v\n%s", exits, says(all, 0))
	}
	g.observed(1)
}
