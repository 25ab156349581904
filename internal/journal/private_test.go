package journal

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"stretcher/internal/disk"
	"stretcher/internal/journal/history"
	"stretcher/internal/journal/runlog"
)

// TestPrivate: directories are noted before they are made, go one by one or
// all at once, and leave the time of the directory that they were in.
func TestPrivate(t *testing.T) {
	place := t.TempDir()
	log := runlog.New(runlog.Options{Writers: []io.Writer{io.Discard}})
	j, err := Open(t.Context(), filepath.Join(t.TempDir(), "state"), log)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	const id = "0190a0a0-0000-7000-8000-000000000001"
	j.Begin(history.Run{ID: id, Started: time.Now(), Process: history.Process{PID: os.Getpid()}}, false)
	old := time.Unix(1e9, 0)
	if err := os.Chtimes(place, old, old); err != nil {
		t.Fatal(err)
	}
	p := NewPrivate(j)
	want := disk.Wanted{What: "test", Size: -1, Candidates: []string{place}}
	var dirs []*disk.Dir
	for range 3 {
		dir, err := p.Make(want)
		if err != nil {
			t.Fatal(err)
		}
		dirs = append(dirs, dir)
		defer dir.Close()
		if !slices.Contains(j.Run().Staging, dir.Path()) {
			t.Errorf("%q is not noted in %q", dir.Path(), j.Run().Staging)
		}
	}
	if err := p.Drop(dirs[1]); err != nil {
		t.Error(err)
	}
	if err := p.Drop(dirs[1]); err == nil {
		t.Error("a directory goes twice")
	}
	if names, _ := filepath.Glob(place + "/.stretcher-*"); len(names) != 2 {
		t.Errorf("there are %q", names)
	}
	if err := p.Remove(); err != nil {
		t.Error(err)
	}
	if names, _ := os.ReadDir(place); len(names) != 0 {
		t.Errorf("left: %q", names)
	}
}
