package e2e

import (
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"stretcher/internal/testparts"
)

// exampleRules are the ACL policy in a file of examples/consul.
func exampleRules(t *testing.T, name string) string {
	t.Helper()
	rules, err := os.ReadFile("../../examples/consul/" + name + ".hcl")
	if err != nil {
		t.Fatal(err)
	}
	return string(rules)
}

// lessRule is rules less the line that has a word in it.
func lessRule(t *testing.T, rules, word string) string {
	t.Helper()
	var left strings.Builder
	for line := range strings.Lines(rules) {
		if strings.HasPrefix(line, "#") || !strings.Contains(line, word) {
			left.WriteString(line)
		}
	}
	if left.Len() == len(rules) {
		t.Fatalf("no rule has %q in it:\n%s", word, rules)
	}
	return left.String()
}

// fires tells what came of `consul event` with a token.
func fires(agent testparts.ConsulAgent, token, payload string) (said string, ok bool) {
	out, err := exec.Command(agent.Bin, "event", "-http-addr", agent.HTTPAddr, "-token", token, "-name", "deploy",
		payload).CombinedOutput()
	return string(out), err == nil
}

// asked is the answer to who fires an event by the HTTP interface, which asks less
// of a token than `consul event` does.
func asked(t *testing.T, agent testparts.ConsulAgent, token, name string) (status int) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPut, "http://"+agent.HTTPAddr+"/v1/event/fire/"+name, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Consul-Token", token)
	client := http.Client{Timeout: testparts.Limit(time.Minute)}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// TestE2EConsulACL: what examples/consul gives a host, who fires events and who
// looks is enough on an agent that is configured by it, and no less is.
func TestE2EConsulACL(t *testing.T) {
	t.Parallel()
	agent := testparts.ConsulWithACL(t, "-config-file", "../../examples/consul/agent.hcl")
	rules := exampleRules(t, "deployer")
	host, deployer := agent.NewToken(t, "host", exampleRules(t, "host")), agent.NewToken(t, "deployer", rules)
	observer := agent.NewToken(t, "observer", exampleRules(t, "observer"))
	for name, token := range map[string]string{
		"a host's token": host, "an observer's token": observer, "no token": "",
		"a token for agents": agent.NewToken(t, "agents", lessRule(t, rules, `event "deploy"`)),
	} {
		if status := asked(t, agent, token, "deploy"); status != http.StatusForbidden {
			t.Errorf("%s fires an event: %d", name, status)
		}
	}
	if status := asked(t, agent, deployer, "other"); status != http.StatusForbidden {
		t.Errorf("the deployer fires events of another name: %d", status)
	}
	half := agent.NewToken(t, "half", lessRule(t, rules, "agent_prefix"))
	if out, ok := fires(agent, half, "file:///none.yml"); ok || !strings.Contains(out, "agent:read") {
		t.Errorf("the deployer needs to read no agents: %s", out)
	}
	deploysByToken(t, agent, host, deployer)
	gossipAsksNobody(t, agent, host)
	tokensSee(t, agent, map[string]string{"host": host, "observer": observer}, "")
}

// unitArgs are the arguments of `consul watch` in the example unit, with the
// machine's program and token.
func unitArgs(t *testing.T, m *machine) []string {
	t.Helper()
	unit, err := os.ReadFile("../../examples/systemd/stretcher-watch.service")
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(unit), "\nExecStart=/usr/bin/consul watch ")
	line, _, _ = strings.Cut(strings.ReplaceAll(line, "\\\n", " "), "\n")
	line = strings.Replace(line, "/etc/stretcher/consul.token", m.path("token"), 1)
	args := strings.Fields(strings.Replace(line, "/usr/bin/stretcher", m.bin, 1))
	if !slices.Contains(args, m.bin) || !slices.Contains(args, m.path("token")) {
		t.Fatalf("the unit starts consul watch with %q", args)
	}
	return args
}

// deploysByToken: a watch with a host's token, as the example unit starts it,
// deploys what a deployer fires, one without does not, and no command sees the
// token.
func deploysByToken(t *testing.T, agent testparts.ConsulAgent, host, deployer string) {
	t.Helper()
	m := newMachine(t)
	m.write("token", host)
	m.write("app.yml", "commands: {pre: ['env > "+m.path("env")+"; echo > "+m.path("ran")+"']}\n")
	told := agent.WatchBy(t, m.env, unitArgs(t, m)...)
	testparts.WaitFor(t, "the watch", func() bool { return strings.Contains(told.Output(), "nothing to do: no event") })
	blind := agent.Watch(t, "deploy", append(m.env, "STRETCHER_STATE_DIR="+m.path("blind")), m.bin)
	testparts.WaitFor(t, "the other watch", func() bool { return blind.Output() != "" })
	if out, ok := fires(agent, deployer, "file://"+m.path("app.yml")); !ok {
		t.Fatalf("the deployer fires no event: %s", out)
	}
	testparts.WaitFor(t, "the deployment", func() bool { return strings.Contains(told.Output(), "done\n") })
	if strings.Contains(m.read("env"), host) {
		t.Error("the host's token is in the environment of a command")
	}
	if strings.Contains(blind.Output(), "from consul deploy") {
		t.Errorf("a watch without a token got an event:\n%s", blind.Output())
	}
	told.Stop()
	blind.Stop()
}

// tokensSee: tokens read the events, and an observer's the nodes; none reads
// anything else, and the blind token reads nothing.
func tokensSee(t *testing.T, agent testparts.ConsulAgent, tokens map[string]string, blind string) {
	t.Helper()
	const events, nodes = "/v1/event/list?name=deploy", "/v1/catalog/nodes"
	for name, token := range tokens {
		if got := agent.Get(events, token); !strings.Contains(got, `"Name": "deploy"`) {
			t.Errorf("the %s sees no events: %s", name, got)
		}
		if got := agent.Get(nodes, token); strings.Contains(got, "127.0.0.1") != (name == "observer") {
			t.Errorf("nodes for the %s: %s", name, got)
		}
		if got := agent.Get("/v1/acl/tokens", token); got != "" {
			t.Errorf("the %s reads tokens: %s", name, got)
		}
	}
	if got := agent.Get(events, blind); strings.Contains(got, "deploy") {
		t.Errorf("without a token events are seen: %s", got)
	}
}
