package testparts

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// ConsulAgent is a running Consul agent: a cluster of one.
type ConsulAgent struct {
	HTTPAddr string // host:port of its HTTP API
	Bin      string // the consul program
	Token    string // may do everything; "" = so may everybody
	lan      string // host:port of its gossip
	rpc      string // host:port of a server of a cluster; else ""
}

// Consul starts an agent in development mode, with further arguments, that stops with the test. It has
// elected itself when Consul returns, so that events can be fired.
func Consul(t testing.TB, more ...string) ConsulAgent {
	t.Helper()
	return startConsul(t, ConsulAgent{}, more...)
}

// ConsulWithACL starts one that allows nothing to who has no token for it, with
// further arguments.
func ConsulWithACL(t testing.TB, more ...string) ConsulAgent {
	t.Helper()
	const token = "11111111-2222-3333-4444-555555555555"
	return startConsul(t, ConsulAgent{Token: token}, append(more, "-hcl", `acl {
		enabled = true
		default_policy = "deny"
		tokens { initial_management = "`+token+`", agent = "`+token+`" }
	}`)...)
}

func startConsul(t testing.TB, a ConsulAgent, more ...string) ConsulAgent {
	t.Helper()
	a.Bin = Need(t, "consul")
	port := FreePort(t)
	a.HTTPAddr = hostPort(port)
	lan := FreePort(t)
	a.lan = hostPort(lan)
	args := []string{
		"agent", "-dev", "-node", "test", "-bind", "127.0.0.1", "-client", "127.0.0.1",
		"-http-port", strconv.Itoa(port),
		"-server-port", strconv.Itoa(FreePort(t)),
		"-serf-lan-port", strconv.Itoa(lan),
		// What no test needs opens no port and asks no other host.
		"-dns-port", "-1", "-grpc-port", "-1", "-serf-wan-port", "-1",
		"-hcl", "connect { enabled = false }", "-hcl", "disable_update_check = true",
	}
	p := start(t, nil, a.Bin, append(args, more...)...)
	p.ready(t, a.leads)
	return a
}

// NewToken makes a token that may do what rules say, in Consul's language.
func (a ConsulAgent) NewToken(t testing.TB, name, rules string) (token string) {
	t.Helper()
	run(t, a.Bin, "acl", "policy", "create", "-http-addr", a.HTTPAddr, "-token", a.Token, "-name", name, "-rules", rules)
	out := run(t, a.Bin, "acl", "token", "create", "-http-addr", a.HTTPAddr, "-token", a.Token, "-policy-name", name)
	for line := range strings.Lines(out) {
		if id, ok := strings.CutPrefix(line, "SecretID:"); ok {
			return strings.TrimSpace(id)
		}
	}
	t.Fatalf("no token: %s", out)
	return ""
}

// Revoke removes a token.
func (a ConsulAgent) Revoke(t testing.TB, token string) {
	t.Helper()
	var self struct{ AccessorID string }
	if err := json.Unmarshal([]byte(a.Get("/v1/acl/token/self", token)), &self); err != nil {
		t.Fatal(err)
	}
	run(t, a.Bin, "acl", "token", "delete", "-http-addr", a.HTTPAddr, "-token", a.Token, "-id", self.AccessorID)
}

// leads tells whether the agent knows itself as a member of a led cluster.
func (a ConsulAgent) leads() bool {
	return strings.Contains(a.get("/v1/status/leader"), ":") &&
		strings.Contains(a.get("/v1/catalog/nodes"), "127.0.0.")
}

// get reads from the HTTP API; "" when that does not succeed.
func (a ConsulAgent) get(path string) string { return a.Get(path, a.Token) }

// Get reads from the HTTP API with a token; "" when that does not succeed.
func (a ConsulAgent) Get(path, token string) string {
	req, err := http.NewRequest(http.MethodGet, "http://"+a.HTTPAddr+path, nil)
	if err != nil {
		return ""
	}
	req.Header.Set("X-Consul-Token", token)
	resp, err := httpClient().Do(req)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return ""
	}
	return string(body)
}

// Gossip joins the agents' gossip by their key, as an agent of Serf's that has no
// token.
func (a ConsulAgent) Gossip(t testing.TB, key string) SerfAgent {
	t.Helper()
	s := SerfAgent{hostPort(FreePort(t)), "stranger", Need(t, "serf")}
	p := start(t, nil, s.Bin, "agent", "-node", s.Node, "-bind", hostPort(FreePort(t)), "-rpc-addr", s.RPCAddr,
		"-encrypt", key, "-join", a.lan)
	p.ready(t, func() bool { return answers(s.RPCAddr) })
	WaitFor(t, "two members of the gossip", func() bool { return s.alive(t) == 2 })
	return s
}

// Fire sends a user event. It has been dispatched, but not yet handled, when
// Fire returns.
func (a ConsulAgent) Fire(t testing.TB, name, payload string) {
	t.Helper()
	run(t, a.Bin, "event", "-http-addr", a.HTTPAddr, "-name", name, payload)
}

// Watch runs `consul watch` for events of that name, with env added to the
// test's environment, which the handler inherits. The handler is a program and
// its arguments; Consul joins and gives them to a shell. It is stopped with
// the test. The handler runs once at the start, as Consul does it.
func (a ConsulAgent) Watch(t testing.TB, name string, env []string, handler ...string) *Watch {
	t.Helper()
	return a.WatchBy(t, env, append([]string{"-type", "event", "-name", name}, handler...)...)
}

// WatchBy is Watch with the arguments of `consul watch` as they are written
// elsewhere.
func (a ConsulAgent) WatchBy(t testing.TB, env []string, args ...string) *Watch {
	t.Helper()
	return &Watch{start(t, env, a.Bin, append([]string{"watch", "-http-addr", a.HTTPAddr}, args...)...)}
}

// Watch is a running `consul watch`.
type Watch struct{ p *proc }

// Output is what the watch and its handlers have written so far, stdout and
// stderr together.
func (w *Watch) Output() string { return w.p.out.String() }

// Exited tells whether the watch has ended.
func (w *Watch) Exited() bool { return w.p.exited() }

// ExitCode is the exit status of a watch that has ended; -1 when it still runs
// or a signal killed it.
func (w *Watch) ExitCode() int {
	if !w.Exited() {
		return -1
	}
	return w.p.cmd.ProcessState.ExitCode()
}

// Signal sends a signal to the watch, not to its handler: passing it on is the
// watch's task. It does nothing when the watch has ended.
func (w *Watch) Signal(sig os.Signal) {
	// "process already finished" is the only way this fails.
	_ = w.p.cmd.Process.Signal(sig)
}

// Stop sends SIGTERM and waits until the watch has ended; after 2 min it
// is killed.
func (w *Watch) Stop() {
	w.Signal(syscall.SIGTERM)
	poll(w.Exited, nil)
	w.p.kill()
}

// Put writes to the HTTP API, as JSON does it.
func (a ConsulAgent) Put(t testing.TB, path, body string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPut, "http://"+a.HTTPAddr+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Consul-Token", a.Token)
	resp, err := httpClient().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, err := io.ReadAll(resp.Body)
		t.Fatalf("PUT %s: %s: %s %v", path, resp.Status, text, err)
	}
}

// Register makes a node known that has no agent of its own, with metadata and a healthy service.
func (a ConsulAgent) Register(t testing.TB, node, service string, meta map[string]string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"Node": node, "Address": "127.0.0.1", "NodeMeta": meta, "Service": map[string]string{"Service": service},
	})
	if err != nil {
		t.Fatal(err)
	}
	a.Put(t, "/v1/catalog/register", string(body))
}
