package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stretcher/internal/testparts"
)

// stranger is a user of no database, and of no other run of these tests.
func stranger(t *testing.T) *User {
	t.Helper()
	if os.Geteuid() != 0 {
		testparts.Missing(t, "only root becomes another user")
	}
	uid := 1<<24 + uint32(os.Getpid())
	return &User{Name: "stranger", UID: uid, GID: 54322, Groups: []uint32{54323, 54324}, Home: "/nowhere"}
}

// four is the user's number as a process's status has it.
func (u *User) four() string { return fmt.Sprintf("%[1]d %[1]d %[1]d %[1]d", u.UID) }

// asked runs a script as a user and returns what it printed.
func asked(t *testing.T, u *User, script string, change func(*Command)) string {
	t.Helper()
	var out bytes.Buffer
	c := sh(script)
	c.User, c.Stdout, c.Stderr = u, &out, &out
	if change != nil {
		change(&c)
	}
	if _, err := Run(t.Context(), c); err != nil {
		t.Fatalf("%v: %s", err, &out)
	}
	return out.String()
}

// status is a field of a process's status.
func status(t *testing.T, text, field string) string {
	t.Helper()
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.Join(strings.Fields(value), " ")
		}
	}
	t.Fatalf("no %s in %s", field, text)
	return ""
}

func TestChildIsTheUser(t *testing.T) {
	u := stranger(t)
	got := asked(t, u, "cat /proc/self/status", nil)
	for field, want := range map[string]string{
		"Uid": u.four(), "Gid": "54322 54322 54322 54322", "Groups": "54323 54324", "NoNewPrivs": "1",
		"CapPrm": "0000000000000000", "CapEff": "0000000000000000", "CapAmb": "0000000000000000",
	} {
		if is := status(t, got, field); is != want {
			t.Errorf("%s is %q, want %q", field, is, want)
		}
	}
	if got := asked(t, u, "pwd; readlink /proc/self/cwd", nil); got != "/\n/\n" {
		t.Errorf("it works in %q", got)
	}
	if got := asked(t, u, `set -- $(cat /proc/$$/stat); echo $(($1 - $5)) $(($1 - $6)) $7`, nil); got != "0 0 0\n" {
		t.Errorf("less its number, its group, session and terminal are %q", got)
	}
}

// TestUserComesByTheRoot: a directory is out of reach if what is above it is,
// though the parent is there or has it open.
func TestUserComesByTheRoot(t *testing.T) {
	u := stranger(t)
	closed := t.TempDir()
	work := filepath.Join(closed, "work", "sub")
	if err := os.MkdirAll(work, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	open, err := os.Open(filepath.Dir(work))
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	t.Chdir(filepath.Dir(work))
	for _, dir := range []string{work, "sub", "/proc/self/cwd/sub", fmt.Sprintf("/proc/self/fd/%d/sub", open.Fd())} {
		var out bytes.Buffer
		c := sh("echo is here")
		c.User, c.Dir, c.Stdout, c.Stderr = u, dir, &out, &out
		if _, err := Run(t.Context(), c); err == nil || strings.Contains(out.String(), "is here") {
			t.Errorf("%s: %v, %s", dir, err, &out)
		}
	}
	if got := asked(t, u, "pwd; echo $0 $1", func(c *Command) {
		c.Dir, c.Args = "/usr", append(c.Args, "zero", "one and a half")
	}); got != "/usr\nzero one and a half\n" {
		t.Errorf("got %q", got)
	}
}

// TestParentStaysItself runs children of both kinds at the same time: what is
// taken from one thread must be missing nowhere else.
func TestParentStaysItself(t *testing.T) {
	u := stranger(t)
	ended := make(chan string)
	for i := range 20 {
		go func() {
			var out bytes.Buffer
			c := Command{Path: "cat", Args: []string{"/proc/self/status"}, Stdout: &out}
			want := "0 0 0 0 0"
			if i%2 == 0 {
				c.User, want = u, u.four()+" 1"
			}
			_, err := Run(t.Context(), c)
			is := status(t, out.String(), "Uid") + " " + status(t, out.String(), "NoNewPrivs")
			if is != want {
				err = fmt.Errorf("%d is %q, want %q, %w", i, is, want, err)
			}
			ended <- fmt.Sprint(err)
		}()
	}
	for range 20 {
		if said := <-ended; said != "<nil>" {
			t.Error(said)
		}
	}
	threads, _ := filepath.Glob("/proc/self/task/*/status")
	for _, name := range threads {
		text, err := os.ReadFile(name)
		if err != nil { // it has ended
			continue
		}
		if uid := status(t, string(text), "Uid"); uid != "0 0 0 0" {
			t.Errorf("%s: uid %s", name, uid)
		}
	}
	name := filepath.Join(t.TempDir(), "made")
	asked(t, u, "true", func(c *Command) {
		c.Started = func(int) {
			if err := os.WriteFile(name, nil, 0o600); err != nil {
				t.Error(err)
			}
		}
	})
	var st unix.Stat_t
	if err := unix.Stat(name, &st); err != nil || st.Uid != 0 || st.Gid != 0 {
		t.Errorf("what is made meanwhile is of uid %d, gid %d: %v", st.Uid, st.Gid, err)
	}
}

func TestStreamsOfTheUserOpenByName(t *testing.T) {
	u := stranger(t)
	got := asked(t, u, "cat /dev/stdin; echo out >/dev/stdout; echo err >/dev/stderr; echo again >/proc/self/fd/1",
		func(c *Command) { c.Stdin = strings.NewReader("in\n") })
	if got != "in\nout\nerr\nagain\n" {
		t.Errorf("got %q", got)
	}
	if got := asked(t, u, "readlink /proc/self/fd/0", nil); got != "/dev/null\n" {
		t.Errorf("stdin is %q", got)
	}
}

// TestNoDescriptorGoesOn leaves files open as the parent of a program does that
// forgets them.
func TestNoDescriptorGoesOn(t *testing.T) {
	u := stranger(t)
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	left, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD, 60) // without FD_CLOEXEC
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(left)
	also := func(c *Command) { c.Stdout = io.MultiWriter(c.Stdout, f) }
	if got := asked(t, u, "ls -1 /proc/$$/fd", also); got != "0\n1\n2\n" {
		t.Errorf("it has the descriptors %q", got)
	}
	if got := asked(t, u, "readlink /proc/$$/fd/1", func(c *Command) { c.Stderr = f }); !strings.HasPrefix(got, "pipe:") {
		t.Errorf("stdout is %q", got)
	}
}

func TestKeepEach(t *testing.T) {
	left, err := unix.FcntlInt(0, unix.F_DUPFD, 60) // without FD_CLOEXEC
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(left)
	if err := keepEach(); err != nil {
		t.Fatal(err)
	}
	for fd, want := range map[int]int{1: 0, left: unix.FD_CLOEXEC} {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags != want {
			t.Errorf("descriptor %d has flags %d, want %d: %v", fd, flags, want, err)
		}
	}
}

func TestNobodyGainsByASetuidProgram(t *testing.T) {
	u := stranger(t)
	dir := t.TempDir()
	for path := dir; path != filepath.Clean(os.TempDir()) && path != "/"; path = filepath.Dir(path) {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	id, err := os.ReadFile("/usr/bin/id")
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "id")
	if err := os.WriteFile(name, id, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, 0o755|os.ModeSetuid|os.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	if got := asked(t, u, name+" -u; "+name+" -g", nil); got != fmt.Sprintf("%d\n54322\n", u.UID) {
		t.Errorf("a setuid program makes it %q", got)
	}
}

// TestRootEndsWhatIsTheUsers ends a group whose members belong to another user
// and ignore TERM.
func TestRootEndsWhatIsTheUsers(t *testing.T) {
	u := stranger(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	pids := &bytes.Buffer{}
	ready := &onLine{w: pids, then: func() { cancel(errors.New("over")) }}
	c := sh("trap '' TERM; (trap '' TERM; while :; do sleep 0.1; done) & echo $$ $!; wait; wait")
	c.User, c.Stdout = u, ready
	if _, err := Run(ctx, c); err == nil || !strings.Contains(err.Error(), "stopped: over") {
		t.Errorf("err = %v", err)
	}
	found := strings.Fields(pids.String())
	if len(found) != 2 {
		t.Fatalf("it printed %q", pids)
	}
	for _, word := range found {
		pid, _ := strconv.Atoi(word)
		if e, there := lookUp(pid); there && !e.Zombie {
			t.Errorf("process %d goes on", pid)
		}
	}
}

// onLine calls then after the first line.
type onLine struct {
	w    io.Writer
	then func()
}

func (o *onLine) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	if bytes.ContainsRune(p, '\n') {
		o.then()
	}
	return n, err
}

func TestVariableOfAnotherUsersProcess(t *testing.T) {
	u := stranger(t)
	const mark = "STRETCHER_TEST=of another user"
	has := false
	asked(t, u, "read line", func(c *Command) {
		hold, release := io.Pipe()
		c.Env, c.Stdin = []string{mark}, hold
		c.Started = func(pid int) {
			defer release.Close()
			has = slices.ContainsFunc(Table(), func(e Entry) bool { return e.PID == pid && e.HasVariable(mark) })
			_, _ = release.Write([]byte("go on\n"))
		}
	})
	if !has {
		t.Error("its environment was not found")
	}
}

func TestProgramThatTheUserMayNotRun(t *testing.T) {
	u := stranger(t)
	name := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(name, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	const cannotRun = 126
	res, err := Run(t.Context(), Command{Path: name, User: u, Stderr: &out})
	if err == nil || res.Exit != cannotRun || !strings.Contains(out.String(), name) {
		t.Errorf("%+v, %v: %s", res, err, &out)
	}
}

func TestLookupUser(t *testing.T) {
	if _, err := LookupUser("no such user"); !errors.Is(err, ErrUser) {
		t.Errorf("err = %v", err)
	}
	if _, err := LookupUser("4000000001"); !errors.Is(err, ErrUser) {
		t.Errorf("err = %v", err)
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{me.Username, me.Uid} {
		u, err := LookupUser(name)
		if err != nil || strconv.Itoa(int(u.UID)) != me.Uid || u.Home != me.HomeDir || len(u.Groups) == 0 {
			t.Errorf("%q: %+v, %v", name, u, err)
		}
	}
	for _, tc := range []struct {
		uid    uint32
		caller int
		want   bool
	}{
		{0, 0, true}, {1000, 0, true}, {1000, 1000, true}, {1000, 1001, false}, {0, 1000, false}, {4294967295, -1, false},
	} {
		if err := (&User{UID: tc.uid}).Allowed(tc.caller); (err == nil) != tc.want {
			t.Errorf("%+v: %v", tc, err)
		}
	}
}

// TestUserStopsItsChildren stops children between the moment at which they are the
// user's and that at which they run their program, again and again.
func TestUserStopsItsChildren(t *testing.T) {
	u := stranger(t)
	perl := testparts.Need(t, "perl")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	stopped, ready := make(chan error, 1), make(chan struct{})
	go func() {
		_, err := Run(ctx, Command{Path: perl, Args: []string{"-e", `$| = 1; print "\n"; kill "STOP", -1 while 1`},
			Grace: NoGrace, User: u, Stdout: &onLine{io.Discard, func() { close(ready) }}})
		stopped <- err
	}()
	select {
	case <-ready:
	case err := <-stopped:
		t.Fatalf("perl has stopped nothing: %v", err)
	}
	for range 5 {
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			c := Command{Path: "true", User: u, Timeout: 100 * time.Millisecond, Grace: NoGrace}
			if res, err := Run(ctx, c); err != nil && !res.TimedOut {
				t.Errorf("%+v, %v", res, err)
			}
		}()
		testparts.WaitFor(t, "the end of a child that was stopped", func() bool {
			select {
			case <-ended:
				return true
			default:
				return false
			}
		})
	}
	stop()
	<-stopped
}

func TestPanicComesToTheCaller(t *testing.T) {
	u := stranger(t)
	defer func() {
		if p := recover(); p != "started" {
			t.Errorf("panic: %v", p)
		}
	}()
	_, _ = Run(t.Context(), Command{Path: "true", User: u, Started: func(int) { panic("started") }})
}

func TestUserTimesOut(t *testing.T) {
	u := stranger(t)
	c := sh("sleep 600")
	c.User, c.Timeout = u, 50*time.Millisecond
	if res, err := Run(t.Context(), c); !res.TimedOut || err == nil {
		t.Errorf("%+v, %v", res, err)
	}
}
