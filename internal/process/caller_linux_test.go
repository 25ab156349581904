package process

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestSerfAgent: whatever the handler is wrapped in, the agent is who started
// it all, and each start of the agent has a name of its own.
func TestSerfAgent(t *testing.T) {
	const again = "STRETCHER_TEST_SAY_AGENT"
	if os.Getenv(again) != "" {
		println("agent=" + SerfAgent())
		return
	}
	self := os.Args[0] + " -test.run ^TestSerfAgent$"
	from := func(agent string, handler string) string {
		cmd := exec.Command("sh", "-c", agent, "agent", handler)
		cmd.Env = append(os.Environ(), again+"=1")
		out, err := cmd.CombinedOutput()
		_, name, found := strings.Cut(string(out), "agent=")
		name, _, _ = strings.Cut(name, "\n")
		if err != nil || !found {
			t.Fatalf("%v\n%s", err, out)
		}
		return name
	}
	// An agent waits for its handler, and gives it the variable.
	const once, twice = `SERF_EVENT=user sh -c "$1"; true`, `SERF_EVENT=user sh -c "$1"; SERF_EVENT=user sh -c "$1"; true`
	seen := map[string]string{}
	for _, handler := range []string{
		self, self + "; true", "sh -c '" + self + "; true'; true", "(" + self + ") 2>&1 | cat >&2",
		"env -i SERF_EVENT=user " + again + "=1 sh -c '" + self + "; true'; true",
	} {
		name := from(once, handler)
		if name == "" || seen[name] != "" {
			t.Errorf("%q: %q, as %q had it", handler, name, seen[name])
		}
		seen[name] = handler
	}
	cmd := exec.Command("sh", "-c", twice, "agent", self)
	cmd.Env = append(os.Environ(), again+"=1")
	out, err := cmd.CombinedOutput()
	lines := strings.Split(string(out), "agent=")
	if err != nil || len(lines) != 3 {
		t.Fatalf("%v\n%s", err, out)
	}
	first, _, _ := strings.Cut(lines[1], "\n")
	second, _, _ := strings.Cut(lines[2], "\n")
	if first != second || first == "" || !strings.HasPrefix(first, Boot()+":") {
		t.Errorf("%q, then %q", first, second)
	}
}
