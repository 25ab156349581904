package porter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"stretcher/internal/hooks"
	"stretcher/internal/testparts"
	"stretcher/internal/text/failure"
)

// hookProgram is the static program of the images, built once for all tests.
var hookProgram string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "hook-program-")
	if err != nil {
		panic(err)
	}
	hookProgram = filepath.Join(dir, "hook")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-ldflags=-s -w", "-o", hookProgram, "./testdata/hook")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		panic(fmt.Sprintf("%v: %s", err, out))
	}
	status := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(status)
}

const scratch = "FROM scratch\nCOPY hook /hook\nENTRYPOINT [\"/hook\"]\n"

// containers is a bench with a container engine, and a hook's directory,
// hook/Dockerfile, in its tree.
type containers struct {
	*bench
	parts testparts.ContainerEngine
}

func newContainers(t *testing.T, lists string) *containers {
	t.Helper()
	c := &containers{parts: testparts.Podman(t), bench: newBench(t, lists)}
	c.Engine = NewEngine(Config{Engine: c.parts.Path, EngineArgs: c.parts.Args, RunArgs: c.parts.Run}, os.Environ(), 1)
	c.Plugins = &Plugins{Dir: t.TempDir(), Environ: os.Environ()}
	c.scope.Own = []string{"STRETCHER_RUN_ID=run-1"}
	t.Setenv("TMPDIR", t.TempDir()) // for what the hooks leave there; the engine has another
	write(t, filepath.Join(c.scope.Tree, "hook/Dockerfile"), scratch, 0o644)
	program, err := os.ReadFile(hookProgram)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(c.scope.Tree, "hook/hook"), string(program), 0o755)
	return c
}

// printed is what hooks printed, without times and what the engine says of builds.
func (c *containers) printed(list string) []string {
	var lines []string
	for line := range strings.Lines(c.log.String()) {
		_, text, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " "+list+"[")
		if ok && strings.Contains(text, ": "+said) {
			lines = append(lines, list+"["+strings.Replace(text, said, "", 1))
		}
	}
	return lines
}

const said = "# "

func TestContainer(t *testing.T) {
	c := newContainers(t, `
  pre_provision:
  - dockerfile: hook/Dockerfile
    environment:
      DO: 'print # a;complain # b;read /repo_root/file;append /repo_root/written yes;env FOO BAZ NONE LINES SHOWN;env
        PORTER_SERVICE_NAME PORTER_SERVICE_VERSION STRETCHER_RUN_ID HAPROXY_STATS_URL;env
        HIDDEN http_proxy STRETCHER_HOOK_ID'
      FOO: bar baz "quoted" # and on
      BAZ:
      NONE:
      LINES: "one\ntwo"
  - dockerfile: hook/Dockerfile
    environment: {DO: 'read /repo_root/written;exit 7'}
  - run: touch never
`)
	c.Mask = nil // to see the values
	c.scope.Environ = append(os.Environ(), "BAZ=caller", "HIDDEN=x", "HAPROXY_STATS_URL=http://h", "http_proxy=http://p")
	c.scope.Base, c.Engine.environ = c.scope.Environ, c.scope.Environ
	write(t, filepath.Join(c.scope.Tree, "file"), "content", 0o644)
	err := c.at(t, hooks.PreSync, false)
	if err == nil || !strings.Contains(err.Error(), `porter hook "pre_provision[1]": exit status 7`) {
		t.Errorf("err = %v\n%s", err, &c.log)
	}
	log := c.log.String()
	for _, want := range []string{
		`[0]: # a`, `[0]: # b`, `[0]: read "content"`, `[0]: FOO="bar baz \"quoted\"" true`, `[0]: BAZ="caller" true`,
		`[0]: NONE="" false`,
		`[0]: LINES="one\ntwo" true`, `[0]: PORTER_SERVICE_NAME="app" true`, `[0]: PORTER_SERVICE_VERSION="7" true`,
		`[0]: STRETCHER_RUN_ID="run-1" true`, `[0]: HAPROXY_STATS_URL="http://h" true`, `[0]: HIDDEN="" false`,
		`[0]: http_proxy="" false`,
		`[0]: STRETCHER_HOOK_ID="" false`, `[1]: read "yes\n"`,
	} {
		if !strings.Contains(log, " pre_provision"+want+"\n") {
			t.Errorf("no %q in the log:\n%s", want, log)
		}
	}
	if got := c.told(t, "written"); got != "yes\n" {
		t.Errorf("the hook wrote %q", got)
	}
	if got := c.ran(); len(got) != 2 || c.outcomes[1].Result.Exit != 7 {
		t.Errorf("ran %q, %+v", got, c.outcomes)
	}
	c.nothingLeft(t)
}

// TestContainerOfTheCopy: an image is built from the copy of the archive, not
// from what is deployed, and what is deployed is mounted.
func TestContainerOfTheCopy(t *testing.T) {
	c := newContainers(t, `
  post_promote: [{dockerfile: hook/Dockerfile, environment: {DO: read /repo_root/file}}]
`)
	c.scope.Programs, c.scope.Tree = c.scope.Tree, t.TempDir()
	write(t, filepath.Join(c.scope.Tree, "file"), "deployed", 0o644)
	write(t, filepath.Join(c.scope.Tree, "hook/Dockerfile"), "FROM scratch\nCOPY evil /\n", 0o644)
	write(t, filepath.Join(c.scope.Tree, "hook/hook"), "evil", 0o755)
	if err := c.at(t, hooks.PostLaunch, false); err != nil || !strings.Contains(c.log.String(), `read "deployed"`) {
		t.Errorf("%v\n%s", err, &c.log)
	}
	c.nothingLeft(t)
}

// nothingLeft checks that no container and no private file is left.
func (c *containers) nothingLeft(t *testing.T) {
	t.Helper()
	if names := c.parts.Containers(t); len(names) > 0 {
		t.Errorf("containers %q are left", names)
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("files %v are left, %v", left, err)
	}
}

func TestContainerThatHangs(t *testing.T) {
	for _, tt := range []struct {
		name, timeout string
		cancel        bool
	}{{"timeout", "timeout: 20", false}, {"cancelled", "", true}} {
		t.Run(tt.name, func(t *testing.T) {
			c := newContainers(t, `
  pre_pack:
  - dockerfile: hook/Dockerfile
    `+tt.timeout+`
    environment: {DO: 'append /repo_root/started x;hang'}
  - run: touch never
`)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			enough := errors.New("enough")
			if tt.cancel {
				go func() {
					for ; ctx.Err() == nil; time.Sleep(10 * time.Millisecond) {
						if _, err := os.Stat(filepath.Join(c.scope.Tree, "started")); err == nil {
							cancel(enough)
						}
					}
				}()
			}
			err := c.runner.Run(ctx, hooks.PreFetch, c.hooksAt(hooks.PreFetch), false)
			if tt.cancel && !errors.Is(err, enough) ||
				!tt.cancel && (err == nil || !strings.Contains(err.Error(), "timed out after 20s")) {
				t.Errorf("err = %v", err)
			}
			if c.told(t, "started") == "" || c.outcomes[0].Result.TimedOut == tt.cancel {
				t.Errorf("outcome %+v", c.outcomes[0])
			}
			c.nothingLeft(t)
		})
	}
}

// TestConcurrentContainers: each waits for the other.
func TestConcurrentContainers(t *testing.T) {
	c := newContainers(t, `
  pre_pack:
  - dockerfile: hook/Dockerfile
    concurrent: true
    environment: {DO: 'append /repo_root/a x;await /repo_root/b;print # first'}
  - dockerfile: hook/Dockerfile
    concurrent: true
    environment: {DO: 'append /repo_root/b x;await /repo_root/a;print # second'}
  - {dockerfile: hook/Dockerfile, environment: {DO: 'print # third'}}
`)
	if err := c.at(t, hooks.PreFetch, false); err != nil {
		t.Fatalf("%v\n%s", err, &c.log)
	}
	lines := c.printed("pre_pack")
	if len(lines) != 3 || lines[2] != "pre_pack[2]: third" {
		t.Errorf("printed %q", lines)
	}
	c.nothingLeft(t)
}

func TestPlugin(t *testing.T) {
	c := newContainers(t, "  smoke: [{run: x}, {run: x}]\n")
	r := newRepository(t)
	program := read(t, hookProgram)
	first := r.commit("Dockerfile", scratch+"ENV DO=\"print default\"\n", "hook", program,
		"other/file", scratch+"ENV DO=\"print other;read /repo_root/file\"\n", "other/hook", program)
	r.run(r.work, "tag", "v1")
	r.push()
	c.Lists["smoke"] = []Entry{{Repo: r.url, Ref: "v1"}, {Repo: r.url, Ref: first, Dockerfile: "other/file"}}
	write(t, filepath.Join(c.scope.Tree, "file"), "of the tree", 0o644)
	list, err := c.Named("smoke", c.scope, nil)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	c.runner.Stdout = &out
	exit, err := RunNamed(t.Context(), c.runner, list)
	if exit != 0 || err != nil {
		t.Fatalf("%d, %v\n%s", exit, err, &c.log)
	}
	if want := "default\nother\nread \"of the tree\"\n"; out.String() != want {
		t.Errorf("stdout %q, want %q: builds must not be in it", &out, want)
	}
	c.nothingLeft(t)
}

func TestBuildFails(t *testing.T) {
	c := newContainers(t, "  pre_pack: [{dockerfile: hook/Dockerfile}]\n")
	write(t, filepath.Join(c.scope.Tree, "hook/Dockerfile"), "FROM scratch\nCOPY none /\n", 0o644)
	err := c.at(t, hooks.PreFetch, false)
	if err == nil || !strings.Contains(err.Error(), `"pre_pack[0]": build: exit status 125`) {
		t.Errorf("err = %v", err)
	}
	if log := c.log.String(); !strings.Contains(log, "pre_pack[0]: ") || !strings.Contains(log, "none") {
		t.Errorf("the engine's reason is not in the log:\n%s", log)
	}
	c.nothingLeft(t)
}

// TestRemoveRun ends what a run whose process died has left behind.
func TestRemoveRun(t *testing.T) {
	c := newContainers(t, `
  pre_pack: [{dockerfile: hook/Dockerfile, environment: {DO: 'append /repo_root/started x;hang'}}]
`)
	died := errors.New("died")
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.runner.Run(ctx, hooks.PreFetch, c.hooksAt(hooks.PreFetch), false) }()
	testparts.WaitFor(t, "the container to run", func() bool {
		_, err := os.Stat(filepath.Join(c.scope.Tree, "started"))
		return err == nil
	})
	if err := c.Engine.RemoveRun(t.Context(), "run-2"); err != nil {
		t.Error(err)
	}
	if names := c.parts.Containers(t); len(names) != 1 || !strings.HasPrefix(names[0], "stretcher-run-1-pre_pack-0") {
		t.Errorf("containers %q; another run's must stay", names)
	}
	if err := c.Engine.RemoveRun(t.Context(), "run-1"); err != nil {
		t.Error(err)
	}
	if names := c.parts.Containers(t); len(names) != 0 {
		t.Errorf("containers %q are left", names)
	}
	cancel(died)
	if err := <-ended; err == nil {
		t.Error("a hook whose container was killed is good")
	}
}

func TestEngineIsFound(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	find := func(cfg Config) (string, error) { return NewEngine(cfg, nil, 0).Find(t.Context()) }
	if _, err := find(Config{}); !errors.Is(err, ErrNoEngine) ||
		!strings.Contains(err.Error(), `"podman" is not installed, "docker" is not installed`) {
		t.Errorf("err = %v", err)
	}
	write(t, filepath.Join(dir, "docker"), "#!/bin/sh\nexit 1\n", 0o755)
	if _, err := find(Config{}); !errors.Is(err, ErrNoEngine) ||
		!strings.Contains(err.Error(), `the daemon of "docker" does not answer`) {
		t.Errorf("err = %v", err)
	}
	write(t, filepath.Join(dir, "docker"), "#!/bin/sh\ntest \"$1 $2\" = '--host x'\n", 0o755)
	write(t, filepath.Join(dir, "podman-remote"), "", 0o755)
	for want, cfg := range map[string]Config{
		"docker": {EngineArgs: []string{"--host", "x"}}, "podman-remote": {Engine: "podman-remote"},
	} {
		if got, err := find(cfg); got != filepath.Join(dir, want) || err != nil {
			t.Errorf("%+v: %q, %v", cfg, got, err)
		}
	}
	write(t, filepath.Join(dir, "podman"), "", 0o755)
	if got, err := find(Config{EngineArgs: []string{"--host", "x"}}); got != filepath.Join(dir, "podman") || err != nil {
		t.Errorf("%q, %v; podman goes first", got, err)
	}
	if _, err := find(Config{Engine: "nerdctl"}); !errors.Is(err, ErrNoEngine) {
		t.Errorf("err = %v", err)
	}
}

// TestEngineIsJudged: an engine that others may write is not passed over for
// another, and not started.
func TestEngineIsJudged(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", filepath.Join(dir, "open")+":"+filepath.Join(dir, "good"))
	for _, name := range []string{"open/podman", "good/docker", "good/podman"} {
		write(t, filepath.Join(dir, name), "#!/bin/sh\ntouch "+dir+"/started\n", 0o755)
	}
	for mode, change := range map[string]fs.FileMode{"open": 0o777, "open/podman": 0o775} {
		if err := os.Chmod(filepath.Join(dir, mode), change); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"", "podman", filepath.Join(dir, "open/podman")} {
			e := NewEngine(Config{Engine: name}, nil, 0)
			_, err := e.Find(t.Context())
			for _, err := range []error{err, e.Allowed()} {
				if !errors.Is(err, failure.ErrRefused) || !strings.Contains(err.Error(), "may be written by") {
					t.Errorf("%s, engine %q: %v", mode, name, err)
				}
			}
		}
		if err := os.Chmod(filepath.Join(dir, mode), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := NewEngine(Config{}, nil, 0).Allowed(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "started")); err == nil {
		t.Error("an engine was started")
	}
}

func TestNames(t *testing.T) {
	for in, want := range map[string]string{"pre_pack[0]": "pre_pack-0", "ä b/c": "b-c", "": ""} {
		if got := plain(in); got != want {
			t.Errorf("plain(%q) = %q, want %q", in, got, want)
		}
	}
	commit := strings.Repeat("a", 40)
	tags := []string{
		imageTag(commit, "app", "h[0]", &Entry{Repo: "r"}), imageTag(commit, "app", "h[0]",
			&Entry{Repo: "r", Dockerfile: "x"}),
		imageTag("", "app", "h[0]", &Entry{Dockerfile: "x"}), imageTag("", "app2", "h[0]", &Entry{Dockerfile: "x"}),
	}
	seen := map[string]bool{}
	for _, tag := range tags {
		seen[tag] = true
	}
	if len(seen) != len(tags) || !strings.HasPrefix(tags[0], "aaaaaaaaaaaa-") {
		t.Errorf("tags %q", tags)
	}
	if again := imageTag(commit, "other", "h[1]",
		&Entry{Repo: "r", Dockerfile: "Dockerfile"}); !reflect.DeepEqual(again, tags[0]) {
		t.Errorf("a plugin's image differs by service or hook: %q, %q", again, tags[0])
	}
}
