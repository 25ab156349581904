package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"stretcher/internal/fetch/checksum"
	"stretcher/internal/testparts"
)

// cluster is a directory shared by the event handlers of several nodes. Each
// node has its own below it, with its own dest and state directory.
type cluster struct {
	t   testing.TB
	dir string
	bin string // the program
}

func newCluster(t testing.TB) *cluster {
	t.Helper()
	testparts.Need(t, "rsync")
	return &cluster{t, t.TempDir(), testparts.Program(t)}
}

func (c *cluster) path(name string) string { return filepath.Join(c.dir, name) }

func (c *cluster) write(name, text string) string {
	c.t.Helper()
	if err := os.WriteFile(c.path(name), []byte(text), 0o755); err != nil {
		c.t.Fatal(err)
	}
	return c.path(name)
}

func (c *cluster) read(name string) string {
	b, _ := os.ReadFile(c.path(name))
	return string(b)
}

// handler makes an event handler that is stretcher on a machine of its own:
// handlers inherit the environment of the test, which all nodes share. NODE
// is the node's name. WORK lets processesOf find what is left running. What a node
// replies to a query is kept in its directory, too.
func (c *cluster) handler() string {
	c.t.Helper()
	return c.write("handler", fmt.Sprintf(`#!/bin/sh
node=${NODE:-$SERF_SELF_NAME}
mkdir -p "%[1]s/$node/tmp" && cd "%[1]s/$node" || exit
export NODE="$node" WORK="%[1]s" TMPDIR="%[1]s/$node/tmp" STRETCHER_STATE_DIR="%[1]s/$node/state"
set -- %[2]s --config "%[1]s/policy.yml" --log-file "%[1]s/$node/log" "$@"
test "$SERF_EVENT" = query || exec "$@"
"$@" >"said-$SERF_QUERY_NAME" 2>&1
code=$?
cat "said-$SERF_QUERY_NAME"
exit $code
`, c.dir, c.bin))
}

// publish writes a manifest for an archive of one file, and gives its URL.
func (c *cluster) publish(name, content string, rest ...string) (url string) {
	c.t.Helper()
	if err := os.MkdirAll(c.path(name), 0o755); err != nil {
		c.t.Fatal(err)
	}
	c.write(name+"/file", content)
	archive := c.path(name + ".tar.gz")
	if out, err := exec.Command("tar", "czf", archive, "-C", c.path(name), ".").CombinedOutput(); err != nil {
		c.t.Fatalf("tar: %v\n%s", err, out)
	}
	data, err := os.ReadFile(archive)
	if err != nil {
		c.t.Fatal(err)
	}
	sum := checksum.New("sha256")
	sum.Write(data)
	c.write("policy.yml", "{}\n")
	lines := []string{"src: file://" + archive, fmt.Sprintf("checksum: %x", sum.Sum(nil)),
		"dest: " + c.dir + `/{{ must_env "NODE" }}/dest`, "name: " + name}
	return "file://" + c.write(name+".yml", strings.Join(append(lines, rest...), "\n")+"\n")
}

// ask sends a query to the whole cluster and gives each node's reply. Serf may
// lose one on its way: what changes nothing is asked again, and of a deployment
// one reply may be the one that the node is known to have given.
func (c *cluster) ask(a testparts.SerfAgent, nodes int, name, payload string) map[string]string {
	c.t.Helper()
	replies := map[string]string{}
	if name != "deploy" {
		for range 5 {
			if a.Ask(c.t, replies, nodes, testparts.Limit(5*time.Second), name, payload); len(replies) >= nodes {
				break
			}
		}
	} else {
		c.remove("*/said-deploy")
		a.Ask(c.t, replies, nodes, testparts.Limit(25*time.Second), name, payload)
		c.addLost(replies, nodes)
	}
	if len(replies) != nodes {
		c.t.Errorf("%d replies to query %s, want %d", len(replies), name, nodes)
		c.tell(replies, name)
		c.t.FailNow()
	}
	return replies
}

// addLost adds what the one node that is missing has given Serf for a reply.
func (c *cluster) addLost(replies map[string]string, nodes int) {
	if len(replies) != nodes-1 {
		return
	}
	said, _ := filepath.Glob(c.path("*/said-deploy"))
	for _, name := range said {
		node := filepath.Base(filepath.Dir(name))
		reply, whole := strings.CutSuffix(c.read(node+"/said-deploy"), "\n")
		if _, came := replies[node]; !came && whole {
			c.t.Logf("the reply of %s was lost", node)
			replies[node] = reply
		}
	}
}

// tell shows what is known of a query that was not answered by all.
func (c *cluster) tell(replies map[string]string, name string) {
	for node, reply := range replies {
		c.t.Logf("%s replied %q", node, reply)
	}
	logs, _ := filepath.Glob(c.path("*/log"))
	for _, log := range logs {
		node := filepath.Base(filepath.Dir(log))
		c.t.Logf("%s last said %q; its log:\n%s", node, c.read(node+"/said-"+name), c.read(node+"/log"))
	}
}

func (c *cluster) remove(pattern string) {
	c.t.Helper()
	names, _ := filepath.Glob(c.path(pattern))
	for _, name := range names {
		if err := os.Remove(name); err != nil {
			c.t.Fatal(err)
		}
	}
}

// runs are the runs of a node, newest first.
func (c *cluster) runs(node string) (runs []struct{ ID, Result, Event string }) {
	c.t.Helper()
	cmd := exec.Command(c.bin, "history", "--json", "--state-dir", c.path(node+"/state"))
	out, err := cmd.Output()
	if err != nil {
		c.t.Fatalf("%s: history: %v", node, err)
	}
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var r struct{ ID, Result, Event string }
		if err := d.Decode(&r); err != nil {
			c.t.Fatal(err)
		}
		runs = append(runs, r)
	}
	return runs
}

// clean checks that nothing of a run is left on any node.
func (c *cluster) clean() {
	c.t.Helper()
	testparts.WaitFor(c.t, "all processes to end", func() bool { return len(testparts.ProcessesOf(c.dir)) == 0 })
	for _, pattern := range []string{"*/tmp/*", "*/.stretcher-*"} {
		if left, _ := filepath.Glob(c.path(pattern)); len(left) > 0 {
			c.t.Errorf("left behind: %q", left)
		}
	}
}

func (c *cluster) matches(what, got, want string) {
	c.t.Helper()
	if !regexp.MustCompile("^(?:" + want + ")$").MatchString(got) {
		c.t.Errorf("%s: %q, want %s", what, got, want)
	}
}

// TestClusterQueries deploys to three nodes by `serf query deploy URL`, which
// lists how each of them fared, and asks them for their status.
func TestClusterQueries(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	h := c.handler()
	agents := testparts.Serf(t, 3, "query:deploy="+h, "query:status="+h, "query:uptime="+h)
	url := c.publish("first", "one", `version: "1"`, "commands: {post: ['echo noise; echo noise >&2']}")
	for node, reply := range c.ask(agents[0], 3, "deploy", url) {
		c.matches(node, reply, `good after [0-9.]+m?s: deployed "first" version "1" to ".*/dest"`)
		if got := c.read(node + "/dest/file"); got != "one" {
			t.Errorf("%s: dest holds %q", node, got)
		}
		if !strings.Contains(c.read(node+"/log"), "noise") {
			t.Errorf("%s: the log lacks what commands said:\n%s", node, c.read(node+"/log"))
		}
	}

	// One node fails, and says why.
	url = c.publish("second", "two", "commands: {verify: ['test $NODE != node2']}")
	replies := c.ask(agents[1], 3, "deploy", url)
	c.matches("node0", replies["node0"], `good after .*: deployed "second" .*`)
	c.matches("node1", replies["node1"], `good after .*: deployed "second" .*`)
	c.matches("node2", replies["node2"],
		`failed with exit status 1 after [0-9.]+m?s: verify: verify command 1 .*: exit status 1`)

	// Each knows of its own dest only.
	replies = c.ask(agents[2], 3, "status", c.path("node2/dest"))
	c.matches("node0", replies["node0"], `never deployed: ".*"`)
	c.matches("node2", replies["node2"], `failed: run [0-9a-f-]{36} at .*: verify: .*`)
	for i, want := range []string{"good", "good", "failed"} {
		runs := c.runs(fmt.Sprintf("node%d", i))
		if len(runs) != 2 || runs[0].Result != want || !strings.HasPrefix(runs[0].Event, "serf query deploy ") {
			t.Errorf("node%d: history %q, want 2 runs, the last %s", i, runs, want)
		}
	}
	// A query for somebody else is answered by nobody: the next one is.
	if out := exec.Command(agents[0].Bin, "query", "-rpc-addr", agents[0].RPCAddr, "-timeout", "1s", "uptime",
		url); out.Run() != nil {
		t.Errorf("%s failed", out)
	}
	if n := len(c.ask(agents[0], 3, "status", "/none")); n != 3 {
		t.Errorf("%d nodes answer", n)
	}
	c.clean()
}

// TestClusterDetached: handlers return at once, so that Serf goes on with
// other events while all nodes deploy.
func TestClusterDetached(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	h := c.handler()
	agents := testparts.Serf(t, 3, "user:deploy="+h+" --detach", "query:status="+h)
	url := c.publish("app", "one",
		fmt.Sprintf("commands: {pre: ['touch started; until test -e %s; do sleep 0.02; done']}", c.path("go")))
	agents[0].Event(t, "deploy", url)
	nodes := []string{"node0", "node1", "node2"}
	for _, node := range nodes {
		testparts.WaitFor(t, node+" to deploy", func() bool {
			_, err := os.Stat(c.path(node + "/started"))
			return err == nil
		})
	}
	for node, reply := range c.ask(agents[1], 3, "status", c.path("node1/dest")) {
		want := `never deployed: ".*"`
		if node == "node1" {
			want += `; run [0-9a-f-]{36} is in step "pre"`
		}
		c.matches(node, reply, want)
	}
	c.write("go", "")
	for _, node := range nodes {
		testparts.WaitFor(t, node+" to be done", func() bool { return c.runs(node)[0].Result == "good" })
		if got := c.read(node + "/dest/file"); got != "one" {
			t.Errorf("%s: dest holds %q", node, got)
		}
	}
	c.clean()
}

// TestClusterConsulReplay: a watch that is started again is handed the last
// event again, which does not deploy a second time.
func TestClusterConsulReplay(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	agent := testparts.Consul(t)
	h := c.handler()
	watch := func() *testparts.Watch { return agent.Watch(t, "deploy", []string{"NODE=host"}, h) }
	seen := func(w *testparts.Watch, text string) {
		t.Helper()
		testparts.WaitFor(t, text, func() bool { return strings.Contains(w.Output(), text) || w.Exited() })
		if !strings.Contains(w.Output(), text) {
			t.Fatalf("the watch ended without saying %q:\n%s", text, w.Output())
		}
	}
	// A run that has said how it went has yet to write it down.
	idle := func() {
		t.Helper()
		testparts.WaitFor(t, "the handler to end", func() bool { return len(testparts.ProcessesOf(c.dir)) == 0 })
	}
	w := watch()
	seen(w, "nothing to do: no event")
	// An event has little room: the URL must be short.
	url := c.publish("app", "one", "commands: {post: ['echo ran >> ran']}")
	agent.Fire(t, "deploy", url)
	seen(w, `deployed "app"`)
	idle()
	for range 3 {
		w.Stop()
		w = watch()
		seen(w, "has been handled by run "+c.runs("host")[0].ID)
	}
	if strings.Contains(w.Output(), "deployed") {
		t.Errorf("the last watch deployed:\n%s", w.Output())
	}
	agent.Fire(t, "deploy", url) // the same URL, but another event
	seen(w, "is deployed already")
	seen(w, `deployed "app"`)
	idle()
	w.Stop()
	if got := c.read("host/ran"); got != "ran\nran\n" {
		t.Errorf("the post command ran as %q, want twice", got)
	}
	runs := c.runs("host")
	if len(runs) != 2 || runs[0].Result != "good" || runs[0].Event == runs[1].Event {
		t.Errorf("history: %q, want two good runs of different events", runs)
	}
	c.clean()
}
