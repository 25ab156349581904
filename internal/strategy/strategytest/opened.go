package strategytest

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"stretcher/internal/archive"
	"stretcher/internal/strategy"
)

// testOpenLive: what is opened as live is what has been deployed, or has been
// there, whatever has its name by then.
func testOpenLive(t *testing.T, w *World) {
	f := pack(t, first)
	s := w.New(f, nil)
	must(t, s.CheckLayout())
	if dir, err := s.OpenLive(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before the first deployment: %v, %v", dir, err)
	}
	must(t, w.run(t.Context(), s, f))
	w.opens(s, first)
	if w.Case.Once {
		return
	}
	s, err := w.Deploy(second, nil)
	must(t, err)
	w.opens(s, second)
	s = w.New(pack(t, first), nil)
	must(t, s.CheckLayout())
	victim := filepath.Join(w.Base, "victim")
	fill(t, victim, files{"precious": "1"})
	must(t, os.Rename(w.Dest, w.Dest+".away"))
	must(t, os.Symlink("victim", w.Dest))
	w.opens(s, second)
}

// opens checks what is in the directory that a strategy opens as live.
func (w *World) opens(s strategy.Strategy, want files) {
	w.t.Helper()
	dir, err := s.OpenLive()
	must(w.t, err)
	defer dir.Close()
	for path, text := range want {
		if b, err := dir.Root().ReadFile(path); string(b) != text {
			w.t.Errorf("%q is %q, %v", path, b, err)
		}
	}
}

// testClose: once a run, its staged tree and its dest are closed, no directory
// is open any more, however far the run has come.
func testClose(t *testing.T, w *World) {
	if _, err := os.Stat(ownFiles); err != nil {
		t.Skip("nothing tells which files are open")
	}
	bad := func(t *strategy.Target) { t.ExcludeFrom = "none" }
	cut := pack(t, files{"large": strings.Repeat("x", 100_000)})
	must(t, cut.Truncate(50_000))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name   string
		file   *os.File
		change func(*strategy.Target)
		sync   context.Context
		good   bool
	}{
		{"damaged", cut, nil, nil, false},
		{"bad exclude_from", pack(t, first), bad, t.Context(), false},
		{"cancelled", pack(t, first), nil, ended, false},
		{"good", pack(t, first), nil, t.Context(), true},
		{"good again", pack(t, second), nil, t.Context(), !w.Case.Once},
	} {
		target := w.Target(c.file, c.change)
		s, err := w.Case.Definition.New(target)
		must(t, err)
		if err := w.through(s, c.file, c.sync); (err == nil) != c.good {
			t.Errorf("%s: err = %v", c.name, err)
		}
		must(t, errors.Join(s.Close(), s.Close(), target.Dest.Close()))
		if left := openBelow(t, filepath.Dir(filepath.Dir(w.Base))); len(left) > 0 {
			t.Errorf("%s: open are %q", c.name, left)
		}
		runtime.KeepAlive(s) // or what it has open may have been closed with it
	}
}

// through is a run whose context may end before its sync; it closes no more
// than what the run's caller must.
func (w *World) through(s strategy.Strategy, file *os.File, sync context.Context) error {
	if err := s.CheckLayout(); err != nil {
		return err
	}
	if err := s.Check(); err != nil {
		return err
	}
	staged, err := s.Stage(w.t.Context(), archive.FileInput(file, false))
	if err != nil {
		return err
	}
	defer staged.Close()
	if err := s.Sync(sync, &staged); err != nil {
		return err
	}
	live, err := s.OpenLive()
	if err != nil {
		return err
	}
	return live.Close()
}

// ownFiles is the directory of a process's descriptors.
const ownFiles = "/proc/self/fd"

// openBelow are the directories below one that this process has open.
func openBelow(t *testing.T, dir string) (open []string) {
	t.Helper()
	entries, err := os.ReadDir(ownFiles)
	must(t, err)
	for _, e := range entries {
		name := filepath.Join(ownFiles, e.Name())
		info, err := os.Stat(name)
		path, _ := os.Readlink(name)
		if err == nil && info.IsDir() && strings.HasPrefix(path, dir+"/") {
			open = append(open, path)
		}
	}
	return open
}
