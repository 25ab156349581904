package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"stretcher/internal/journal/history"
	"stretcher/internal/journal/runlog"
	"stretcher/internal/journal/state"
	"stretcher/internal/process"
)

// TestBegin: from before a command starts until it has ended there is
// always something noted by which the next run finds it.
func TestBegin(t *testing.T) {
	dir, err := state.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c := &recorder{dir: dir, row: history.Run{ID: "r"}}
	env := c.begin([]string{"PATH=" + os.Getenv("PATH")})
	mark := env[len(env)-1]
	if commandMark+dir.Starting("r") != mark || len(dir.Groups("r")) != 0 {
		t.Errorf("before the start %q and groups %d are noted, want %q", dir.Starting("r"), dir.Groups("r"), mark)
	}
	_, err = process.Run(t.Context(), process.Command{Path: "true", Env: env, Started: func(pid int) {
		c.setGroup(pid)
		if dir.Starting("r") != "" || !slices.Equal(dir.Groups("r"), []int{pid}) {
			t.Errorf("after the start %q and groups %d are noted, want %d", dir.Starting("r"), dir.Groups("r"), pid)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	c.setGroup(0)
	if dir.Starting("r") != "" || dir.Groups("r") != nil {
		t.Errorf("at the end %q and groups %d are noted", dir.Starting("r"), dir.Groups("r"))
	}
	if again := c.begin(nil); slices.Equal(again, []string{mark}) {
		t.Error("two commands have the same mark")
	}
}

// TestBuryAgain: what a run that was reported dead has left goes, unless the
// process is there after all; containers are not tried again.
func TestBuryAgain(t *testing.T) {
	for _, alive := range []bool{true, false} {
		pid, start := os.Getpid(), process.Start(os.Getpid())
		if !alive {
			start = "another-boot:1"
		}
		id := newRunID()
		staging := filepath.Join(t.TempDir(), tempPrefix(id)+"0")
		if err := os.Mkdir(staging, 0o700); err != nil {
			t.Fatal(err)
		}
		c, err := openRecorder(t.Context(), t.TempDir(), runlog.New(runlog.Options{}))
		if err != nil {
			t.Fatal(err)
		}
		row := history.Run{ID: id, Started: time.Now(), PID: pid, ProcStart: start, Staging: []string{staging}}
		c.claim(row, false)
		c.setContainers(true)
		c.try(func(ctx context.Context, db *history.Store) error {
			_, err := db.Died(ctx, func(int, string) bool { return false })
			return err
		})
		tried := 0
		for range 2 {
			c.buried = map[string]bool{} // as the next run has it
			c.buryDied(func(string) error { tried++; return errors.New("the engine hangs") })
		}
		_, err = os.Lstat(staging)
		if there := err == nil; there != alive || c.dir.Containers(id) != alive || (tried == 0) != alive || tried > 1 {
			t.Errorf("process alive: %v; staging is there: %v, containers noted: %v, tried %d times", alive, there, c.dir.Containers(id), tried)
		}
		c.close()
	}
}
