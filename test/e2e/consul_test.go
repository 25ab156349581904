package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"stretcher/internal/testparts"
)

// consulHost is a machine whose deployments a real consul watch starts. Each
// has events of its own name, since a watch is given old ones too.
type consulHost struct {
	*machine
	agent testparts.ConsulAgent
	event string
	base  string // URL of the machine's directory; an event has room for it
}

// TestE2EConsul has one agent for all its cases.
func TestE2EConsul(t *testing.T) {
	t.Parallel()
	testparts.Need(t, "rsync")
	agent := testparts.Consul(t)
	for name, test := range map[string]func(*testing.T, *consulHost){
		"deploys": consulDeploys, "queued": consulQueued, "fails": consulFails, "empty": consulEmpty,
		"term": consulTerm, "stop": consulStop, "strict": consulStrict, "again": consulAgain,
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			test(t, &consulHost{m, agent, name, testparts.Nginx(t, m.dir, "")})
		})
	}
}

// watch starts a watch; it is up when the handler has had its first call.
func (h *consulHost) watch(args string) *testparts.Watch {
	h.t.Helper()
	w := h.agent.Watch(h.t, h.event, h.env, "exec "+h.bin+" --progress never "+args)
	h.seen(w, "nothing to do: no event")
	return w
}

// seen waits for text in the watch's output. A watch that ends can't bring it.
func (h *consulHost) seen(w *testparts.Watch, text string) {
	h.t.Helper()
	testparts.WaitFor(h.t, fmt.Sprintf("%q, or the watch to end", text), func() bool {
		return strings.Contains(w.Output(), text) || w.Exited()
	})
	if !strings.Contains(w.Output(), text) {
		h.t.Fatalf("the watch ended without saying %q:\n%s", text, w.Output())
	}
}

// ends stops a watch, which must be alive, and looks at what it leaves.
func (h *consulHost) ends(w *testparts.Watch) {
	h.t.Helper()
	if w.Exited() {
		h.t.Errorf("the watch has ended:\n%s", w.Output())
	}
	h.idle()
	w.Stop()
	h.clean()
}

// idle waits until no handler runs. One that has said how its run went has yet
// to write it down, and does not outlive its watch.
func (h *consulHost) idle() {
	h.t.Helper()
	testparts.WaitFor(h.t, "the handler to end", func() bool {
		return !slices.ContainsFunc(testparts.ProcessesOf(h.dir),
			func(p string) bool { return !strings.Contains(p, " watch -http-addr ") })
	})
}

// publish makes an application of one file, and a manifest with these commands.
func (h *consulHost) publish(name, content string, commands ...string) (url string) {
	h.t.Helper()
	app := pack(h.t, map[string]string{"file": content})
	h.write(name+".tgz", string(app))
	rest := append([]string{"name: " + name, "commands:"}, commands...)
	h.write(name+".yml", h.machine.manifest(h.base+"/"+name+".tgz", app, rest...))
	return h.base + "/" + name + ".yml"
}

// fire sends events and waits until the agent has all of them.
func (h *consulHost) fire(payloads ...string) {
	h.t.Helper()
	want := h.events() + len(payloads)
	for _, p := range payloads {
		h.agent.Fire(h.t, h.event, p)
	}
	testparts.WaitFor(h.t, "the agent to have the events", func() bool { return h.events() == want })
}

// events counts the machine's events in the agent's buffer.
func (h *consulHost) events() int {
	h.t.Helper()
	resp, err := http.Get("http://" + h.agent.HTTPAddr + "/v1/event/list?name=" + h.event)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return strings.Count(string(body), `"ID":`)
}

// block is a command that takes until the file go is there.
func (h *consulHost) block(file string) string {
	return fmt.Sprintf(`"echo $PPID > %[1]s/%[2]s; until test -e %[1]s/go; do sleep 0.02; done"`, h.dir, file)
}

func consulDeploys(t *testing.T, h *consulHost) {
	w := h.watch("")
	h.fire(h.publish("one", "first"))
	h.seen(w, `deployed "one" to "`+h.dest)
	h.has(map[string]string{"file": "first"})
	h.fire(h.publish("two", "second"))
	h.seen(w, `deployed "two"`)
	h.has(map[string]string{"file": "second"})
	if !strings.Contains(w.Output(), "from consul deploys ") {
		t.Errorf("the log does not name the event:\n%s", w.Output())
	}
	h.ends(w)
}

// consulQueued fires two events while the handler is busy.
func consulQueued(t *testing.T, h *consulHost) {
	w := h.watch("")
	h.fire(h.publish("busy", "first", "  pre: ["+h.block("busy")+"]"))
	h.waitFor("busy", "")
	older := h.publish("older", "second")
	h.fire(older, h.publish("newest", "third"))
	h.write("go", "")
	h.seen(w, `deployed "newest"`)
	h.has(map[string]string{"file": "third"})
	if n := strings.Count(w.Output(), `older: "`+older+`"`); n != 1 {
		t.Errorf("the older event is named %d times as skipped, want once:\n%s", n, w.Output())
	}
	if strings.Contains(w.Output(), `deployed "older"`) || !strings.Contains(w.Output(), `deployed "busy"`) {
		t.Errorf("not just the busy and the newest one have been deployed:\n%s", w.Output())
	}
	h.ends(w)
}

// consulFails: a deploy that fails does not end the watch.
func consulFails(t *testing.T, h *consulHost) {
	w := h.watch("")
	h.fire(h.publish("bad", "first", "  post: [exit 3]", "  failure: [cat > "+h.path("failed")+"]",
		"  success: [touch "+h.path("good")+"]"))
	h.waitFor("failed", `error: post: post command 1 "exit 3": exit status 3`)
	h.fire(h.base + "/none.yml")
	h.seen(w, `GET "`+h.base+`/none.yml": 404 Not Found`)
	h.fire("no url at all")
	h.seen(w, "no URL scheme")
	h.fire(h.publish("good", "second"))
	h.seen(w, `deployed "good"`)
	h.has(map[string]string{"file": "second"})
	if _, err := os.Stat(h.path("good")); err == nil {
		t.Error("the success command ran")
	}
	h.ends(w)
}

// consulEmpty: an event without payload is an error that the watch survives.
func consulEmpty(t *testing.T, h *consulHost) {
	w := h.watch("")
	h.fire("")
	h.seen(w, "has no usable payload: a manifest URL is expected")
	h.fire("\n")
	h.fire(h.publish("good", "first"))
	h.seen(w, `deployed "good"`)
	h.ends(w)
}

// inDeploy starts a deployment that has come to its post command, and gives
// the program's process id. Its log is the file log, which outlives the watch.
func (h *consulHost) inDeploy() (*testparts.Watch, int) {
	h.t.Helper()
	w := h.agent.Watch(h.t, h.event, h.env, "exec "+h.bin+" >>"+h.path("log")+" 2>&1")
	h.waitFor("log", "nothing to do")
	h.fire(h.publish("app", "first", "  post: ["+h.block("pid")+"]",
		"  failure: ['cd "+h.dir+" && sleep 0.2 && cat > failed']"))
	h.waitFor("pid", "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(h.read("pid")))
	if err != nil {
		h.t.Fatal(err)
	}
	return w, pid
}

// interrupted checks the end of such a deployment.
func (h *consulHost) interrupted() {
	h.t.Helper()
	h.waitFor("log", "failure: cd")
	h.waitFor("failed", "stopped: interrupted by signal terminated")
	h.clean()
}

// consulTerm ends the watch by SIGTERM, which it passes on.
func consulTerm(t *testing.T, h *consulHost) {
	w, pid := h.inDeploy()
	w.Signal(syscall.SIGTERM)
	testparts.WaitFor(t, "the watch to end", w.Exited)
	tries := 0
	testparts.WaitFor(t, "the deployment to be interrupted", func() bool {
		// Consul exits while it passes the signal on, and may have been too quick.
		if tries++; tries == 500 {
			_ = syscall.Kill(pid, syscall.SIGTERM)
		}
		return strings.Contains(h.read("log"), "interrupted")
	})
	h.interrupted()
}

// consulStop does as a service manager does: every process of the watch's
// group gets SIGTERM, and the watch passes its own on. The program must not
// take the two for an impatient user's.
func consulStop(t *testing.T, h *consulHost) {
	_, pid := h.inDeploy()
	group, err := syscall.Getpgid(pid)
	if err != nil || group == syscall.Getpgrp() {
		t.Fatalf("process group %d: %v", group, err)
	}
	if err := syscall.Kill(-group, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	h.interrupted()
}

// consulStrict: with --strict-exit a deploy that fails ends the watch.
func consulStrict(t *testing.T, h *consulHost) {
	w := h.watch("--strict-exit")
	h.fire(h.publish("good", "first"))
	h.seen(w, `deployed "good"`)
	h.fire(h.publish("bad", "second", "  pre: [exit 3]"))
	testparts.WaitFor(t, "the watch to end", w.Exited)
	if w.ExitCode() <= 0 {
		t.Errorf("exit status of the watch = %d, want a positive one", w.ExitCode())
	}
	h.has(map[string]string{"file": "first"})
	h.clean()
}

// consulAgain: a watch that starts is handed the last events again, and what
// has been deployed is not deployed twice.
func consulAgain(t *testing.T, h *consulHost) {
	w := h.watch("")
	h.fire(h.publish("old", "first"), h.publish("new", "second"))
	h.seen(w, `deployed "new"`)
	h.ends(w)
	w = h.agent.Watch(t, h.event, h.env, h.bin)
	h.seen(w, "has been handled by run ")
	h.has(map[string]string{"file": "second"})
	if strings.Contains(w.Output(), "deployed") {
		t.Errorf("deployed again:\n%s", w.Output())
	}
	h.fire(h.publish("newer", "third"))
	h.seen(w, `deployed "newer"`)
	h.has(map[string]string{"file": "third"})
	if n := strings.Count(w.Output(), `older: "`+h.base+`/new.yml"`); n != 0 {
		t.Errorf("an event that has been deployed is named as skipped:\n%s", w.Output())
	}
	h.ends(w)
}
