package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"stretcher/internal/testparts"
)

// serfHandler makes a script that runs the program as an event handler does,
// and appends what it said and its exit status to the file log. The agent is
// given the test's environment, so the script sets the machine's. Agents share
// the machine, but not what it knows of events: they stand for several hosts.
func (m *machine) serfHandler() string {
	m.t.Helper()
	m.write("handler", fmt.Sprintf(`#!/bin/sh
cd %[4]s
export %[1]s STRETCHER_STATE_DIR=%[4]s/state-$SERF_SELF_NAME
echo "$SERF_EVENT began" >>%[2]s
%[3]s >>%[2]s 2>&1
echo "$SERF_EVENT exit $?" >>%[2]s
`,
		strings.Join(m.env, " "), m.path("log"), m.bin, m.dir))
	return m.path("handler")
}

// TestE2ESerf deploys by `serf event deploy URL`, on a handler of that event.
func TestE2ESerf(t *testing.T) {
	t.Parallel()
	testparts.Need(t, "rsync")
	m := newMachine(t)
	agents := testparts.Serf(t, 2, "user:deploy="+m.serfHandler())
	publish := func(content string) string {
		app := pack(t, map[string]string{"file": content})
		m.write("app.tgz", string(app))
		m.write("app.yml", m.manifest("file://"+m.path("app.tgz"), app, "version: "+content,
			// Both agents are on this machine: their deployments take turns.
			"commands: {pre: ['until mkdir turn 2>/dev/null; do sleep 0.02; done'], "+
				"success: ['rmdir turn'], failure: ['rmdir turn']}"))
		return "file://" + m.path("app.yml")
	}
	url := publish("first")
	agents[0].Event(t, "other", "nonsense")
	agents[0].Event(t, "deploy", url)
	m.finished("user exit 0\n", 2)
	m.has(map[string]string{"file": "first"})
	for _, want := range []string{`manifest "` + url + `" from serf deploy `, `deployed "dest" version "first"`} {
		if n := strings.Count(m.read("log"), want); n != 2 {
			t.Errorf("the log has %q %d times, want it of both agents:\n%s", want, n, m.read("log"))
		}
	}

	agents[1].Event(t, "deploy", "file:///no/such/manifest.yml")
	m.finished("user exit 1\n", 2)
	agents[1].Event(t, "deploy", publish("second"))
	m.finished("user exit 0\n", 4)
	m.has(map[string]string{"file": "second"})
	m.clean()
	if strings.Contains(m.read("log"), "nonsense") {
		t.Errorf("the log tells of an event for others:\n%s", m.read("log"))
	}
}

// finished waits until the log has the line n times.
func (m *machine) finished(line string, n int) {
	m.t.Helper()
	testparts.WaitFor(m.t, fmt.Sprintf("%q %d times", line, n), func() bool {
		return strings.Count(m.read("log"), line) >= n
	})
}

// TestE2ESerfOtherEvents has a handler of all events.
func TestE2ESerfOtherEvents(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	agents := testparts.Serf(t, 1, m.serfHandler())
	m.write("app.yml", "commands: {pre: ['echo $STRETCHER_NAME > "+m.path("ran")+"']}\nname: app\n")
	agents[0].Event(t, "deploy", "file://"+m.path("app.yml"))
	m.finished("user exit 0\n", 1)
	query := exec.Command(agents[0].Bin, "query", "-rpc-addr", agents[0].RPCAddr, "-timeout", "1s", "deploy",
		"file://"+m.path("app.yml"))
	if out, err := query.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	for _, kind := range []string{"member-join", "query"} {
		m.finished(kind+" exit 0\n", 1)
	}
	done := `commands of "file://` + m.path("app.yml") + `" done` + "\n"
	for _, line := range []string{"nothing to do: no event", " " + done, "good after"} {
		if !strings.Contains(m.read("log"), line) {
			t.Errorf("the log lacks %q:\n%s", line, m.read("log"))
		}
	}
	if n := strings.Count(m.read("log"), "from serf"); n != 1 {
		t.Errorf("%d events were acted on, want one:\n%s", n, m.read("log"))
	}
	if err := os.Remove(m.path("ran")); err != nil {
		t.Error(err)
	}
	m.clean()
}

// TestE2ESerfAgentStartsAnew: Lamport times begin again with an agent, and its
// events are no replays of those of the agent before it.
func TestE2ESerfAgentStartsAnew(t *testing.T) {
	t.Parallel()
	testparts.Need(t, "flock")
	m := newMachine(t)
	m.write("app.yml", "commands: {pre: ['echo ran >> "+m.path("ran")+"']}\n")
	handler := m.serfHandler()
	for i, wrapped := range []string{"%s", "flock " + m.path("lock") + " %s", "sh -c 'sh %s; true'"} {
		agents := testparts.Serf(t, 1, "user:deploy="+fmt.Sprintf(wrapped, handler))
		agents[0].Event(t, "deploy", "file://"+m.path("app.yml"))
		m.finished("user exit 0\n", i+1)
	}
	if n := strings.Count(m.read("log"), "from serf deploy 1\n"); n != 3 {
		t.Errorf("%d events of Lamport time 1 were acted on, want that of each agent:\n%s", n, m.read("log"))
	}
	if ran := m.read("ran"); ran != "ran\nran\nran\n" {
		t.Errorf("the command ran: %q", ran)
	}
	if err := os.Remove(m.path("ran")); err != nil {
		t.Error(err)
	}
	m.clean()
}
