package e2e

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"stretcher/internal/testparts"
)

// documentedRules are the policies of docs/operations.md: that of a host that
// deploys, and that of who fires events.
func documentedRules(t *testing.T) (host, caller string) {
	t.Helper()
	doc, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```hcl\n(.*?)```").FindAllSubmatch(doc, -1)
	if len(found) != 2 {
		t.Fatalf("%d policies in the document, want two", len(found))
	}
	return string(found[0][1]), string(found[1][1])
}

// fires tells what came of `consul event` with a token.
func fires(agent testparts.ConsulAgent, token, payload string) (said string, ok bool) {
	out, err := exec.Command(agent.Bin, "event", "-http-addr", agent.HTTPAddr, "-token", token, "-name", "deploy",
		payload).CombinedOutput()
	return string(out), err == nil
}

// TestE2EConsulACL: what the document says that tokens need is enough where
// nothing is allowed without, and no less is.
func TestE2EConsulACL(t *testing.T) {
	t.Parallel()
	agent := testparts.ConsulWithACL(t)
	m := newMachine(t)
	hostRules, callerRules := documentedRules(t)
	first, _, _ := strings.Cut(callerRules, "\n")
	host, caller := agent.NewToken(t, "host", hostRules), agent.NewToken(t, "caller", callerRules)
	less := agent.NewToken(t, "less", first+"\n")
	for name, token := range map[string]string{"a host's token": host, "no token": "", "the half of the caller's": less} {
		if out, ok := fires(agent, token, "file:///none.yml"); ok || !strings.Contains(out, "403") {
			t.Errorf("%s fires an event: %s", name, out)
		}
	}

	m.write("token", host)
	m.write("app.yml", "commands: {pre: ['env > "+m.path("env")+"; echo > "+m.path("ran")+"']}\n")
	told := agent.Watch(t, "deploy", append(m.env, "CONSUL_HTTP_TOKEN_FILE="+m.path("token")), m.bin)
	testparts.WaitFor(t, "the watch", func() bool { return strings.Contains(told.Output(), "nothing to do: no event") })
	blind := agent.Watch(t, "deploy", append(m.env, "STRETCHER_STATE_DIR="+m.path("blind")), m.bin)
	testparts.WaitFor(t, "the other watch", func() bool { return blind.Output() != "" })
	if out, ok := fires(agent, caller, "file://"+m.path("app.yml")); !ok {
		t.Fatalf("the caller fires no event: %s", out)
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
