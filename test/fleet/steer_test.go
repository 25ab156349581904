package fleet

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"stretcher/internal/testparts"
)

// exits runs a command of somebody who steers, wants its exit status and that it says
// so, and returns all that it says.
func (g *group) exits(status int, says string, args ...string) string {
	g.t.Helper()
	cmd := exec.CommandContext(g.t.Context(), g.bin, append([]string{"--state-dir", g.path("state-operator")}, args...)...)
	cmd.Env = append(os.Environ(), "CONSUL_HTTP_ADDR="+g.consul, testparts.NoExitSleep)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	err := cmd.Run()
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		g.t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != status || !strings.Contains(said.String(), says) {
		g.t.Errorf("%s: exit %d, want %d and %q\n%s", args, got, status, says, said.String())
	}
	return said.String()
}

// ends runs the program on a host to its end, and wants the exit status and that it says
// so.
func (g *group) ends(node string, status int, says string, args ...string) {
	g.t.Helper()
	h := g.start(node, args...)
	if got := h.wait(); got != status || !strings.Contains(h.said.String(), says) {
		g.t.Errorf("%s: exit %d, want %d and %q\n%s", node, got, status, says, h.said.String())
	}
}

// TestSteer: a rollout that a failure has stopped is repeated for the host that failed,
// and goes on for those that were stopped; who is good does nothing any more.
func TestSteer(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 3)
	manifest := g.app("one", "{service: web}",
		"  pre: [\"echo $HOST >> DIR/ran\"]\n  verify: [\"[ ! -e DIR/bad-$HOST ]\"]")
	g.write("bad-h1", "")
	g.exits(8, `no such rollout is known: "web"`, "fleet", "retry", "web")
	g.exits(8, `no such rollout is known: "web"`, "fleet", "stop", "web")
	g.ends("h0", 0, "deployed", manifest)
	g.exits(1, "the rollout is not stopped", "fleet", "resume", "web")
	g.exits(1, "no host has failed", "fleet", "retry", "web")
	g.ends("h1", 1, "verify", manifest)
	g.ends("h2", 1, "the rollout is stopped: 1 failed", manifest)
	g.exits(0, "it is so already: the rollout is stopped: 1 failed", "fleet", "stop", "web")

	url := "file://" + manifest
	g.exits(1, "the agent remembers no event", "fleet", "retry", "web", "--event", "deploy")
	g.exits(1, "1 failed, 1 stopped", "fleet", "status", "web")
	g.exits(0, `event "deploy" fired`, "fleet", "retry", "web", "--event", "deploy", "--url", url)
	if events := g.get("/v1/event/list?name=deploy"); !strings.Contains(events,
		base64.StdEncoding.EncodeToString([]byte(url))) {
		t.Errorf("no event for %s: %s", url, events)
	}
	g.exits(0, "it is so already: by ", "fleet", "retry", "web")
	g.ends("h0", 0, "nothing to do: turn: the rollout goes on for other hosts alone", manifest)
	g.ends("h2", 0, "nothing to do: turn: the rollout goes on for other hosts alone", manifest)
	if err := os.Remove(g.path("bad-h1")); err != nil {
		t.Fatal(err)
	}
	g.ends("h1", 0, "deployed", manifest)
	g.exits(1, "no host has failed: there is nothing to retry", "fleet", "retry", "web")
	g.exits(1, "fleet resume is for all hosts that are not good yet", "fleet", "retry", "web")

	g.exits(0, "its hosts come again by its event: consul event -name deploy "+url, "fleet", "resume", "web")
	g.exits(0, `event "deploy" fired`, "fleet", "resume", "web", "--event", "deploy")
	const already = "nothing to do: turn: the rollout goes on for other hosts alone: this one is good already, by run "
	for _, node := range []string{"h0", "h1"} {
		g.ends(node, 0, already, manifest)
	}
	g.ends("h2", 0, "deployed", manifest)
	g.exits(0, "3 of 3 hosts good", "fleet", "status", "web")
	g.exits(1, "the rollout has ended", "fleet", "resume", "web")
	g.exits(1, "the rollout has ended", "fleet", "stop", "web")
	if ran := g.read("ran"); ran != "h0\nh1\nh1\nh2\n" {
		t.Errorf("at work were\n%s", ran)
	}
}
