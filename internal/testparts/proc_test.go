package testparts

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// verdict stands in for a test and keeps what was said of it. As with a real
// one, Fatalf and Skipf end the goroutine.
type verdict struct {
	testing.TB
	said string
}

func (v *verdict) Helper() {}
func (v *verdict) Fatalf(format string, args ...any) {
	v.said = "fatal: " + fmt.Sprintf(format, args...)
	runtime.Goexit()
}
func (v *verdict) Skipf(format string, args ...any) {
	v.said = "skip: " + fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// judge gives the verdict of f, "" when it passes.
func judge(t testing.TB, f func(testing.TB)) string {
	v := &verdict{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(v)
	}()
	<-done
	return v.said
}

// TestGroupEnds shows that a part's grandchildren end with its test. The
// grandchild alone holds the pipe: it's gone when the pipe ends. (Its process
// id proves nothing, for the dead may wait long for an init to reap them.)
func TestGroupEnds(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := os.OpenFile(fifo, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.SetReadDeadline(time.Now().Add(waitLimit)); err != nil {
		t.Fatal(err)
	}
	var p *proc
	t.Run("part", func(t *testing.T) {
		sh := `(echo "$WHO"; exec sleep 1000) >"$FIFO" & wait`
		p = start(t, []string{"WHO=child", "FIFO=" + fifo}, "/bin/sh", "-c", sh)
		line := make([]byte, 6)
		p.ready(t, func() bool {
			n, _ := r.Read(line)
			return n > 0
		})
		if string(line) != "child\n" || p.exited() {
			t.Errorf("read %q, exited = %v; want a running child", line, p.exited())
		}
	})
	if !p.exited() {
		t.Error("the process outlived its test")
	}
	if _, err := io.ReadAll(r); err != nil {
		t.Errorf("the grandchild outlived its test: %v", err)
	}
}

func TestReadySaysWhyNot(t *testing.T) {
	said := judge(t, func(tb testing.TB) {
		p := start(tb, nil, "/bin/sh", "-c", "echo bad option; exit 1")
		p.ready(tb, func() bool { return false })
	})
	if !strings.HasPrefix(said, "fatal: /bin/sh does not answer") || !strings.Contains(said, "bad option") {
		t.Errorf("verdict %q, want the program and its output", said)
	}
}

func TestRunFails(t *testing.T) {
	if got := run(t, "/bin/sh", "-c", "echo out; echo err >&2"); got != "out\nerr\n" {
		t.Errorf("run = %q", got)
	}
	said := judge(t, func(tb testing.TB) { run(tb, "/bin/sh", "-c", "echo why; exit 3") })
	if !strings.Contains(said, "exit status 3") || !strings.Contains(said, "why") {
		t.Errorf("verdict %q, want status and output", said)
	}
}

func TestPoll(t *testing.T) {
	calls := 0
	WaitFor(t, "the third call", func() bool { calls++; return calls == 3 })
	stop := make(chan struct{})
	close(stop)
	if poll(func() bool { return false }, stop) {
		t.Error("poll = true of a condition that never held")
	}
}

func TestUntilReady(t *testing.T) {
	var limits []time.Duration
	UntilReady(t, func(limit time.Duration, ready string) {
		if limits = append(limits, limit); len(limits) < 3 {
			return
		}
		if err := os.WriteFile(ready, nil, 0o600); err != nil {
			t.Error(err)
		}
	})
	if len(limits) != 3 || limits[0] <= 0 || limits[1] != 2*limits[0] || limits[2] != 2*limits[1] {
		t.Errorf("limits %v, want three, each twice the one before", limits)
	}
	said := judge(t, func(tb testing.TB) { UntilReady(tb, func(time.Duration, string) {}) })
	if !strings.Contains(said, "never came") {
		t.Errorf("verdict %q of a program that is never ready", said)
	}
}

func TestFreePort(t *testing.T) {
	port := FreePort(t)
	if !portFree(port) {
		t.Errorf("port %d is taken", port)
	}
	if runtime.GOOS == "linux" && reserve(t, port) {
		t.Errorf("port %d can be given again", port)
	}
	base := Nginx(t, t.TempDir(), "")
	var taken int
	if _, err := fmt.Sscanf(base, "http://127.0.0.1:%d", &taken); err != nil {
		t.Fatal(err)
	}
	if portFree(taken) {
		t.Errorf("port %d counts as free while nginx listens on it", taken)
	}
}
