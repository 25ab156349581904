package e2e

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"stretcher/internal/testparts"
)

// traced is a run whose trace a real collector gets.
type traced struct {
	t         *testing.T
	collector testparts.Collector
	dir       string
}

// command is the program, in the directory of the test.
func (r traced) command(trace string, args ...string) *exec.Cmd {
	bin := testparts.Program(r.t)
	cmd := exec.Command(bin, args...)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "OTEL_EXPORTER_OTLP_ENDPOINT="+r.collector.URL,
		"OTEL_EXPORTER_OTLP_HEADERS=x-token=sesame-open", "TOKEN=hunter2hunter2", "STRETCHER_STATE_DIR="+r.dir+"/state",
		"TRACEPARENT=00-"+trace+"-b7ad6b7169203331-01", "PATH="+filepath.Dir(bin)+":"+os.Getenv("PATH"))
	return cmd
}

// spans are those of a trace, once there are as many as that, by the names of them
// and of what they are below.
func (r traced) spans(trace string, count int) map[string]testparts.Span {
	var all []testparts.Span
	testparts.WaitFor(r.t, "the spans", func() bool {
		all = r.collector.Spans(r.t, trace)
		return len(all) >= count
	})
	names, byName := map[string]string{}, map[string]testparts.Span{}
	for _, s := range all {
		names[s.SpanID] = s.Name
	}
	for _, s := range all {
		above, ok := names[s.ParentSpanID]
		if !ok {
			above = s.ParentSpanID
		}
		byName[above+" > "+s.Name] = s
	}
	if len(all) != count {
		r.t.Errorf("%d spans: %v", len(all), byName)
	}
	return byName
}

// TestTrace: a run arrives at a real collector as one trace, below that of who has
// started it, and with that of a program that it has started itself below the step.
// What fails says so as the log does: without secrets.
func TestTrace(t *testing.T) {
	t.Parallel()
	r := traced{t, testparts.StartCollector(t), t.TempDir()}
	for name, text := range map[string]string{
		"app.yml": "name: app\nversion: '7'\nenv: {KEY: '{{ must_env \"TOKEN\" }}'}\n" +
			"commands: {pre: ['echo $KEY; stretcher inner.yml'], post: ['echo hunter2hunter2; exit 3'], failure: ['true']}\n" +
			"hooks: {pre_promote: [{run: 'true # hook'}]}\n",
		"inner.yml": "name: inner\ncommands: {verify: ['true # inner']}\n",
		"slow.yml":  "commands: {pre: ['touch begun; sleep 600']}\n",
	} {
		if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("failed", r.failed)
	t.Run("interrupted", r.interrupted)
}

func (r traced) failed(t *testing.T) {
	const trace, ci = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	out, err := r.command(trace, "--log-format", "json", "app.yml").CombinedOutput()
	if err == nil || bytes.Contains(out, []byte("trace of this run")) {
		t.Errorf("%v\n%s", err, out)
	}
	r.t = t
	spans := r.spans(trace, 15)
	root := spans[ci+" > stretcher deploy"]
	if root.Status.Code != 2 || !strings.HasPrefix(root.Status.Message, "post: post command 1 ") {
		t.Errorf("the root is %+v", root)
	}
	for key, want := range map[string]string{
		"name": "app", "version": "7", "result": "failed", "exit": "1", "step": "post",
	} {
		if got := root.Attribute("stretcher." + key); got != want {
			t.Errorf("%s is %q, not %q", key, got, want)
		}
	}
	command := spans["post > echo [KEY]; exit 3"]
	if command.Status.Message != "exit status 3" || command.Attribute("stretcher.exit") != "3" {
		t.Errorf("the command is %+v", command)
	}
	if spans["stretcher deploy > post"].Status.Message != root.Status.Message {
		t.Errorf("the step is %+v", spans["stretcher deploy > post"])
	}
	for _, below := range []string{"post_sync > pre_promote[0]", "pre > stretcher deploy", "verify > true # inner"} {
		if spans[below].Name == "" {
			t.Errorf("nothing is %q: %v", below, spans)
		}
	}
	if raw := r.collector.Raw(t); strings.Contains(raw, "hunter2") || strings.Contains(raw, "sesame") {
		t.Error("a secret is in a span")
	}
	r.sameAsHistory(t, root)
}

// sameAsHistory: the root is what the history has.
func (r traced) sameAsHistory(t *testing.T, root testparts.Span) {
	out, err := r.command("0", "history", "--json", "--run", root.Attribute("stretcher.run_id")).Output()
	var row struct {
		Started string
		Error   string
	}
	if err == nil {
		err = json.Unmarshal(out, &row)
	}
	began, bad := strconv.ParseInt(root.Start, 10, 64)
	same := time.Unix(0, began).UTC().Format("2006-01-02T15:04:05.000Z07:00") == row.Started
	if err != nil || bad != nil || !same || row.Error != root.Status.Message {
		t.Errorf("%+v is not what the history says: %v\n%s", root, err, out)
	}
}

func (r traced) interrupted(t *testing.T) {
	const trace = "1af7651916cd43dd8448eb211c80319c"
	cmd := r.command(trace, "slow.yml")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	testparts.WaitFor(t, "the command", func() bool {
		_, err := os.Stat(filepath.Join(r.dir, "begun"))
		return err == nil
	})
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 143 {
		t.Errorf("%v", err)
	}
	r.t = t
	root := r.spans(trace, 4)["b7ad6b7169203331 > stretcher deploy"]
	if root.Attribute("stretcher.exit") != "143" || !strings.Contains(root.Status.Message, "interrupted by signal") {
		t.Errorf("the root is %+v", root)
	}
}

// TestNoCollector: a collector that takes connections and never says anything, or one
// that sends elsewhere, costs the time that it may and a warning, and no exit status.
func TestNoCollector(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	elsewhere := httptest.NewServer(http.RedirectHandler("http://"+silent.Addr().String(), http.StatusTemporaryRedirect))
	defer elsewhere.Close()
	for url, want := range map[string]string{
		"http://" + silent.Addr().String(): "no answer in ", elsewhere.URL: "307 Temporary Redirect",
	} {
		r := traced{t, testparts.Collector{URL: url}, t.TempDir()}
		for name, status := range map[string]int{"true": 0, "exit 3": 1} {
			manifest := filepath.Join(r.dir, "app.yml")
			if err := os.WriteFile(manifest, []byte("commands: {post: ['"+name+"']}\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := r.command("0af7651916cd43dd8448eb211c80319c", "app.yml")
			cmd.Env = append(cmd.Env, "OTEL_EXPORTER_OTLP_TIMEOUT=200")
			out, _ := cmd.CombinedOutput()
			_, said, _ := strings.Cut(string(out), "the trace of this run is lost: ")
			if cmd.ProcessState.ExitCode() != status || !strings.Contains(said, want) {
				t.Errorf("%s, %q: exit %d\n%s", url, name, cmd.ProcessState.ExitCode(), out)
			}
		}
	}
}
