//go:build linux

package process

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stretcher/internal/testparts"
)

func sh(script string) Command {
	return Command{Path: "sh", Args: []string{"-c", script}, Grace: 200 * time.Millisecond}
}

func TestRunReportsHowTheChildEnded(t *testing.T) {
	const short, long = 200 * time.Millisecond, time.Minute
	for _, tc := range []struct {
		name, script string
		grace        time.Duration // of one that hangs, which makes the file $0 first
		exit         int
		signal       syscall.Signal
		timedOut     bool
		message      string
	}{
		{"success", "exit 0", 0, 0, 0, false, ""},
		{"status", "exit 3", 0, 3, 0, false, "exit status 3"},
		{"signal", "kill -9 $$", 0, -1, syscall.SIGKILL, false, "killed by signal 9 (killed)"},
		{"timeout", ": >$0; sleep 600", long, -1, syscall.SIGTERM, true, "timed out after "},
		{"timeout, graceful", "trap 'exit 4' TERM; : >$0; while :; do sleep 0.01; done", long, 4, 0, true,
			"timed out after "},
		{"timeout, exit 0 at TERM", "trap 'exit 0' TERM; : >$0; while :; do sleep 0.01; done", long, 0, 0, true,
			"timed out after "},
		{"timeout, TERM ignored", "trap '' TERM; : >$0; while :; do sleep 0.01; done", short, -1, syscall.SIGKILL, true,
			"timed out after "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res, err := Result{}, error(nil)
			if tc.grace == 0 {
				res, err = Run(t.Context(), sh(tc.script))
			} else {
				res, err = hung(t, tc.script, tc.grace)
				tc.message += res.Limit.String()
			}
			if res.Exit != tc.exit || res.Signal != tc.signal || res.TimedOut != tc.timedOut {
				t.Errorf("result = %+v", res)
			}
			var exit *ExitError
			if tc.message == "" {
				if err != nil {
					t.Fatalf("err = %v", err)
				}
			} else if !errors.As(err, &exit) || !strings.Contains(err.Error(), tc.message) {
				t.Errorf("err = %v, want an ExitError with %q", err, tc.message)
			}
		})
	}
}

// hung runs a script that makes the file $0 when it has come to where its
// timeout shall find it.
func hung(t *testing.T, script string, grace time.Duration) (res Result, err error) {
	t.Helper()
	testparts.UntilReady(t, func(limit time.Duration, ready string) {
		c := sh(script)
		c.Args = append(c.Args, ready)
		c.Timeout, c.Grace = limit, grace
		res, err = Run(t.Context(), c)
	})
	return res, err
}

func TestNoGraceIsKillAtOnce(t *testing.T) {
	if res, err := hung(t, "trap 'exit 4' TERM; : >$0; while :; do sleep 0.01; done",
		NoGrace); res.Signal != syscall.SIGKILL || !res.TimedOut || err == nil {
		t.Errorf("result = %+v, err = %v", res, err)
	}
}

func TestArgv0(t *testing.T) {
	for argv0, want := range map[string]string{"": "/bin/sh", "other": "other"} {
		var out bytes.Buffer
		c := Command{Path: "/bin/sh", Argv0: argv0,
			Args: []string{"-c", "tr '\\0' '\\n' </proc/$$/cmdline | head -n 1"}, Stdout: &out}
		if _, err := Run(t.Context(), c); err != nil || strings.TrimSpace(out.String()) != want {
			t.Errorf("argv[0] %q: %q, %v; want %q", argv0, out.String(), err, want)
		}
	}
}

func TestRunStartErrors(t *testing.T) {
	_, err := Run(t.Context(), Command{Path: "/no/such/program"})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("err = %v, want ErrNotExist", err)
	}
	c := sh("true")
	c.Dir = "/no/such/dir"
	if _, err := Run(t.Context(), c); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("err = %v, want ErrNotExist", err)
	}
}

func TestCancelledContextStartsNothing(t *testing.T) {
	cause := errors.New("told to stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	mark := filepath.Join(t.TempDir(), "mark")
	if _, err := Run(ctx, sh("touch "+mark)); !errors.Is(err, cause) {
		t.Errorf("err = %v, want the cause", err)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("the child ran")
	}
}

// startWithChild runs a leader that waits for a child, both ignoring TERM or
// not, and returns the child's pid once it is there.
func waitForPid(t *testing.T, file string) int {
	t.Helper()
	for range 12000 {
		if b, err := os.ReadFile(file); err == nil && bytes.HasSuffix(b, []byte("\n")) {
			pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("no pid in %s", file)
	return 0
}

func gone(pid int) bool {
	for range 12000 {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil || strings.Contains(string(b), ") Z ") {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

func TestCancelEndsTheWholeGroup(t *testing.T) {
	for _, trap := range []string{"", "trap '' TERM;"} {
		t.Run("trap="+trap, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "pid")
			cause := errors.New("told to stop")
			ctx, cancel := context.WithCancelCause(t.Context())
			done := make(chan error, 1)
			go func() {
				_, err := Run(ctx, sh(trap+"sh -c '"+strings.ReplaceAll(trap, "'",
					`'\''`)+"echo $$ >"+file+"; while :; do sleep 0.01; done' & wait; sleep 60"))
				done <- err
			}()
			pid := waitForPid(t, file)
			cancel(cause)
			if err := <-done; !errors.Is(err, cause) {
				t.Errorf("err = %v, want the cause", err)
			}
			if !gone(pid) {
				t.Errorf("grandchild %d is still there", pid)
			}
		})
	}
}

// TestMembersThatOutliveTheLeader: the leader dies of TERM at once. A member of
// its group gets the rest of the grace for what it does about TERM, and KILL
// when it does nothing: it would go on beside the next run.
func TestMembersThatOutliveTheLeader(t *testing.T) {
	for _, tc := range []struct {
		name, trap string
		grace      time.Duration
		finishes   bool
	}{
		{"ignores TERM", "trap '' TERM", 200 * time.Millisecond, false},
		{"takes its time", "trap 'sleep 0.5; : >$0.done; exit' TERM", time.Hour, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "pid")
			member := tc.trap + "; echo $$ >$0; while :; do sleep 0.01; done"
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() {
				c := Command{Path: "sh", Args: []string{"-c", `sh -c "$1" "$0" & wait`, file, member}, Grace: tc.grace}
				_, err := Run(ctx, c)
				done <- err
			}()
			pid := waitForPid(t, file)
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("err = %v", err)
			}
			_, err := os.Stat(file + ".done")
			if (err == nil) != tc.finishes {
				t.Errorf("the member has finished what it does: %v, want %v", err == nil, tc.finishes)
			}
			if !gone(pid) {
				t.Errorf("the member %d is still there", pid)
			}
		})
	}
}

func TestBackgroundChildDoesNotBlockAndLives(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	var out bytes.Buffer
	c := sh("sleep 300 & echo $! >" + file + "; echo started")
	c.Stdout = &out
	res, err := Run(t.Context(), c)
	if err != nil || !res.Held {
		t.Errorf("res = %+v, err = %v; want success with Held", res, err)
	}
	if out.String() != "started\n" {
		t.Errorf("output = %q", out.String())
	}
	pid := waitForPid(t, file)
	if err := syscall.Kill(pid, 0); err != nil {
		t.Errorf("the background child was ended: %v", err)
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
}

func TestStdinThatIsNotRead(t *testing.T) {
	c := sh("exit 0")
	c.Stdin = bytes.NewReader(make([]byte, 4<<20))
	if _, err := Run(t.Context(), c); err != nil {
		t.Errorf("err = %v", err)
	}
}

func TestStartedGivesTheGroup(t *testing.T) {
	var pid int
	var out bytes.Buffer
	c := sh("ps -o pgid= -p $$")
	c.Stdout, c.Started = &out, func(p int) { pid = p }
	if _, err := Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(out.String()); got != strconv.Itoa(pid) {
		t.Errorf("process group %s, Started said %d", got, pid)
	}
}

// TestZombiesAreNotWaitedFor leaves an orphan that nobody reaps until this
// process, its new parent, ends: the group must count as gone all the same.
func TestZombiesAreNotWaitedFor(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Skip(err)
	}
	defer func() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) }()
	file := filepath.Join(t.TempDir(), "pid")
	c := sh("sleep 300 & echo $! >" + file + "; wait")
	c.Grace = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := Run(ctx, c)
		done <- err
	}()
	pid := waitForPid(t, file)
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("err = %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("still waiting for a zombie")
	}
	var ws syscall.WaitStatus
	_, _ = syscall.Wait4(pid, &ws, 0, nil)
}

// TestExtraFiles: a child reads a directory that it knows by its descriptor
// alone.
func TestExtraFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out strings.Builder
	c := Command{Path: "ls", Args: []string{"/proc/self/fd/3/"}, Stdout: &out, ExtraFiles: []*os.File{f}}
	if _, err := Run(t.Context(), c); err != nil || out.String() != "file\n" {
		t.Errorf("it read %q, %v", out.String(), err)
	}
}

// TestNothingIsLeftAfterKill: when Run returns, no member of the group works
// any more, however many there are to be killed.
func TestNothingIsLeftAfterKill(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	group := 0
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := Run(ctx, Command{
			Path: "sh", Grace: NoGrace, Started: func(pid int) { group = pid },
			Args: []string{"-c", "for i in $(seq 60); do (while :; do :; done) & done; echo $$ >$0; wait", file},
		})
		done <- err
	}()
	waitForPid(t, file)
	cancel()
	<-done
	if !groupGone(group) {
		t.Errorf("members of group %d are still there", group)
	}
}
