package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"stretcher/internal/fetch/checksum"
	"stretcher/internal/testparts"
)

// TestMain makes this test binary act as stretcher when scripts run it under
// that name.
func TestMain(m *testing.M) {
	testparts.Wide()
	testscript.Main(m, map[string]func(){"stretcher": main})
}

// TestScript runs the scripts below testdata/script. They drive the program
// through its command line alone. Beside testscript's own commands they have
//
//	exits CODE PROGRAM [ARG...]   run in the foreground, the exit status must be CODE
//	spawn NAME PROGRAM [ARG...]   run in the background
//	signal NAME SIGNAL            send TERM, INT, HUP or KILL to a spawned program
//	ended NAME CODE               wait for it; a signal that ended it counts as 128 + its number
//	waitfor FILE                  wait until FILE is there
//	subst FILE...                 replace @NAME@ by the variable NAME
//	sum ALGORITHM FILE NAME       put FILE's checksum into the variable NAME
//	serve DIR                     serve DIR and some broken ways to do it (see testparts.Server); sets HTTP
//	clean                         no temporary file and no process has been left behind
//	need PROGRAM                  skip, or in CI fail, without PROGRAM
//
// With STRETCHER_UPDATE_SCRIPTS=1, cmp writes what it finds into the script.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setupScript,
		Condition:           condition,
		Cmds:                scriptCmds(),
		UpdateScripts:       os.Getenv("STRETCHER_UPDATE_SCRIPTS") != "",
	})
}

// scriptCmds are the commands of TestScript's comment, those of fixtureCmds and
// those of pinCmds.
func scriptCmds() map[string]func(*testscript.TestScript, bool, []string) {
	cmds := map[string]func(*testscript.TestScript, bool, []string){
		"exits": cmdExits, "spawn": cmdSpawn, "signal": cmdSignal, "ended": cmdEnded,
		"waitfor": cmdWaitFor, "subst": cmdSubst, "sum": cmdSum, "serve": cmdServe,
		"clean": cmdClean, "need": cmdNeed,
	}
	maps.Copy(cmds, fixtureCmds())
	maps.Copy(cmds, pinCmds())
	return cmds
}

// condition adds [root]: the tests run as root.
func condition(name string) (bool, error) {
	if name == "root" {
		return os.Getuid() == 0, nil
	}
	return false, fmt.Errorf("unknown condition %q", name)
}

// setupScript gives each script its own temporary directory and home, and
// none of the environment that would make a run mean something else.
func setupScript(env *testscript.Env) error {
	for _, dir := range []string{"tmp", "home"} {
		if err := os.MkdirAll(filepath.Join(env.WorkDir, dir), 0o755); err != nil {
			return err
		}
	}
	env.Setenv("TMPDIR", filepath.Join(env.WorkDir, "tmp"))
	env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
	env.Setenv("STRETCHER_STATE_DIR", filepath.Join(env.WorkDir, "state"))
	name, value, _ := strings.Cut(testparts.NoExitSleep, "=")
	env.Setenv(name, value)
	for _, name := range []string{"CONSUL_INDEX", "SERF_EVENT", "XDG_STATE_HOME", "AWS_PROFILE"} {
		env.Setenv(name, "")
	}
	env.Values["spawned"] = map[string]*spawned{}
	env.Values["t"] = env.T()
	env.Values["pinned"] = new([]string)
	return nil
}

// command prepares a program in the script's directory and environment.
func command(ts *testscript.TestScript, args []string) *exec.Cmd {
	path, err := exec.LookPath(args[0])
	if err != nil {
		ts.Fatalf("%v", err)
	}
	cmd := exec.Command(path, args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = scriptEnv(ts)
	if name := ts.Getenv("STDIN"); name != "" {
		f, err := os.Open(ts.MkAbs(name))
		ts.Check(err)
		ts.Defer(func() { _ = f.Close() })
		cmd.Stdin = f
	}
	return cmd
}

// scriptEnv is the script's environment; testscript gives it out one by one,
// so the names are those of the test process and those that scripts set.
func scriptEnv(ts *testscript.TestScript) []string {
	var out bytes.Buffer
	env, err := exec.LookPath("env")
	ts.Check(err)
	ts.Check(ts.Exec(env, "-0"))
	out.WriteString(ts.ReadFile("stdout"))
	return strings.Split(strings.TrimRight(out.String(), "\x00"), "\x00")
}

func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	cmd := command(ts, args[1:])
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	got := testparts.ExitStatus(cmd.Run())
	show(ts, stdout.Bytes(), stderr.Bytes())
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// show makes output the subject of the script's next stdout and stderr
// commands, and part of the test's log.
func show(ts *testscript.TestScript, stdout, stderr []byte) {
	_, _ = ts.Stdout().Write(stdout)
	_, _ = ts.Stderr().Write(stderr)
	if len(stdout)+len(stderr) < 32<<10 {
		ts.Logf("[stdout]\n%s[stderr]\n%s", stdout, stderr)
	}
}

type spawned struct {
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
	done           chan error
}

func cmdSpawn(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: spawn NAME PROGRAM [ARG...]")
	}
	s := &spawned{cmd: command(ts, args[1:]), done: make(chan error, 1)}
	s.cmd.Stdout, s.cmd.Stderr = &s.stdout, &s.stderr
	ts.Check(s.cmd.Start())
	go func() { s.done <- s.cmd.Wait() }()
	ts.Defer(func() { _ = s.cmd.Process.Kill() })
	ts.Value("spawned").(map[string]*spawned)[args[0]] = s
}

func spawnedNamed(ts *testscript.TestScript, name string) *spawned {
	s, ok := ts.Value("spawned").(map[string]*spawned)[name]
	if !ok {
		ts.Fatalf("nothing was spawned as %q", name)
	}
	return s
}

func cmdSignal(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]syscall.Signal{
		"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "HUP": syscall.SIGHUP, "KILL": syscall.SIGKILL,
	}
	if neg || len(args) != 2 || signals[args[1]] == 0 {
		ts.Fatalf("usage: signal NAME TERM|INT|HUP|KILL")
	}
	ts.Check(spawnedNamed(ts, args[0]).cmd.Process.Signal(signals[args[1]]))
}

func cmdEnded(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: ended NAME CODE")
	}
	s := spawnedNamed(ts, args[0])
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	select {
	case err = <-s.done:
	case <-time.After(testparts.Limit(2 * time.Minute)):
		_ = s.cmd.Process.Signal(syscall.SIGQUIT) // shows the goroutines
		<-s.done
		show(ts, s.stdout.Bytes(), s.stderr.Bytes())
		ts.Fatalf("%s did not end", args[0])
	}
	show(ts, s.stdout.Bytes(), s.stderr.Bytes())
	if got := testparts.ExitStatus(err); got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

func cmdWaitFor(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: waitfor FILE")
	}
	if !testparts.Eventually(func() bool { _, err := os.Stat(ts.MkAbs(args[0])); return err == nil }) {
		for _, s := range ts.Value("spawned").(map[string]*spawned) {
			ts.Logf("a spawned program is running or has said: %s", s.cmd)
		}
		ts.Fatalf("%s did not appear", args[0])
	}
}

func cmdSubst(ts *testscript.TestScript, neg bool, args []string) {
	for _, name := range args {
		text := ts.ReadFile(name)
		for _, kv := range scriptEnv(ts) {
			k, v, _ := strings.Cut(kv, "=")
			text = strings.ReplaceAll(text, "@"+k+"@", v)
		}
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o644))
	}
}

func cmdSum(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 || checksum.New(args[0]) == nil {
		ts.Fatalf("usage: sum md5|sha1|sha256|sha512 FILE NAME")
	}
	f, err := os.Open(ts.MkAbs(args[1]))
	ts.Check(err)
	defer f.Close()
	h := checksum.New(args[0])
	_, err = io.Copy(h, f)
	ts.Check(err)
	ts.Setenv(args[2], fmt.Sprintf("%x", h.Sum(nil)))
}

func cmdNeed(ts *testscript.TestScript, neg bool, args []string) {
	for _, name := range args {
		if _, err := exec.LookPath(name); err == nil {
			continue
		}
		if os.Getenv("CI") == "true" {
			ts.Fatalf("%s is not installed", name)
		}
		ts.Value("t").(testscript.T).Skip(name + " is not installed")
	}
}

// cmdClean fails when anything of a run is left below the script's directory
// or running with its environment.
func cmdClean(ts *testscript.TestScript, neg bool, args []string) {
	work := ts.Getenv("WORK")
	err := filepath.WalkDir(work, func(path string, d os.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(d.Name(), ".stretcher-") {
			ts.Fatalf("left behind: %s", path)
		}
		return nil
	})
	ts.Check(err)
	left := testparts.ProcessesOf(work)
	// A killed process may take a moment to be reaped by init.
	if !testparts.Eventually(func() bool { left = testparts.ProcessesOf(work); return len(left) == 0 }) {
		ts.Fatalf("processes left behind: %q", left)
	}
}

// cmdServe starts a server for the script.
func cmdServe(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: serve DIR")
	}
	url, stop := testparts.Serve(ts.MkAbs(args[0]), ts.MkAbs("requests"))
	ts.Defer(stop)
	ts.Setenv("HTTP", url)
}
