package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stretcher/internal/fleet"
	"stretcher/internal/fleet/consul"
	"stretcher/internal/testparts"
)

// group is some hosts of one rollout, which do what the test says.
type group struct {
	t     *testing.T
	agent testparts.ConsulAgent
	end   map[string]chan string // by node: the result with which its work ends
	all   sync.WaitGroup
}

// newGroup makes nodes known to Consul: web-0, web-1, ..., by turns in the racks a and b.
func newGroup(t *testing.T, agent testparts.ConsulAgent, n int) *group {
	g := &group{t: t, agent: agent, end: map[string]chan string{}}
	for i := range n {
		node := fmt.Sprintf("web-%d", i)
		agent.Register(t, node, "web", map[string]string{"rack": []string{"a", "b"}[i%2]})
		g.end[node] = make(chan string, 1)
	}
	return g
}

// deploy has a host take part. Its work ends when the test says how.
func (g *group) deploy(node, version string, r fleet.Rollout) {
	g.t.Helper()
	client, err := consul.Open(consul.Config{Address: g.agent.HTTPAddr, Token: g.agent.Token, Log: g.t.Logf})
	if err != nil {
		g.t.Fatal(err)
	}
	ctx := context.WithoutCancel(g.t.Context())
	place, err := client.Enter(ctx, fleet.Entry{
		Name: "web", Version: version, ID: "id-" + version, Run: "run-" + node, Node: node, Rollout: r,
	})
	if err != nil {
		g.t.Fatal(err)
	}
	g.all.Go(func() {
		result := fleet.Result{Started: time.Now()}
		_, err := place.Wait(ctx)
		switch {
		case err == nil:
			if result.Result = <-g.end[node]; result.Result == "failed" {
				result.Step, result.Error = "verify", "verify: exit status 22"
			}
		case errors.Is(err, fleet.ErrStopped):
			result.Result, result.Error = "stopped", err.Error()
		default:
			result.Result, result.Error = "failed", err.Error()
		}
		result.Finished = time.Now()
		if err := place.Leave(ctx, result); err != nil {
			g.t.Errorf("%s leaves: %v", node, err)
		}
	})
}

// fleetJSON is what the test reads of fleet status --json.
type fleetJSON struct {
	Name, Version, Verdict, Phase, Why string
	Ended                              bool
	Counts                             map[string]int
	Limits                             struct{ Parallel, Canary int }
	Hosts                              []struct{ Node, Zone, Standing, Runs, Error string }
}

// standings waits until the program tells this of the hosts, as "good working missing".
func (m *machine) standings(env []string, status int, want ...string) (s fleetJSON) {
	m.t.Helper()
	got := ""
	ok := testparts.Eventually(func() bool {
		d := m.ask(env, "fleet", "status", "--json", "web")
		s = fleetJSON{}
		if err := json.Unmarshal(d.stdout.Bytes(), &s); err != nil {
			got = d.stdout.String() + d.stderr.String()
			return false
		}
		var all []string
		for _, h := range s.Hosts {
			all = append(all, h.Node+" "+h.Standing)
		}
		slices.Sort(all)
		got = fmt.Sprintf("exit status %d: %q", d.code(), all)
		return got == fmt.Sprintf("exit status %d: %q", status, want)
	})
	if !ok {
		m.t.Fatalf("got %s, want exit status %d: %q", got, status, want)
	}
	return s
}

// TestE2EFleet tells of a rollout and steers it, by what Consul knows.
func TestE2EFleet(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	agent := testparts.Consul(t)
	env := []string{"CONSUL_HTTP_ADDR=" + agent.HTTPAddr}
	g := newGroup(t, agent, 4)
	rollout := fleet.Rollout{Service: "web", Parallel: fleet.Hosts(1), MaxFailed: fleet.Hosts(2), Zone: "node_meta.rack"}

	m.told(m.ask(env, "fleet", "status"), 0, "NAME")
	m.told(m.ask(env, "fleet", "status", "web"), 8, `stretcher: no such rollout is known: "web"`)
	m.told(m.ask(env, "fleet", "stop", "web"), 8, "no such rollout is known")
	wait := m.follow(env, "wait.log", "fleet", "wait", "web", "42", "--timeout", "10m")
	g.deploy("web-0", "42", rollout)
	m.standings(env, 7, "web-0 working", "web-1 missing", "web-2 missing", "web-3 missing")
	watch := m.follow(env, "watch.log", "fleet", "status", "--watch", "web")
	m.waitFor("watch.log", "web 42: web-0 (a) working\n")
	g.deploy("web-1", "42", rollout)
	s := m.standings(env, 7, "web-0 working", "web-1 waiting", "web-2 missing", "web-3 missing")
	if s.Version != "42" || s.Phase != "open" || s.Limits.Parallel != 1 || s.Hosts[0].Zone != "a" || s.Ended {
		t.Errorf("%+v", s)
	}
	g.end["web-0"] <- "good"
	m.standings(env, 7, "web-0 good", "web-1 working", "web-2 missing", "web-3 missing")
	m.waitFor("watch.log", "web 42: web-1 (b) working\n")
	g.end["web-1"] <- "failed"
	m.standings(env, 1, "web-0 good", "web-1 failed", "web-2 missing", "web-3 missing")
	m.told(m.ask(env, "fleet", "status", "web"), 1, "web 42: failed, open, 1 of 4 hosts good, 1 failed, 2 missing",
		"web-1  b     failed    -     ", "verify: exit status 22")

	// Those who wait when somebody stops it end.
	g.deploy("web-2", "42", rollout)
	m.standings(env, 7, "web-0 good", "web-1 failed", "web-2 working", "web-3 missing")
	g.deploy("web-3", "42", rollout)
	m.standings(env, 7, "web-0 good", "web-1 failed", "web-2 working", "web-3 waiting")
	m.told(m.ask(env, "fleet", "resume", "web"), 1, "the rollout goes on")
	m.told(m.ask(env, "fleet", "stop", "web"), 0, "web 42: ", "stopped (by ")
	m.told(m.ask(env, "fleet", "stop", "web"), 0, "stopped (by ")
	m.standings(env, 7, "web-0 good", "web-1 failed", "web-2 working", "web-3 stopped")
	g.end["web-2"] <- "good"
	g.all.Wait()
	m.standings(env, 1, "web-0 good", "web-1 failed", "web-2 good", "web-3 stopped")
	m.told(wait.ended(), 1)
	m.waitFor("wait.log", "web 42: web-1 (b) failed: verify: exit status 22\n")
	m.told(watch.ended(), 1)
	m.waitFor("watch.log", "web 42: web-3 (b) stopped: the rollout is stopped: by ")

	// It goes on, and for those alone that have failed.
	m.told(m.ask(env, "fleet", "resume", "web"), 0, "web 42: ")
	g.deploy("web-3", "42", rollout)
	g.end["web-3"] <- "good"
	g.all.Wait()
	m.told(m.ask(env, "fleet", "retry", "web"), 1, "no host has failed")
	g.deploy("web-1", "42", rollout)
	g.end["web-1"] <- "failed"
	g.all.Wait()
	m.told(m.ask(env, "fleet", "retry", "web"), 0, "web 42: ")
	m.told(m.ask(env, "fleet", "wait", "web", "43", "--timeout", "1"), 8, `no such rollout is known: "web" version "43"`)
	m.told(m.ask(env, "fleet", "status", "web", "43"), 8, `no such rollout is known: "web" version "43"`)
	m.told(m.ask(env, "fleet", "status"), m.ask(env, "fleet", "status", "web").code(), "web   42 ")
	code := m.ask(env, "fleet", "status", "web").code()
	m.told(m.ask(env, "fleet", "status", "--html", m.path("fleet.html"), "web"), code)
	if page := m.read("fleet.html"); !strings.Contains(page, "<h1>web 42</h1>") {
		t.Error(page)
	}
	m.clean()
}

// TestE2EFleetUnreachable: what is not known must not look good.
func TestE2EFleetUnreachable(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	agent := testparts.ConsulWithACL(t)
	for _, env := range [][]string{{"CONSUL_HTTP_ADDR=127.0.0.1:1"}, {"CONSUL_HTTP_ADDR=" + agent.HTTPAddr}} {
		for _, args := range [][]string{
			{"status", "web"}, {"status", "--watch", "web"}, {"wait", "web", "42"}, {"stop", "web"}, {"retry", "web"},
		} {
			m.told(m.ask(env, append([]string{"fleet"}, args...)...), 5, "stretcher: ")
		}
	}
}

// ask runs the program while others go on.
func (m *machine) ask(env []string, args ...string) *deployment {
	m.t.Helper()
	return m.start(env, args...).ended()
}

// follow starts the program; what it says is in a file.
func (m *machine) follow(env []string, file string, args ...string) *deployment {
	m.t.Helper()
	out, err := os.Create(m.path(file))
	if err != nil {
		m.t.Fatal(err)
	}
	defer out.Close()
	d := &deployment{t: m.t, cmd: exec.Command(m.bin, args...)}
	d.cmd.Env = slices.Concat([]string{"PATH=" + os.Getenv("PATH"), testparts.NoExitSleep}, m.env, env)
	d.cmd.Stdout, d.cmd.Stderr = out, out
	if err := d.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { _ = d.cmd.Process.Kill() })
	return d
}

// ended waits for the end.
func (d *deployment) ended() *deployment {
	_ = d.cmd.Wait()
	return d
}

func (d *deployment) code() int { return d.cmd.ProcessState.ExitCode() }

// told checks an exit status, and what was said.
func (m *machine) told(d *deployment, status int, texts ...string) {
	m.t.Helper()
	all := d.stdout.String() + d.stderr.String()
	if d.code() != status {
		m.t.Fatalf("exit status %d, want %d\n%s", d.code(), status, all)
	}
	for _, text := range texts {
		if !strings.Contains(all, text) {
			m.t.Errorf("it does not say %q:\n%s", text, all)
		}
	}
}

// TestE2EFleetSerf asks the hosts themselves. What one of them says is as long as a
// reply may be.
func TestE2EFleetSerf(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	handler := m.serfHandler()
	m.write("answer", strings.ReplaceAll(m.read("handler"), " >>"+m.path("log")+" 2>&1", ""))
	m.write("answer", regexp.MustCompile(`(?m)^echo .*\n`).ReplaceAllString(m.read("answer"), ""))
	agents := testparts.Serf(t, 3, "user:deploy="+handler, "query:fleet="+m.path("answer"))
	env := []string{"SERF_RPC_ADDR=" + agents[0].RPCAddr}
	serf := func(status int, args []string, texts ...string) {
		t.Helper()
		var d *deployment
		testparts.Eventually(func() bool { // on a busy machine an answer may be late
			d = m.ask(env, append([]string{"fleet", "status", "--serf", "--timeout", "3"}, args...)...)
			return d.code() == status
		})
		m.told(d, status, texts...)
	}
	serf(8, []string{"web"}, `stretcher: no such rollout is known: "web"`)

	verify := "['case $SERF_SELF_NAME in node1) false " + strings.Repeat("x", 3000) + ";; esac']"
	m.write("web.yml", "name: web\nversion: '42'\ncommands: {verify: "+verify+"}\n")
	agents[1].Event(t, "deploy", "file://"+m.path("web.yml"))
	m.finished("user exit 0\n", 2)
	m.finished("user exit 1\n", 1)
	serf(1, []string{"web", "42"}, "web 42: failed, 2 of 3 hosts good, 1 failed\n", "node1  -     failed ",
		"node2  -     good      42 ", `verify: verify command 1 "case $SERF_SELF_NAME in node1) false xxxx`)
	m.write("hosts", "node0\nnode1\nnode9\n")
	serf(1, []string{"--hosts", m.path("hosts"), "web", "42"}, "2 of 4 hosts good, 1 failed, 1 missing",
		"node9  -     missing")
	serf(3, []string{"web", "41"}, "node0  -     missing   42")

	// What has no room in a reply is cut, and arrives.
	m.write("web.yml", "name: big\nversion: '"+strings.Repeat("4", 700)+"'\ncommands: {verify: "+verify+"}\n")
	agents[2].Event(t, "deploy", "file://"+m.path("web.yml"))
	m.finished("user exit 0\n", 4)
	m.finished("user exit 1\n", 2)
	serf(1, []string{"big"}, "2 of 3 hosts good, 1 failed\n")
	env = []string{"SERF_RPC_ADDR=127.0.0.1:1"}
	serf(5, []string{"web"}, "stretcher: --serf: serf members: exit status 1: Error connecting to Serf agent",
		"hint: SERF_RPC_ADDR says")
	env = []string{"PATH=" + t.TempDir()}
	serf(5, []string{"web"}, `stretcher: --serf: start "serf": `, "hint: Serf's program serf must be in PATH")
}
