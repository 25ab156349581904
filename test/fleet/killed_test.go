package fleet

import (
	"maps"
	"os"
	"syscall"
	"testing"

	"stretcher/internal/testparts"
)

// TestKilledAtWork kills hosts at work. Others take their slots when they have been
// heard of no more for some minutes, so it runs only where these are to spare.
func TestKilledAtWork(t *testing.T) {
	if os.Getenv("STRETCHER_FLEET_KILL") == "" {
		t.Skip("it takes minutes: STRETCHER_FLEET_KILL=1, or make test-long")
	}
	t.Parallel()
	c := newCluster(t)
	g := c.group(t, "killed", hostsOfCluster)
	g.bin = testparts.Program(t)
	manifest := g.app("one", "{service: killed, parallel: 4, max_failed: 5, lease: 1m}", watched(held, "true"))
	all := g.startAll(manifest)
	testparts.WaitFor(t, "four hosts at work", func() bool { return len(g.atWork()) == 4 })
	a := g.until("all others to wait", func(a answer) bool { return a.Counts["waiting"] == len(all)-4 })

	leader := c.Leader()
	if leader == nil {
		t.Fatal("no server leads")
	}
	leader.Kill()
	killed := g.atWork()[:3]
	for _, node := range killed {
		h := byNode(all, node)
		_ = h.Process.Kill()
		h.wait()
		g.gone(node)
	}
	waiting := g.standing(a, "waiting")
	if err := byNode(all, waiting[0]).Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	testparts.WaitFor(t, "another leader", func() bool { l := c.Leader(); return l != nil && l != leader })
	leader.Start(c.t)
	died := func(a answer) bool { return a.Counts["died"] == 3 }
	_ = testparts.Eventually(func() bool { return died(g.status()) }) // up to three leases: as long as one wait
	g.until("three to have died", died)
	testparts.WaitFor(t, "others to have the slots", func() bool { return len(g.observed(4)) == 4 })

	// One of those that have died comes again, and is good.
	again := g.start(killed[0], manifest)
	g.write("go", "")
	if exit := again.wait(); exit != 0 {
		t.Errorf("it came again: exit %d\n%s", exit, again.said.String())
	}
	for _, node := range killed {
		all = remove(all, node)
	}
	if exits := ends(all); !maps.Equal(exits, map[int]int{0: len(all) - 1, 143: 1}) {
		t.Errorf("exits are %v\n%s", exits, says(all, 0))
	}
	g.observed(4)
	a = g.status()
	want := map[string]int{"good": 27, "died": 2, "failed": 1}
	for standing, n := range want {
		if a.Counts[standing] != n || a.exit != 1 {
			t.Errorf("%d are %s, not %d: %+v", a.Counts[standing], standing, n, a)
		}
	}
	if out, exit := g.ask("wait", g.name, "one", "--timeout", "1m"); exit != 1 {
		t.Errorf("fleet wait: exit %d\n%s", exit, out)
	}
}

// standing lists the hosts that stand so.
func (g *group) standing(a answer, standing string) (nodes []string) {
	for _, h := range a.Hosts {
		if h.Standing == standing {
			nodes = append(nodes, h.Node)
		}
	}
	return nodes
}

// remove is all but the process of a host.
func remove(all []*host, node string) (rest []*host) {
	for _, h := range all {
		if h.node != node {
			rest = append(rest, h)
		}
	}
	return rest
}
