package history

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"stretcher/internal/testparts/again"
)

func TestMain(m *testing.M) { os.Exit(again.Main(m, child)) }

// child is another process with the history open: PATH ID [N]. It begins the
// run and adds N steps (none = until killed); after each it prints how many.
func child(args []string) error {
	path, id := args[0], args[1]
	ctx := context.Background()
	s, err := Open(ctx, path, Options{BusyTimeout: time.Minute})
	if err != nil {
		return err
	}
	run := Run{ID: id, Started: time.Now(), Deployment: Deployment{Dest: "/d"}, Process: Process{PID: os.Getpid()},
		EventKey: id, Result: Good}
	if err := s.Begin(ctx, run); err != nil {
		return err
	}
	steps := 1 << 30
	if len(args) > 2 {
		if steps, err = strconv.Atoi(args[2]); err != nil {
			return err
		}
	}
	for i := range steps {
		err := errors.Join(s.SetStep(ctx, run.ID, "step "+strconv.Itoa(i)), s.AddStep(ctx, Step{Run: run.ID}))
		if err != nil {
			return err
		}
		fmt.Println(i + 1)
	}
	return errors.Join(s.Finish(ctx, run, true), s.Close())
}

// Processes and goroutines make the database together and write at once.
func TestManyWriters(t *testing.T) {
	const writers, steps = 4, 20
	path := filepath.Join(t.TempDir(), "history.db")
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			if out, err := again.Command(path, fmt.Sprint("process-", i), strconv.Itoa(steps)).CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	shared := mustOpen(t, path, Options{BusyTimeout: time.Minute})
	for i := range writers {
		run := Run{ID: fmt.Sprintf("goroutine-%d", i), Started: time.Now(), EventKey: fmt.Sprintf("g-%d", i), Result: Good}
		all.Go(func() {
			err := shared.Begin(t.Context(), run)
			for range steps {
				err = errors.Join(err, shared.AddStep(t.Context(), Step{Run: run.ID}))
			}
			if err = errors.Join(err, shared.Finish(t.Context(), run, true)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()

	runs, err := shared.List(t.Context(), Filter{Results: []Result{Good}})
	if err != nil || len(runs) != 2*writers {
		t.Fatalf("%d runs, %v", len(runs), err)
	}
	for _, r := range runs {
		got, err := shared.Steps(t.Context(), r.ID)
		must(t, err)
		if len(got) != steps || got[steps-1].Seq != steps {
			t.Errorf("%s has %d steps", r.ID, len(got))
		}
		if by, ok, err := shared.Handled(t.Context(), r.EventKey); by != r.ID || !ok || err != nil {
			t.Errorf("%s handled: %q, %v, %v", r.EventKey, by, ok, err)
		}
	}
}

// The same old events come to several processes at once, each of which opens
// a history that is not there yet.
func TestManySkipTheSame(t *testing.T) {
	const events = 60
	path := filepath.Join(t.TempDir(), "history.db")
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			s, err := Open(t.Context(), path, Options{BusyTimeout: time.Minute, Warn: noWarning(t)})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			for n := range events {
				run := Run{ID: fmt.Sprintf("%d-%d", i, n), Started: time.Now(), EventKey: strconv.Itoa(n)}
				if err := s.Skip(t.Context(), run); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	runs, err := mustOpen(t, path, Options{ReadOnly: true}).List(t.Context(), Filter{})
	if err != nil || len(runs) != events {
		t.Errorf("%d runs, %v; want one for each of %d events", len(runs), err, events)
	}
}

// What was committed before kill -9 is there, and the next process goes on.
func TestKilledWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	for round := range 5 {
		id := "killed-" + strconv.Itoa(round)
		cmd := again.Command(path, id)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		lines := bufio.NewScanner(out)
		for n := 0; n < 20+round && lines.Scan(); n++ {
		}
		must(t, cmd.Process.Kill())
		committed := 20 + round
		for lines.Scan() { // what it had printed by then
			if committed, err = strconv.Atoi(lines.Text()); err != nil {
				t.Fatalf("child says %q", lines.Text())
			}
		}
		_, _ = io.Copy(io.Discard, out)
		if err := cmd.Wait(); err == nil || cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("child ended with %v", err)
		}

		r := mustOpen(t, path, Options{ReadOnly: true})
		steps, err := r.Steps(t.Context(), id)
		if err != nil || len(steps) < committed || len(steps) > committed+1 {
			t.Errorf("%d steps, %v; committed %d", len(steps), err, committed)
		}
		s := mustOpen(t, path, Options{})
		died, err := s.Died(t.Context(), func(pid int, _ string) bool { return pid != cmd.Process.Pid })
		if err != nil || len(died) != 1 || died[0].ID != id || !strings.HasPrefix(died[0].Step, "step ") {
			t.Errorf("died %+v, %v", died, err)
		}
		var ok string
		if err := s.db.QueryRow("PRAGMA integrity_check").Scan(&ok); err != nil || ok != "ok" {
			t.Errorf("integrity: %q, %v", ok, err)
		}
	}
}

// A directory that can't be written to: root can write anywhere, so the check
// is of an ordinary user, whom root becomes for a child.
func TestReadOnlyDirectory(t *testing.T) {
	dir, err := os.MkdirTemp("", "history") // not t.TempDir: others must get at it
	must(t, err)
	defer os.RemoveAll(dir)
	must(t, os.Chmod(dir, 0o755))
	self, err := os.ReadFile(os.Args[0])
	must(t, err)
	program := filepath.Join(dir, "test")
	must(t, os.WriteFile(program, self, 0o755))
	must(t, os.Mkdir(filepath.Join(dir, "state"), 0o555))

	cmd := again.Command(filepath.Join(dir, "state", "history.db"), "a", "1")
	cmd.Path = program
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "permission denied") || strings.Count(string(out), "\n") != 1 {
		t.Errorf("%v: %q", err, out)
	}
}
