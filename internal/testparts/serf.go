package testparts

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

// SerfAgent is a running Serf agent.
type SerfAgent struct {
	RPCAddr string // host:port for `serf ... -rpc-addr`
	Node    string // its name in the cluster: node0, node1, ...
	Bin     string // the serf program
}

// Serf starts a cluster of n agents on the loopback interface that stop with
// the test, each with the same event handlers, in the form of Serf's
// -event-handler: "SCRIPT", "TYPE=SCRIPT" or "user:EVENT=SCRIPT". Handlers
// inherit the test's environment. All agents know each other when Serf returns.
func Serf(t testing.TB, n int, handlers ...string) []SerfAgent {
	t.Helper()
	bin := Need(t, "serf")
	agents := make([]SerfAgent, n)
	var seed string
	for i := range agents {
		a := SerfAgent{hostPort(FreePort(t)), fmt.Sprintf("node%d", i), bin}
		bind := hostPort(FreePort(t))
		args := []string{"agent", "-profile", "local", "-node", a.Node, "-bind", bind, "-rpc-addr", a.RPCAddr}
		if i == 0 {
			seed = bind
		} else {
			args = append(args, "-join", seed)
		}
		for _, h := range handlers {
			args = append(args, "-event-handler", h)
		}
		p := start(t, nil, bin, args...)
		p.ready(t, func() bool { return answers(a.RPCAddr) })
		agents[i] = a
	}
	for _, a := range agents {
		WaitFor(t, fmt.Sprintf("%s to see %d nodes", a.Node, n), func() bool { return a.alive(t) == n })
	}
	return agents
}

// alive counts the nodes that this agent takes for alive.
func (a SerfAgent) alive(t testing.TB) int {
	t.Helper()
	return strings.Count(run(t, a.Bin, "members", "-rpc-addr", a.RPCAddr, "-status", "alive"), "\n")
}

// Event sends a user event to the whole cluster. It has been dispatched, but
// not yet handled, when Event returns.
func (a SerfAgent) Event(t testing.TB, name, payload string) {
	t.Helper()
	run(t, a.Bin, "event", "-rpc-addr", a.RPCAddr, "-coalesce=false", name, payload)
}

// Ask asks the whole cluster and adds the first line of what each node answered
// to replies, by the node's name, until there are n or wait is over. Serf sends
// a reply once, by UDP, so that one may be lost though every other node passes
// on a copy; a query that has no effect may be asked again.
func (a SerfAgent) Ask(t testing.TB, replies map[string]string, n int, wait time.Duration, name, payload string) {
	t.Helper()
	p := start(t, nil, a.Bin, "query", "-rpc-addr", a.RPCAddr, "-relay-factor", "1", "-timeout",
		wait.String(), name, payload)
	read := func() {
		for _, found := range response.FindAllStringSubmatch(p.out.String(), -1) {
			replies[found[1]] = found[2]
		}
	}
	// The client goes on until the query's time is over, answers or not.
	poll(func() bool {
		read()
		return p.exited() || len(replies) >= n
	}, nil)
	read() // what came between the last look and the end
	p.kill()
}

// response is a reply as the client shows it, as far as it has a line end.
var response = regexp.MustCompile(`(?m)^\s*Response from '([^']*)': (.*)\n`)

// Query asks this agent's own node and gives what its handler answered, without
// trailing line ends; "" when no answer came within 10 s, or what a busy machine
// makes of them.
func (a SerfAgent) Query(t testing.TB, name, payload string) string {
	t.Helper()
	mark := fmt.Sprintf("Response from '%s': ", a.Node)
	limit := Limit(10 * time.Second).String()
	p := start(t, nil, a.Bin, "query", "-rpc-addr", a.RPCAddr, "-node", a.Node, "-timeout", limit, name, payload)
	// The client goes on until the query's time is over, answer or not.
	poll(func() bool {
		_, reply, ok := strings.Cut(p.out.String(), mark)
		return p.exited() || ok && strings.HasSuffix(reply, "\n")
	}, nil)
	p.kill()
	_, reply, _ := strings.Cut(p.out.String(), mark)
	reply, _, _ = strings.Cut(reply, "\nTotal Acks:")
	return strings.TrimRight(reply, "\n")
}
