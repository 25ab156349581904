package lock

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stretcher/internal/testparts/again"
)

const long = time.Minute // far longer than any wait here should be

func TestMain(m *testing.M) { os.Exit(again.Main(m, child)) }

// child is another process: DIR DEST has the lock, without arguments it only
// stays until it is killed.
func child(args []string) error {
	if len(args) > 0 {
		return hold(args[0], args[1])
	}
	return stay()
}

func stay() error {
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// hold takes the lock, starts a child of its own, says so and stays.
func hold(dir, dest string) error {
	_, err := Acquire(context.Background(), dir, dest, Info{PID: os.Getpid(), Run: "child-run"}, Wait{})
	if err != nil {
		return err
	}
	child := again.Command()
	child.Stdin = os.Stdin // ends with the test's pipe, not with this process
	if err := child.Start(); err != nil {
		return err
	}
	fmt.Println("locked")
	return stay()
}

func startHolder(t *testing.T, dir, dest string) *exec.Cmd {
	t.Helper()
	cmd := again.Command(dir, dest)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "locked\n" {
		t.Fatalf("holder says %q, %v", line, err)
	}
	return cmd
}

func mustAcquire(t *testing.T, dir, dest string) func() error {
	t.Helper()
	unlock, err := Acquire(t.Context(), dir, dest, Info{PID: os.Getpid(), Run: "test-run"}, Wait{Max: long})
	if err != nil {
		t.Fatal(err)
	}
	return unlock
}

func isFree(t *testing.T, dir, dest string) bool {
	t.Helper()
	unlock, err := Acquire(t.Context(), dir, dest, Info{}, Wait{})
	if err == nil {
		err = unlock()
	} else if errors.Is(err, ErrHeld) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	return true
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func TestUnlockLeavesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "locks")
	unlock := mustAcquire(t, dir, "/srv/app")
	files := names(t, dir)
	if len(files) != 1 || !strings.HasPrefix(files[0], "app-") {
		t.Errorf("lock files %q, want one named after app", files)
	}
	if got, ok := readInfo(filepath.Join(dir, files[0])); !ok || got != (Info{os.Getpid(), "test-run"}) {
		t.Errorf("lock file says %+v, %v", got, ok)
	}
	if isFree(t, dir, "/srv/app") {
		t.Error("free while it is held")
	}
	if !isFree(t, dir, "/srv/other") {
		t.Error("another dest is not free")
	}
	for range 2 {
		if err := unlock(); err != nil {
			t.Error(err)
		}
	}
	if !isFree(t, dir, "/srv/app") {
		t.Error("held after unlock")
	}
	if files := names(t, dir); len(files) != 0 {
		t.Errorf("left behind: %q", files)
	}
}

func TestSecondUnlockLeavesTheNextHolderAlone(t *testing.T) {
	dir := t.TempDir()
	first := mustAcquire(t, dir, "/srv/app")
	if err := first(); err != nil {
		t.Fatal(err)
	}
	defer mustAcquire(t, dir, "/srv/app")()
	if err := first(); err != nil {
		t.Error(err)
	}
	if isFree(t, dir, "/srv/app") {
		t.Error("the second call of unlock freed another holder's lock")
	}
}

func TestHeldNamesHolder(t *testing.T) {
	dir := t.TempDir()
	defer mustAcquire(t, dir, "/srv/app")()
	for _, wait := range []time.Duration{-1, 0, time.Millisecond} {
		unlock, err := Acquire(t.Context(), dir, "/srv/app", Info{}, Wait{Max: wait})
		if unlock != nil || !errors.Is(err, ErrHeld) {
			t.Fatalf("wait %v: error %v, want ErrHeld", wait, err)
		}
		want := fmt.Sprintf(`lock "/srv/app": another run holds the lock: pid %d, run "test-run"`, os.Getpid())
		if !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("error %q, want %q", err, want)
		}
	}
}

func TestNotify(t *testing.T) {
	dir := t.TempDir()
	defer mustAcquire(t, dir, "/srv/app")()
	ctx, cancel := context.WithCancel(t.Context())
	var told []Info
	_, err := Acquire(ctx, dir, "/srv/app", Info{}, Wait{Max: long, Every: time.Millisecond, Notify: func(h Info) {
		if told = append(told, h); len(told) == 3 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || errors.Is(err, ErrHeld) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	for _, h := range told {
		if h != (Info{os.Getpid(), "test-run"}) {
			t.Errorf("told of holder %+v", h)
		}
	}
}

func TestNoticesKeepTheirDistance(t *testing.T) {
	dir := t.TempDir()
	defer mustAcquire(t, dir, "/srv/app")()
	told := 0
	wait := Wait{Max: 3 * poll, Every: long, Notify: func(Info) { told++ }}
	if _, err := Acquire(t.Context(), dir, "/srv/app", Info{}, wait); !errors.Is(err, ErrHeld) {
		t.Fatal(err)
	}
	if told != 1 {
		t.Errorf("told %d times in less than one interval, want once", told)
	}
}

func TestUnnamedHolderIsReportedAsUnknown(t *testing.T) {
	dir := t.TempDir()
	defer mustAcquire(t, dir, "/srv/app")()
	for _, text := range []string{"", "{", "\x00\x00", strings.Repeat("9", 2*maxInfo)} {
		if err := os.WriteFile(filepath.Join(dir, names(t, dir)[0]), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		told := 0
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		wait := Wait{Max: long, Notify: func(h Info) {
			if told++; h != (Info{}) {
				t.Errorf("%.9q: told of %+v", text, h)
			}
			cancel()
		}}
		if _, err := Acquire(ctx, dir, "/srv/app", Info{}, wait); told != 1 || !errors.Is(err, context.Canceled) {
			t.Errorf("%.9q: told %d times, error %v", text, told, err)
		}
		_, err := Acquire(t.Context(), dir, "/srv/app", Info{}, Wait{})
		if !errors.Is(err, ErrHeld) || !strings.Contains(err.Error(), "an unknown process") {
			t.Errorf("%.9q: error %v", text, err)
		}
	}
}

// A file that its holder has removed, or that stands for another by now, is
// no lock although flock gives it.
func TestRemovedFileIsNoLock(t *testing.T) {
	file := filepath.Join(t.TempDir(), "app.lock")
	for _, replaced := range []bool{false, true} {
		f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
		if err == nil {
			err = os.Remove(file)
		}
		if err == nil && replaced {
			err = os.WriteFile(file, nil, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := claim(f, file, Info{}); !errors.Is(err, errGone) {
			t.Errorf("replaced %v: error %v, want errGone", replaced, err)
		}
		f.Close()
	}
}

// Many takers of one dest, some by way of a link, release and remove the
// files under each other's hands.
func TestOneAtATime(t *testing.T) {
	root := t.TempDir()
	dir, real, link := filepath.Join(root, "locks"), filepath.Join(root, "real"), filepath.Join(root, "link")
	if err := errors.Join(os.Mkdir(real, 0o755), os.Symlink(real, link)); err != nil {
		t.Fatal(err)
	}
	var inside, most atomic.Int32
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := 0; n < 20; {
				unlock, err := Acquire(t.Context(), dir, []string{real, link}[i%2], Info{}, Wait{})
				if errors.Is(err, ErrHeld) {
					time.Sleep(time.Duration(i) * 100 * time.Microsecond)
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				n++
				most.Store(max(most.Load(), inside.Add(1)))
				time.Sleep(200 * time.Microsecond)
				inside.Add(-1)
				if err := unlock(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if most.Load() != 1 {
		t.Errorf("%d had the lock at once", most.Load())
	}
	if left := names(t, dir); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
}

// The holder has started a child, which outlives it and must not have
// inherited the lock.
func TestKilledHolderFreesTheLock(t *testing.T) {
	dir := t.TempDir()
	holder := startHolder(t, dir, "/srv/app")
	want := Info{holder.Process.Pid, "child-run"}
	wait := Wait{Max: long, Notify: func(h Info) {
		if h != want {
			t.Errorf("told of %+v, want %+v", h, want)
		}
		if err := holder.Process.Kill(); err != nil {
			t.Error(err)
		}
	}}
	unlock, err := Acquire(t.Context(), dir, "/srv/app", Info{PID: 1, Run: "next"}, wait)
	if err != nil {
		t.Fatal(err)
	}
	if h, ok := readInfo(filepath.Join(dir, names(t, dir)[0])); !ok || h.Run != "next" {
		t.Errorf("lock file names %+v, %v; want the new holder", h, ok)
	}
	if err := unlock(); err != nil {
		t.Error(err)
	}
}

// A deploy that turns the link "current" to a new release excludes those who
// come after the turn, and one that waited locks what the link leads to now.
func TestLinkThatTurns(t *testing.T) {
	root := t.TempDir()
	dir, link := filepath.Join(root, "locks"), filepath.Join(root, "current")
	one, two := filepath.Join(root, "1"), filepath.Join(root, "2")
	if err := errors.Join(os.Mkdir(one, 0o755), os.Mkdir(two, 0o755), os.Symlink(one, link)); err != nil {
		t.Fatal(err)
	}
	unlock := mustAcquire(t, dir, link)
	turn := func(Info) {
		if err := errors.Join(os.Remove(link), os.Symlink(two, link)); err != nil {
			t.Error(err)
		}
		if isFree(t, dir, link) {
			t.Error("free for those who come after the turn")
		}
		if err := unlock(); err != nil {
			t.Error(err)
		}
	}
	next, err := Acquire(t.Context(), dir, link, Info{}, Wait{Max: long, Notify: turn})
	if err != nil {
		t.Fatal(err)
	}
	defer next()
	if isFree(t, dir, two) || !isFree(t, dir, one) {
		t.Error("the waiter locked what the link led to before")
	}
}

func TestAcquireErrors(t *testing.T) {
	root := t.TempDir()
	file, loop := filepath.Join(root, "file"), filepath.Join(root, "loop")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Symlink(loop, loop)); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct{ dir, dest string }{
		"relative dest":      {root, "srv/app"},
		"directory a file":   {file, "/srv/app"},
		"directory in proc":  {"/dev/null/locks", "/srv/app"},
		"dest in a loop":     {root, loop + "/app"},
		"dest below a file":  {root, file + "/app"},
		"dest a loop itself": {root, loop},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			unlock, err := Acquire(t.Context(), c.dir, c.dest, Info{}, Wait{})
			if err == nil || unlock != nil || errors.Is(err, ErrHeld) {
				t.Errorf("error %v", err)
			}
		})
	}
	if left := names(t, root); len(left) != 2 {
		t.Errorf("left behind: %q", left)
	}
}
