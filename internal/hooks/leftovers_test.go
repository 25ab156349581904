//go:build linux

package hooks

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"stretcher/internal/journal/runlog"
	"stretcher/internal/testparts"
)

// running lists the processes that have word in their command line.
func running(word string) (found []string) {
	names, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range names {
		if b, err := os.ReadFile(name); err == nil && bytes.Contains(b, []byte(word)) {
			found = append(found, name+": "+string(bytes.ReplaceAll(b, []byte{0}, []byte(" "))))
		}
	}
	return found
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// TestUnrulyHooks runs hooks that do what hooks must not do and looks for
// what is left of them. Those that are no good make the file $0 when they are
// where their timeout shall find them.
func TestUnrulyHooks(t *testing.T) {
	for _, tc := range []struct {
		name, script string
		adopt        bool
		good         bool // the hook itself succeeds
		left         bool // it has left processes behind, which the log says
	}{
		{name: "ignores TERM", script: "trap '' TERM; : >$0; while :; do sleep 0.01; : WORD; done"},
		{name: "child ignores TERM", script: `sh -c "trap '' TERM; : >$0; while :; do sleep 0.01; : WORD; done" & wait`},
		{name: "background child holds stdout", script: "sh -c 'sleep 600; : WORD' & exit 0", good: true, left: true},
		{name: "double-forks", script: "(setsid sh -c 'sleep 600; : WORD' </dev/null >/dev/null 2>&1 &) ; exit 0",
			good: true, left: true},
		{name: "double-forks holding stdout", script: "(setsid sh -c 'sleep 600; : WORD' &) ; exit 0",
			good: true, left: true},
		{name: "double-forks and hangs",
			script: "(setsid sh -c 'trap \"\" TERM; : >$0; sleep 600; : WORD' $0 &) ; sleep 600", left: true},
		{name: "descendant of a daemon without environment",
			script: "(setsid sh -c 'env -i sh -c \"sleep 600; : WORD\"; :' >/dev/null 2>&1 &) ; sleep 0.3",
			good:   true, left: true},
		{name: "daemon without environment",
			script: "(env -i setsid sh -c 'sleep 600; : WORD' </dev/null >/dev/null 2>&1 &) ; exit 0", adopt: true,
			good: true, left: true},
		{name: "closes stdout", script: "exec >&- 2>&-; : >$0; : WORD; sleep 600"},
		{name: "reads no stdin", script: "exit 0", good: true},
		{name: "changes directory", script: "cd /tmp && exit 0", good: true},
		{name: "forks as it is killed",
			script: "setsid sh -c 'for i in $(seq 3000); do (sleep 600; : WORD) & : >$0; sleep 0.01; done' $0 & sleep 600",
			left:   true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if testing.Short() && !tc.good {
				t.Skip("takes a timeout")
			}
			word := uuid.NewString()
			before := descriptors(t)
			var b *bench
			try := func(limit time.Duration, ready string) {
				b = newBench(t)
				b.Adopt = tc.adopt
				h := script("unruly", strings.ReplaceAll(tc.script, "WORD", word))
				h.Args = append(h.Args, ready)
				h.Stdin = bytes.Repeat([]byte("x"), 1<<20)
				h.Timeout, h.Grace = limit, 100*time.Millisecond
				if err := b.Run(t.Context(), PreSync, []Hook{h}, false); err != nil {
					t.Fatal(err)
				}
			}
			if tc.good {
				try(time.Minute, "")
			} else {
				testparts.UntilReady(t, try)
			}
			if left := running(word); len(left) > 0 {
				t.Errorf("left running: %q", left)
			}
			if n := descriptors(t); n > before {
				t.Errorf("%d descriptors, %d before", n, before)
			}
			if err := b.outcomes[0].Err; (err == nil) != tc.good {
				t.Errorf("err = %v", err)
			}
			if said := strings.Contains(b.log.String(), "processes behind"); said != tc.left {
				t.Errorf("log says that processes were left: %v\n%s", said, b.log)
			}
		})
	}
}

func TestHookThatRemovesItself(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gone")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nrm \"$0\"\necho still here\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	b := newBench(t)
	for range 2 {
		if err := b.Run(t.Context(), PreSync, []Hook{{Dialect: P2, Name: "gone", Process: Process{Path: path}}},
			false); err != nil {
			t.Fatal(err)
		}
	}
	if b.outcomes[0].Err != nil || !strings.Contains(b.log.String(), "gone: still here") {
		t.Errorf("%v\n%s", b.outcomes[0].Err, b.log)
	}
	if b.outcomes[1].Err == nil {
		t.Error("a hook that is no longer there is good")
	}
}

func TestMuchOutputNeedsLittleMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 100 MB")
	}
	const size = 100 << 20
	var lines, most uint64
	count := writer(func(p []byte) {
		lines += uint64(bytes.Count(p, []byte("\n")))
		if lines%10000 == 0 {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
		}
	})
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	log := runlog.New(runlog.Options{Writers: []io.Writer{count}, Spool: runlog.NewSpool(file)})
	defer log.Close()
	r := &Runner{Log: log, Env: []string{"PATH=/usr/bin:/bin"}}
	h := required(script("loud", fmt.Sprintf("yes %s | head -c %d", strings.Repeat("x", 1023), size)))
	if err := r.Run(t.Context(), PreSync, []Hook{h}, false); err != nil {
		t.Fatal(err)
	}
	if lines < size/1024 || most > 32<<20 {
		t.Errorf("%d lines, %d bytes of heap", lines, most)
	}
	if n := log.Offset(); n < runlog.DefaultLimit || n > runlog.DefaultLimit+1<<20 {
		t.Errorf("%d bytes kept", n)
	}
}

func TestAdoptLeavesOtherChildrenAlone(t *testing.T) {
	word := uuid.NewString()
	b := newBench(t)
	startChild(t, word)
	b.Adopt = true
	if err := b.Run(t.Context(), PreSync, []Hook{script("a", "exit 0")}, false); err != nil {
		t.Fatal(err)
	}
	if len(running(word)) == 0 {
		t.Error("a child that was there before is gone")
	}
}

// writer is a function as an io.Writer.
type writer func([]byte)

func (w writer) Write(p []byte) (int, error) {
	w(p)
	return len(p), nil
}

func startChild(t *testing.T, word string) {
	t.Helper()
	cmd := exec.Command("sh", "-c", "sleep 600; : "+word)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
}
