package fleet

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"stretcher/internal/testparts"
)

// hostsOfCluster is how many hosts a group of the cluster has.
const hostsOfCluster = 30

// cluster is a Consul cluster of three servers, in which hosts and deployers may do what
// docs/fleet.md says.
type cluster struct {
	*testparts.ConsulCluster
	t              *testing.T // as long as that lasts, servers run
	host, deployer string     // tokens
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{ConsulCluster: testparts.ConsulOfThree(t), t: t}
	host, deployer, _, _ := blocks(t)
	c.host, c.deployer = c.NewToken(t, "host", host), c.NewToken(t, "deployer", deployer)
	return c
}

// group makes nodes known that have a service, in three racks. By turns they ask one
// of the servers, or an agent. They run the program as it ships, which costs less.
func (c *cluster) group(t *testing.T, service string, n int) *group {
	t.Helper()
	g := &group{t: t, bin: testparts.Shipped(t), dir: t.TempDir(), consul: c.HTTPAddr, name: service}
	asked := map[string]string{}
	for i := range n {
		node := fmt.Sprintf("%s-%d", service, i)
		g.nodes = append(g.nodes, node)
		c.Register(t, node, service, map[string]string{"rack": fmt.Sprint("r", i%3)})
		if asked[node] = c.HTTPAddr; i%4 < len(c.Servers) {
			asked[node] = c.Servers[i%4].HTTPAddr
		}
	}
	g.env = func(node string) []string {
		return []string{"CONSUL_HTTP_ADDR=" + asked[node], "CONSUL_HTTP_TOKEN=" + c.host}
	}
	g.asks = []string{"CONSUL_HTTP_ADDR=" + c.HTTPAddr, "CONSUL_HTTP_TOKEN=" + c.deployer}
	return g
}

// watched are commands with which a host writes down when it comes and goes, so that
// it can be counted who is at work. verify is what it does last.
func watched(work, verify string) string {
	note := func(what string) string {
		return fmt.Sprintf("(flock 9; echo \"%s $HOST\" >&9) 9>>DIR/log", what)
	}
	return fmt.Sprintf("  pre: [%q]\n  post: [%q]\n  verify: [%q]\n  failure: [%q]\n",
		note("+"), work, note("-")+"; "+verify, "echo $HOST $STRETCHER_RUN_SUMMARY >> DIR/failures")
}

// held is work that lasts until the file go is there.
const held = "while [ -d DIR ] && [ ! -e DIR/go ]; do sleep 0.1; done"

// gone writes down that a host has been killed.
func (g *group) gone(node string) {
	g.t.Helper()
	f, err := os.OpenFile(g.path("log"), os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = fmt.Fprintf(f, "- %s\n", node)
		_ = f.Close()
	}
	if err != nil {
		g.t.Fatal(err)
	}
}

// atWork lists who is at work now.
func (g *group) atWork() (nodes []string) {
	for node := range g.observed(hostsOfCluster) {
		nodes = append(nodes, node)
	}
	return nodes
}

// observed checks that never more than most were at work, and returns who is.
func (g *group) observed(most int) map[string]bool {
	g.t.Helper()
	now := map[string]bool{}
	log := g.read("log")
	for line := range strings.Lines(log) {
		switch what, node, _ := strings.Cut(strings.TrimSpace(line), " "); what {
		case "+":
			now[node] = true
		case "-":
			delete(now, node)
		}
		if len(now) > most {
			g.t.Fatalf("%d are at work, and %d may:\n%s", len(now), most, log)
		}
	}
	return now
}

// answer is what the program tells of a rollout.
type answer struct {
	Name, Version, Verdict, Phase, Why string
	Ended                              bool
	Counts                             map[string]int
	Limits                             struct{ Parallel, Canary int }
	Hosts                              []struct{ Node, Zone, Standing, Runs, Result, Step, Error string }
	exit                               int
}

// ask runs a fleet command as the deployer.
func (g *group) ask(args ...string) (out string, exit int) {
	g.t.Helper()
	cmd := exec.CommandContext(g.t.Context(), g.bin, append([]string{"fleet"}, args...)...)
	cmd.Env = append(append(os.Environ(), testparts.NoExitSleep), g.asks...)
	text, err := cmd.CombinedOutput()
	return string(text), testparts.ExitStatus(err)
}

// status asks how it stands.
func (g *group) status() (a answer) {
	g.t.Helper()
	out, exit := g.ask("status", "--json", g.name)
	_ = json.Unmarshal([]byte(out), &a) // "" of everything when it tells nothing
	a.exit = exit
	return a
}

// until waits until the rollout stands so.
func (g *group) until(what string, is func(a answer) bool) (a answer) {
	g.t.Helper()
	if !testparts.Poll(func() bool { a = g.status(); return is(a) }, nil, pollEvery) {
		g.t.Fatalf("gave up waiting for %s: %+v", what, a)
	}
	return a
}

// ends waits for all hosts, and returns how many have ended with which status.
func ends(all []*host) map[int]int {
	exits := map[int]int{}
	for _, h := range all {
		exits[h.wait()]++
	}
	return exits
}

// says lists what hosts said that ended otherwise than so.
func says(all []*host, exit int) string {
	var text strings.Builder
	for _, h := range all {
		if got := h.ProcessState.ExitCode(); got != exit {
			fmt.Fprintf(&text, "%s: exit %d\n%s\n", h.node, got, h.said.String())
		}
	}
	return text.String()
}

// has counts the hosts by what they run; "" = nothing.
func (g *group) has() map[string]int {
	versions := map[string]int{}
	for _, node := range g.nodes {
		versions[strings.TrimSpace(g.read("live-"+node+"/current/version"))]++
	}
	return versions
}
