package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"stretcher/internal/disk"
	"stretcher/internal/event"
	"stretcher/internal/journal/history"
	"stretcher/internal/text/failure"
)

// TestHandedOn: a URL goes to the process in the background by its standard
// input, and is no event of Consul or Serf there. Without a URL all stays, and
// Serf's agent is named, which is no parent of that process.
func TestHandedOn(t *testing.T) {
	env := []string{"A=1", "SERF_EVENT=user", "SERF_USER_LTIME=5", "CONSUL_INDEX=7", "CONSUL_INDEXES=8"}
	a := &app{Process: Process{Environ: env, Stdin: os.Stdin}}
	stdin, got := a.handedOn([]string{"s3://b/k"})
	text, err := io.ReadAll(stdin)
	if err != nil || string(text) != "s3://b/k\n" || !slices.Equal(got, []string{"A=1", "SERF_USER_LTIME=5",
		"CONSUL_INDEXES=8"}) {
		t.Errorf("%q, %v, %q", text, err, got)
	}
	with := append(slices.Clone(env), event.AgentVariable+"="+a.serfAgent())
	if stdin, got = a.handedOn(nil); stdin != os.Stdin || !slices.Equal(got, with) {
		t.Errorf("%v, %q", stdin, got)
	}
	if len(a.Environ) != 5 || a.Environ[1] != "SERF_EVENT=user" {
		t.Errorf("the process's own environment has become %q", a.Environ)
	}
}

// TestUndetached: the flags go on as they were, but for --detach, and without
// the URL, also when a flag has its value.
func TestUndetached(t *testing.T) {
	a := newApp(Process{}, Actions{})
	for args, want := range map[string]string{
		"--detach s3://b/k": "--detach=false",
		"-detach=true -timeout 30 s3://b/k --log-file f": "--detach=false --timeout 30 --log-file f",
		"--log-file s3://b/k s3://b/k --detach --force":  "--detach=false --log-file s3://b/k --force",
		"--detach -- s3://b/k":                           "--detach=false",
	} {
		if _, err := a.read(strings.Fields(args)); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(a.line.undetached(), " "); got != want {
			t.Errorf("%q: %q, want %q", args, got, want)
		}
	}
}

// asked is one call as Serf's handler, with text on its standard input.
func asked(t *testing.T, deploy func(context.Context, DeployOptions) (string, error), name, text, dir string,
	args ...string) (status int, stdout, stderr string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "stdin")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	stdin, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	var out, errs bytes.Buffer
	p := Process{
		Args:    append([]string{"stretcher"}, args...),
		Environ: []string{"SERF_EVENT=query", "SERF_QUERY_NAME=" + name, "STRETCHER_STATE_DIR=" + dir},
		Stdin:   stdin, Stdout: &out, Stderr: &errs,
	}
	status = Main(t.Context(), p, Actions{Deploying: Deploying{Deploy: deploy}})
	return status, out.String(), errs.String()
}

// TestAnswers: one line on stdout, nothing on stderr, status 0, whatever the
// deployment says and prints.
func TestAnswers(t *testing.T) {
	dir := newState(t, "/srv/app")
	noisy := func(outcome string, err error) func(context.Context, DeployOptions) (string, error) {
		return func(_ context.Context, o DeployOptions) (string, error) {
			_, _ = io.WriteString(o.Stdout, "noise")
			_, _ = io.WriteString(o.Stderr, "noise")
			return outcome, err
		}
	}
	for _, tc := range []struct {
		name, stdin string
		deploy      func(context.Context, DeployOptions) (string, error)
		want        string
	}{
		{"deploy", "s3://b/k", noisy("deployed\nall", nil), "good after "},
		{"deploy", "s3://b/k", noisy("post: no", errors.New("post: no")), "failed with exit status 1 after "},
		{"deploy", "s3://b/k", noisy("", failure.Malformed("no event")), "failed with exit status 3 after "},
		{"status", "/srv/app\n", nil, `good: "app`},
		{"status", "/srv/other", nil, `never deployed: "/srv/other"`},
		{"status", "", nil, "error: the query's payload must be a dest"},
		{"uptime", "x", nil, ""},
	} {
		status, stdout, stderr := asked(t, tc.deploy, tc.name, tc.stdin, dir)
		if status != ExitGood || stderr != "" || !strings.HasPrefix(stdout, tc.want) || strings.Contains(stdout, "noise") ||
			strings.Count(stdout, "\n") != min(len(tc.want), 1) {
			t.Errorf("%s %q: status %d, answered %q, said %q", tc.name, tc.stdin, status, stdout, stderr)
		}
	}
	status, stdout, stderr := asked(t, nil, "deploy", "s3://b/k", dir, "--tiemout", "3")
	if status != ExitUsage || stdout != "error: unknown flag: --tiemout\n" || stderr != "" {
		t.Errorf("status %d, answered %q, said %q", status, stdout, stderr)
	}
	if status, stdout, _ := asked(t, noisy("deployed", nil), "deploy", "", dir, "s3://b/k"); status != ExitGood ||
		stdout != "noise" {
		t.Errorf("with a URL it is no query: status %d, printed %q", status, stdout)
	}
}

// TestConsulStatus: a handler that fails ends the watch, so it does not, but
// for wrong usage.
func TestConsulStatus(t *testing.T) {
	for _, tc := range []struct {
		err  error
		args []string
		want int
	}{
		{errors.New("post"), nil, ExitGood},
		{failure.Refused("no"), nil, ExitGood},
		{failure.Usage("two URLs"), nil, ExitUsage},
		{errors.New("post"), []string{"--strict-exit"}, ExitFailed},
	} {
		p := Process{
			Args:    append([]string{"stretcher"}, tc.args...),
			Environ: []string{"CONSUL_INDEX=7", "HOME=/nowhere"}, Stdout: io.Discard, Stderr: io.Discard,
		}
		deploy := func(context.Context, DeployOptions) (string, error) { return "said", tc.err }
		if got := Main(t.Context(), p, Actions{Deploying: Deploying{Deploy: deploy}}); got != tc.want {
			t.Errorf("%v %q: status %d, want %d", tc.err, tc.args, got, tc.want)
		}
	}
}

// TestVerdict: the last run that has ended counts, one that goes on is
// mentioned. Ages are told as people do, and a clock that has been set back makes
// nothing new.
func TestVerdict(t *testing.T) {
	at := time.Date(2026, 11, 22, 16, 0, 0, 0, time.Local)
	run := func(result history.Result, ago time.Duration) *history.Run {
		return &history.Run{ID: "1", Deployment: history.Deployment{Name: "app", Version: "7"}, Result: result, Step: "post",
			Error: "post: no", Finished: at.Add(-ago)}
	}
	for _, tc := range []struct {
		runs   []*history.Run // the last first
		maxAge time.Duration
		status int
		want   string
	}{
		{nil, 0, statusNever, `never deployed: "/d"`},
		{nil, day, statusNever, `never deployed: "/d"`},
		{[]*history.Run{run(history.Running, 0)}, 0, statusNever, `never deployed: "/d"; run 1 is in step "post"`},
		{[]*history.Run{run(history.Good, 0)}, 0, statusGood,
			`good: "app" version "7", run 1 at 2026-11-22 16:00:00 UTC, deployed 0s ago`},
		{[]*history.Run{run(history.Running, 0), run(history.Good, 59*time.Second)}, 0, statusGood,
			`good: "app" version "7", run 1 at 2026-11-22 15:59:01 UTC, deployed 59s ago; run 1 is in step "post"`},
		{[]*history.Run{run(history.Good, 3*time.Hour+5*time.Minute)}, 4 * time.Hour, statusGood,
			`good: "app" version "7", run 1 at 2026-11-22 12:55:00 UTC, deployed 3h ago`},
		{[]*history.Run{run(history.Good, 3*time.Hour+5*time.Minute)}, 3 * time.Hour, statusOld,
			`old: "app" version "7", run 1 at 2026-11-22 12:55:00 UTC, deployed 3h ago, --max-age is 3h`},
		{[]*history.Run{run(history.Good, -5*time.Minute)}, time.Hour, statusGood,
			`good: "app" version "7", run 1 at 2026-11-22 16:05:00 UTC, deployed 5m ahead of the clock`},
		{[]*history.Run{run(history.Good, -50*day)}, 7 * day, statusOld,
			`old: "app" version "7", run 1 at 2027-01-11 16:00:00 UTC, deployed 50d ahead of the clock, --max-age is 7d`},
		{[]*history.Run{run(history.Failed, time.Minute)}, 0, statusFailed,
			"failed: run 1 at 2026-11-22 15:59:00 UTC, 1m ago: post: no; never good before"},
		{[]*history.Run{run(history.Refused, 26*time.Hour), run(history.Good, 9*day)}, day, statusFailed,
			`refused: run 1 at 2026-11-21 14:00:00 UTC, 26h ago: post: no; last good: "app" version "7", 9d ago`},
		{[]*history.Run{run(history.Died, 0), run(history.Failed, time.Hour)}, 0, statusDied,
			`died: run 1 in step "post" at 2026-11-22 16:00:00 UTC, 0s ago; never good before`},
	} {
		v := verdict{now: at, maxAge: tc.maxAge, Standing: history.Standing{Dest: "/d"}}
		for _, r := range tc.runs {
			v.Judge(r)
		}
		if v.status() != tc.status || v.String() != tc.want {
			t.Errorf("status %d, said\n%q; want %d,\n%q", v.status(), v, tc.status, tc.want)
		}
	}
}

// TestAgeValue: days, hours, or a bare number of seconds, and never nothing.
func TestAgeValue(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"7d": 7 * day, "36h": 36 * time.Hour, "1.5d": 36 * time.Hour, "90": 90 * time.Second, "1h30m": 90 * time.Minute,
	} {
		var got ageValue
		if err := got.Set(text); err != nil || time.Duration(got) != want {
			t.Errorf("%q is %s, %v", text, time.Duration(got), err)
		}
		var again ageValue
		if err := again.Set(got.String()); err != nil || again != got {
			t.Errorf("%q is told as %q, which is %s, %v", text, got.String(), time.Duration(again), err)
		}
	}
	for _, text := range []string{"", "0", "0d", "-1", "-7d", "soon", "7w", "1d12h", "NaN", "Inf", "1e400d", "d", " 7d"} {
		if err := new(ageValue).Set(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

// TestOpenPipe: a signal ends the wait for an event on a pipe that nobody
// closes, also where no deployment reads it.
func TestOpenPipe(t *testing.T) {
	const reply = "error: read the query's payload: interrupted by signal terminated\n"
	for _, tc := range []struct {
		args, env      []string
		status         int
		stdout, stderr string
	}{
		{[]string{"--detach"}, nil, 143, "", "stretcher: --detach: read event: interrupted by signal terminated\n"},
		{nil, []string{"SERF_EVENT=query", "SERF_QUERY_NAME=status"}, ExitGood, reply, ""},
	} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		late := time.AfterFunc(time.Minute, func() { _ = w.Close() }) // a test that fails must end
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(failure.Signal{Signal: syscall.SIGTERM})
		var stdout, stderr bytes.Buffer
		p := Process{Args: append([]string{"stretcher"}, tc.args...), Environ: append(tc.env, "HOME=/nowhere"),
			Stdin: r, Stdout: &stdout, Stderr: &stderr}
		status := Main(ctx, p, Actions{})
		if status != tc.status || stdout.String() != tc.stdout || stderr.String() != tc.stderr {
			t.Errorf("%q: status %d, printed %q, said %q", tc.args, status, &stdout, &stderr)
		}
		if late.Stop() {
			_ = w.Close()
		}
	}
}

// TestUnnamedFile: what a process in the background reads has never had a name
// that others could open it by, where the file system has such files.
func TestUnnamedFile(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	f, err := unnamedFile([]byte("s3://user:password@b/k"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if text, err := io.ReadAll(f); err != nil || string(text) != "s3://user:password@b/k" {
		t.Errorf("it holds %q, %v", text, err)
	}
	dir, err := disk.Open(os.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	other, err := disk.Unnamed(dir.Root())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := disk.Link(other, dir.Root(), "other"); err != nil {
		t.Skip("no files without a name here: ", err)
	}
	if err := disk.Link(f, dir.Root(), "event"); err != nil { // it refuses one whose name was removed
		t.Error(err)
	}
}
