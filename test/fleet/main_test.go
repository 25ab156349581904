// Package fleet runs the program as it ships on several hosts of a group, over a
// real Consul: each host is a process with a node, a state directory and a dest of
// its own.
package fleet

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"stretcher/internal/testparts"
)

func TestMain(m *testing.M) { testparts.Main(m) }

// group is some hosts that deploy one manifest.
type group struct {
	t      *testing.T
	bin    string
	dir    string
	agent  testparts.ConsulAgent
	consul string // its address
	name   string // of what they deploy
	nodes  []string
	env    func(node string) []string // more of a host's environment; nil = nothing
	asks   []string                   // more of the environment of who asks how it goes
}

// newGroup starts Consul, in which n nodes have the service web.
func newGroup(t *testing.T, n int) *group {
	t.Helper()
	agent := testparts.Consul(t)
	g := &group{t: t, bin: testparts.Program(t), dir: t.TempDir(), agent: agent, consul: agent.HTTPAddr, name: "web",
		asks: []string{"CONSUL_HTTP_ADDR=" + agent.HTTPAddr}}
	for i := range n {
		node := fmt.Sprintf("h%d", i)
		g.nodes = append(g.nodes, node)
		body := fmt.Sprintf(`{"Node":%q,"Address":"127.0.1.%d","NodeMeta":{"rack":"r%d"},"Service":{"Service":"web"}}`,
			node, i+1, i%2)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut,
			"http://"+agent.HTTPAddr+"/v1/catalog/register", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("register %s: %v, %v", node, resp, err)
		}
		_ = resp.Body.Close()
	}
	return g
}

// path is a file of the group's.
func (g *group) path(parts ...string) string {
	return filepath.Join(append([]string{g.dir}, parts...)...)
}

// write writes a file of the group's, in which DIR is its directory.
func (g *group) write(name, text string) string {
	g.t.Helper()
	path := g.path(name)
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "DIR", g.dir)), 0o600); err != nil {
		g.t.Fatal(err)
	}
	return path
}

// host is a process of the program on a host.
type host struct {
	*exec.Cmd
	node string
	said output
}

// output is what a process says, while it does.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write takes more of it.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

// String is what was said so far.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// start starts the program on a host.
func (g *group) start(node string, args ...string) *host {
	g.t.Helper()
	h := &host{node: node}
	h.Cmd = exec.CommandContext(g.t.Context(), g.bin,
		append([]string{"--state-dir", g.path("state-" + node)}, args...)...)
	h.Env = append(os.Environ(), "CONSUL_HTTP_ADDR="+g.consul, "STRETCHER_NODE="+node, "HOST="+node, testparts.NoExitSleep)
	if g.env != nil {
		h.Env = append(h.Env, g.env(node)...)
	}
	h.Stdout, h.Stderr = &h.said, &h.said
	if err := h.Start(); err != nil {
		g.t.Fatal(err)
	}
	return h
}

// wait waits for its end, and returns its exit status.
func (h *host) wait() int {
	_ = h.Wait()
	return h.ProcessState.ExitCode()
}

// startAll starts it on all hosts.
func (g *group) startAll(args ...string) (all []*host) {
	for _, node := range g.nodes {
		all = append(all, g.start(node, args...))
	}
	return all
}

// run runs the program on a host, and returns what it says on standard output.
func (g *group) run(node string, args ...string) string {
	g.t.Helper()
	cmd := exec.CommandContext(g.t.Context(), g.bin, append([]string{"--state-dir", g.path("state-" + node)}, args...)...)
	cmd.Env = append(os.Environ(), "CONSUL_HTTP_ADDR="+g.consul, testparts.NoExitSleep)
	out, err := cmd.Output()
	if err != nil {
		g.t.Fatalf("%s: %v, %s", args, err, out)
	}
	return string(out)
}

// read reads a file of the group's; "" where there is none.
func (g *group) read(name string) string {
	b, _ := os.ReadFile(g.path(name))
	return string(b)
}

// get reads from Consul's API.
func (g *group) get(path string) string {
	g.t.Helper()
	resp, err := http.Get("http://" + g.consul + path)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return string(b)
}
