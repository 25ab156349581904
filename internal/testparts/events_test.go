package testparts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// script writes an executable shell script and gives its path.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "handler")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConsul(t *testing.T) {
	a := Consul(t)
	// "c3RvcA==" is "stop": Consul shows payloads in base64.
	h := script(t, `read -r event; echo "$WHO got $event"; case $event in *c3RvcA==*) exit 3;; esac`)
	w := a.Watch(t, "deploy", []string{"WHO=tester"}, h)
	WaitFor(t, "the first call of the handler", func() bool { return strings.Contains(w.Output(), "tester got []") })
	a.Fire(t, "other", "elsewhere")
	a.Fire(t, "deploy", "stop")
	WaitFor(t, "a handler that fails to end the watch", w.Exited)
	if w.ExitCode() <= 0 {
		t.Errorf("exit code = %d, want a positive one", w.ExitCode())
	}
	if strings.Contains(w.Output(), "ZWxzZXdoZXJl") {
		t.Errorf("the watch handled an event of another name:\n%s", w.Output())
	}

	w = a.Watch(t, "deploy", nil, "cat")
	WaitFor(t, "the buffered event", func() bool { return strings.Contains(w.Output(), "c3RvcA==") })
	if w.Exited() || w.ExitCode() != -1 {
		t.Errorf("exited = %v, code = %d before Stop", w.Exited(), w.ExitCode())
	}
	w.Stop()
	if !w.Exited() {
		t.Error("the watch runs after Stop")
	}
}

func TestSerf(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	h := script(t, `payload=$(cat)
if [ "$SERF_EVENT" = query ]; then echo "$SERF_SELF_NAME: $payload"; echo more
else echo "$SERF_SELF_NAME $payload" >>`+log+`; fi`)
	agents := Serf(t, 2, "user:deploy="+h, "query:ask="+h)
	agents[0].Event(t, "other", "none")
	agents[0].Event(t, "deploy", "payload")
	WaitFor(t, "both agents to handle the event", func() bool {
		b, _ := os.ReadFile(log)
		return strings.Contains(string(b), "node0 payload\n") && strings.Contains(string(b), "node1 payload\n")
	})
	if got, want := agents[1].Query(t, "ask", "how"), "node1: how\nmore"; got != want {
		t.Errorf("Query = %q, want %q", got, want)
	}
}
