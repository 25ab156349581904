package fleet

import (
	"fmt"
	"maps"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"stretcher/internal/testparts"
)

// pollEvery is how often it is asked how a rollout stands.
const pollEvery = 300 * time.Millisecond

// TestThirtyHosts rolls out to groups of thirty hosts, over a Consul cluster of three
// servers, of which hosts have no more rights than they need.
func TestThirtyHosts(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	for name, play := range map[string]func(*testing.T, *group){
		"good": playGood, "canary": playBadCanary, "stops": playStops, "newer": playNewer, "back": playBack,
	} {
		if !t.Run(name, func(t *testing.T) { play(t, c.group(t, name, hostsOfCluster)) }) {
			return
		}
	}
	t.Run("faults", func(t *testing.T) {
		g := c.group(t, "faults", hostsOfCluster)
		g.bin = testparts.Program(t)
		playFaults(t, c, g)
	})
	t.Run("quorum", func(t *testing.T) { playNoQuorum(t, c, c.group(t, "quorum", hostsOfCluster)) })
}

// playGood: all of them deploy, canaries first, four at once; all who ask agree.
func playGood(t *testing.T, g *group) {
	manifest := g.app("one", "{service: good, parallel: 4, canary: 2, pause: 1s, zone: node_meta.rack}",
		watched("touch DIR/began-$HOST; sleep 0.05", "touch DIR/ended-$HOST"))
	type told struct {
		out  string
		exit int
	}
	waited := make(chan told, 1)
	go func() {
		out, exit := g.ask("wait", "good", "one", "--timeout", "20m")
		waited <- told{out, exit}
	}()
	all := g.startAll(manifest)
	if exits := ends(all); exits[0] != len(all) {
		t.Fatalf("exits are %v\n%s", exits, says(all, 0))
	}
	if w := <-waited; w.exit != 0 {
		t.Errorf("fleet wait: exit %d\n%s", w.exit, w.out)
	}
	a := g.status()
	if a.exit != 0 || a.Verdict != "good" || a.Phase != "done" || !a.Ended || a.Counts["good"] != len(all) {
		t.Errorf("fleet status: %+v", a)
	}
	zones := map[string]int{}
	for _, h := range a.Hosts {
		zones[h.Zone]++
	}
	if want := map[string]int{"r0": 10, "r1": 10, "r2": 10}; !maps.Equal(zones, want) {
		t.Errorf("zones are %v", zones)
	}
	if has := g.has(); has["one"] != len(all) {
		t.Errorf("hosts have %v", has)
	}
	g.observed(4)
	g.wentFirst(2, time.Second)
}

// wentFirst checks that so many hosts went first, and the others a pause later.
func (g *group) wentFirst(canaries int, pause time.Duration) {
	g.t.Helper()
	first := map[string]bool{}
	var last, others time.Time
	for line := range strings.Lines(g.read("log")) {
		what, node, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case what == "+" && len(first) < canaries:
			first[node] = true
		case what == "-" && first[node]:
			if at := g.made("ended-" + node); at.After(last) {
				last = at
			}
		case what == "+":
			if at := g.made("began-" + node); others.IsZero() || at.Before(others) {
				others = at
			}
		}
	}
	if waited := others.Sub(last); waited < pause {
		g.t.Errorf("the others went %s after the canaries\n%s", waited, g.read("log"))
	}
}

// made is when a file was made.
func (g *group) made(name string) time.Time {
	g.t.Helper()
	info, err := os.Stat(g.path(name))
	if err != nil {
		g.t.Fatal(err)
	}
	return info.ModTime()
}

// playBadCanary: a canary fails, and nobody else touches anything.
func playBadCanary(t *testing.T, g *group) {
	bad := g.app("bad", "{service: canary, parallel: 50%, max_failed: 100%, canary: 1}", watched("true", "exit 9"))
	all := g.startAll(bad)
	if exits := ends(all); exits[1] != len(all) {
		t.Fatalf("exits are %v\n%s", exits, says(all, 1))
	}
	a := g.status()
	if a.exit != 1 || a.Phase != "stopped" || a.Counts["failed"] != 1 || a.Counts["stopped"] != len(all)-1 {
		t.Errorf("fleet status: %+v", a)
	}
	if h := a.Hosts[0]; h.Standing != "failed" || h.Step != "verify" || !strings.Contains(h.Error, "exit status 9") {
		t.Errorf("the first one is told of as %+v", h)
	}
	if out, exit := g.ask("wait", "canary", "bad", "--timeout", "1m"); exit != 1 {
		t.Errorf("fleet wait: exit %d\n%s", exit, out)
	}
	g.observed(1)
	if log := g.read("log"); strings.Count(log, "+") != 1 {
		t.Errorf("at work were\n%s", log)
	}
	g.stoppedUntouched(a)
}

// stoppedUntouched checks that hosts of a stopped rollout have done nothing but run
// their failure commands.
func (g *group) stoppedUntouched(a answer) {
	g.t.Helper()
	failures := g.read("failures")
	for _, h := range a.Hosts {
		if h.Standing != "stopped" {
			continue
		}
		if _, err := os.Lstat(g.path("live-" + h.Node)); !os.IsNotExist(err) {
			g.t.Errorf("%s was stopped, and has a dest: %v", h.Node, err)
		}
		if n := strings.Count("\n"+failures, "\n"+h.Node+" {"); n != 1 {
			g.t.Errorf("%s was stopped, and ran its failure command %d times", h.Node, n)
		}
	}
	if got := strings.Count(failures, `"result":"stopped"`); got != a.Counts["stopped"] {
		g.t.Errorf("%d failure commands were told of a stop, of %d", got, a.Counts["stopped"])
	}
}

// playStops: more fail than may, in the middle: all that end behind the first eight,
// whoever looks at the log when.
func playStops(t *testing.T, g *group) {
	manifest := g.app("one", "{service: stops, parallel: 3, max_failed: 2}",
		watched("true", `[ $(grep ^- DIR/log | grep -nx -- "- $HOST" | cut -d: -f1) -lt 9 ]`))
	all := g.startAll(manifest)
	exits := ends(all)
	a := g.status()
	good, failed := a.Counts["good"], a.Counts["failed"]
	if a.exit != 1 || a.Phase != "stopped" || good+failed+a.Counts["stopped"] != len(all) {
		t.Errorf("fleet status: %+v", a)
	}
	if good != 8 || failed < 3 || failed > 5 || exits[0] != good || exits[1] != len(all)-good {
		t.Errorf("%d are good, %d have failed, exits are %v: %+v", good, failed, exits, a)
	}
	g.observed(3)
	g.stoppedUntouched(a)
}

// playNewer: of two rollouts of one name the newer wins. Hosts of the older that wait
// stop, and those at work end before hosts of the newer begin.
func playNewer(t *testing.T, g *group) {
	rollout := "{service: newer, parallel: 3}"
	older := g.startAll(g.app("one", rollout, watched(held, "true")))
	testparts.WaitFor(t, "three hosts at work", func() bool { return len(g.atWork()) == 3 })
	g.until("all others to wait", func(a answer) bool { return a.Counts["waiting"] == len(older)-3 })
	working := g.atWork()
	newer := g.startAll(g.app("two", rollout, watched("true", "true")))
	var stopped []*host
	for _, h := range older {
		if !strings.Contains(strings.Join(working, " ")+" ", h.node+" ") {
			stopped = append(stopped, h)
		}
	}
	if exits := ends(stopped); exits[1] != len(stopped) {
		t.Errorf("hosts of the older one: exits are %v\n%s", exits, says(stopped, 1))
	}
	for _, h := range stopped {
		if !strings.Contains(h.said.String(), "error: turn: a newer rollout has taken its place") {
			t.Errorf("%s says\n%s", h.node, h.said.String())
		}
	}
	if now := g.atWork(); len(now) != 3 {
		t.Errorf("at work are %v", now)
	}
	g.write("go", "")
	if exits := ends(newer); exits[0] != len(newer) {
		t.Errorf("hosts of the newer one: exits are %v\n%s", exits, says(newer, 0))
	}
	if exits := ends(older); exits[0] != 3 {
		t.Errorf("hosts of the older one: exits are %v", exits)
	}
	g.observed(3)
	if a := g.status(); a.exit != 0 || a.Version != "two" || a.Counts["good"] != len(newer) {
		t.Errorf("fleet status: %+v", a)
	}
	if has := g.has(); has["two"] != len(newer) {
		t.Errorf("hosts have %v", has)
	}
}

// playFaults: in the middle the leader is killed, a host that waits is killed and
// another one terminated, which is the one that may fail. The others go on.
func playFaults(t *testing.T, c *cluster, g *group) {
	all := g.startAll(g.app("one", "{service: faults, parallel: 4, max_failed: 1}", watched(held, "true")))
	testparts.WaitFor(t, "four hosts at work", func() bool { return len(g.atWork()) == 4 })
	a := g.until("all others to wait", func(a answer) bool { return a.Counts["waiting"] == len(all)-4 })
	var waiting []*host
	for _, h := range a.Hosts {
		if h.Standing == "waiting" {
			waiting = append(waiting, byNode(all, h.Node))
		}
	}
	killed, terminated := waiting[0], waiting[1]
	leader := c.Leader()
	if leader == nil {
		t.Fatal("no server leads")
	}
	leader.Kill()
	_ = killed.Process.Kill()
	if err := terminated.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	testparts.WaitFor(t, "another leader", func() bool { l := c.Leader(); return l != nil && l != leader })
	g.write("go", "")
	testparts.WaitFor(t, "more hosts to be done", func() bool { return strings.Count(g.read("log"), "-") > 6 })
	leader.Start(c.t)
	exits := ends(all)
	if want := map[int]int{0: len(all) - 2, -1: 1, 143: 1}; !maps.Equal(exits, want) {
		t.Errorf("exits are %v, killed was %s\n%s", exits, killed.node, says(all, 0))
	}
	g.observed(4)
	a = g.status()
	if a.Counts["good"] != len(all)-2 || a.Counts["failed"] != 1 || a.exit == 0 {
		t.Errorf("fleet status: %+v", a)
	}
	for _, node := range g.nodes {
		if node == killed.node || node == terminated.node {
			continue
		}
		if got := g.read("live-" + node + "/current/version"); got != "one\n" {
			t.Errorf("%s has %q", node, got)
		}
	}
}

// playNoQuorum: two of three servers are killed, and hosts at work end while nobody
// leads. When the servers are there again, the others go on.
func playNoQuorum(t *testing.T, c *cluster, g *group) {
	all := g.startAll(g.app("one", "{service: quorum, parallel: 4, timeout: 2h}", watched(held, "true")))
	testparts.WaitFor(t, "four hosts at work", func() bool { return len(g.atWork()) == 4 })
	g.until("all others to wait", func(a answer) bool { return a.Counts["waiting"] == len(all)-4 })
	leader := c.Leader()
	if leader == nil {
		t.Fatal("no server leads")
	}
	other := c.Servers[0]
	if other == leader {
		other = c.Servers[1]
	}
	other.Kill()
	leader.Kill()
	g.write("go", "")
	testparts.WaitFor(t, "four hosts to be done", func() bool { return strings.Count(g.read("log"), "-") == 4 })
	if began := strings.Count(g.read("log"), "+"); began != 4 {
		t.Errorf("%d hosts have gone to work, of which four had a slot", began)
	}
	leader.Start(c.t)
	other.Start(c.t)
	if exits := ends(all); exits[0] != len(all) {
		t.Errorf("exits are %v\n%s", exits, says(all, 0))
	}
	g.observed(4)
	lost := 0 // on a busy machine the servers may come too late for them
	for _, h := range all {
		if strings.Contains(h.said.String(), "does not hear how this host fared") {
			lost++
		}
	}
	if a := g.status(); a.Counts["good"] != len(all)-lost {
		t.Errorf("%d results are lost: %+v", lost, a)
	}
}

// byNode is the process of a host.
func byNode(all []*host, node string) *host {
	for _, h := range all {
		if h.node == node {
			return h
		}
	}
	panic(fmt.Sprintf("no host is named %q", node))
}

// playBack: an operator sends the group back from a version that has come to most of
// them; to the others nothing happens.
func playBack(t *testing.T, g *group) {
	const reached = 20
	rollout := "{service: back, parallel: 8}"
	one := g.app("one", rollout, watched("true", "true"))
	if all := g.startAll(one); ends(all)[0] != len(all) {
		t.Fatal(says(all, 0))
	}
	two := g.app("two", rollout, watched("true", "true"))
	var all []*host
	for _, node := range g.nodes[:reached] {
		all = append(all, g.start(node, two))
	}
	if ends(all)[0] != reached {
		t.Fatal(says(all, 0))
	}
	g.until("the others to be missing", func(a answer) bool {
		return a.exit == 3 && a.Counts["good"] == reached && a.Counts["missing"] == hostsOfCluster-reached
	})
	out, exit := g.ask("rollback", g.name, "--manifest", two, "--to", "file://"+g.path("published")+"/", "--event", "none")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if exit != 0 {
		t.Fatalf("fleet rollback: exit %d\n%s", exit, out)
	}
	back := g.startAll(lines[len(lines)-1])
	if ends(back)[0] != len(back) {
		t.Errorf("%s", says(back, 0))
	}
	if has := g.has(); has["one"] != len(back) {
		t.Errorf("hosts have %v", has)
	}
	g.observed(8)
	if a := g.status(); a.exit != 0 || a.Counts["good"] != len(back) {
		t.Errorf("fleet status: %+v", a)
	}
}
