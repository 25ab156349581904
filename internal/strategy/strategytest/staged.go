package strategytest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stretcher/internal/archive"
	"stretcher/internal/strategy"
	"stretcher/internal/text/runid"
)

// staged stages a tree, all of it.
func (w *World) staged(tree files) (strategy.Strategy, *strategy.Staged) {
	w.t.Helper()
	f := pack(w.t, tree)
	s := w.New(f, func(t *strategy.Target) { t.Whole = true })
	must(w.t, errors.Join(s.CheckLayout(), s.Check()))
	staged, err := s.Stage(w.t.Context(), archive.FileInput(f, false))
	must(w.t, err)
	w.t.Cleanup(func() { _ = staged.Close() })
	return s, &staged
}

// testHooks: what is done to the staged tree before the sync is deployed.
func testHooks(t *testing.T, w *World) {
	tree := files{"index.html": "hello", "other": "other", "link": "-> other", "dir/file": "file"}
	for _, hook := range []struct {
		name string
		do   func(dir string) error
		want files
	}{
		{"adds", func(dir string) error {
			return errors.Join(os.WriteFile(dir+"/new", []byte("new"), 0o644), os.Mkdir(dir+"/empty", 0o755))
		}, files{"index.html": "hello", "other": "other", "link": "-> other", "dir/file": "file", "new": "new",
			"empty/": ""}},
		{"leads elsewhere", func(dir string) error {
			return errors.Join(os.Remove(dir+"/link"), os.Symlink("nowhere", dir+"/link"))
		}, files{"index.html": "hello", "other": "other", "link": "-> nowhere", "dir/file": "file"}},
		{"same size", func(dir string) error {
			return os.WriteFile(dir+"/index.html", []byte("HELLO"), 0o644)
		}, files{"index.html": "HELLO", "other": "other", "link": "-> other", "dir/file": "file"}},
		{"appends", func(dir string) error {
			return os.WriteFile(dir+"/index.html", []byte("hello and more"), 0o644)
		}, files{"index.html": "hello and more", "other": "other", "link": "-> other", "dir/file": "file"}},
		{"removes", func(dir string) error {
			return errors.Join(os.Remove(dir+"/other"), os.RemoveAll(dir+"/dir"))
		}, files{"index.html": "hello", "link": "-> other"}},
		{"changes types", func(dir string) error {
			return errors.Join(os.Remove(dir+"/other"), os.Rename(dir+"/dir", dir+"/other"), os.Symlink("other", dir+"/dir"))
		}, files{"index.html": "hello", "other/file": "file", "link": "-> other", "dir": "-> other"}},
	} {
		if w.Case.Once {
			must(t, os.RemoveAll(w.Dest))
		}
		s, staged := w.staged(tree)
		must(t, hook.do(staged.Dir.Path()))
		must(t, s.Sync(t.Context(), staged))
		if got := read(t, s.Live()); !equal(got, hook.want) {
			t.Errorf("%s: got\n%v\nwant\n%v", hook.name, got, hook.want)
		}
		if r, ok := s.(strategy.Reverter); ok {
			must(t, r.Accept(t.Context()))
		}
	}
	if !w.Case.Once {
		testHookMode(t, w, tree)
	}
}

// testHookMode: modes are those of the staged tree too, each time.
func testHookMode(t *testing.T, w *World, tree files) {
	for range 2 {
		s, staged := w.staged(tree)
		old := time.Unix(1_000_000_000, 0)
		must(t, errors.Join(os.Chmod(staged.Dir.Path(), 0o750), os.Chmod(staged.Dir.Path()+"/other", 0o600),
			os.Chtimes(staged.Dir.Path()+"/other", old, old)))
		must(t, s.Sync(t.Context(), staged))
		for path, want := range map[string]fs.FileMode{"": 0o750, "other": 0o600, "index.html": 0o644} {
			info, err := os.Stat(filepath.Join(s.Live(), path))
			must(t, err)
			if info.Mode().Perm() != want || path == "other" && !info.ModTime().Equal(old) {
				t.Errorf("%q has mode %v and time %v", path, info.Mode(), info.ModTime())
			}
		}
	}
}

// testTakenTree: a staged tree that is gone, or another, deploys nothing and
// deletes nothing.
func testTakenTree(t *testing.T, w *World) {
	old := files{}
	if !w.Case.Once {
		_, err := w.Deploy(first, nil)
		must(t, err)
		old = first
	}
	for name, take := range map[string]func(dir string) error{
		"removed": os.RemoveAll,
		"renamed": func(dir string) error { return os.Rename(dir, dir+".old") },
		"replaced": func(dir string) error {
			return errors.Join(os.Rename(dir, dir+".old"), os.Mkdir(dir, 0o755))
		},
		"a symlink": func(dir string) error {
			return errors.Join(os.Rename(dir, dir+".old"), os.Symlink(dir+".old", dir))
		},
		"given what is a run's": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, runid.TempPrefix(runid.New())+"0"), nil, 0o644)
		},
		"given what is a run's, deep": func(dir string) error {
			return os.MkdirAll(filepath.Join(dir, "new", runid.TempPrefix(runid.New())+"7", "x"), 0o755)
		},
		"given a socket": func(dir string) error {
			return unix.Mknod(filepath.Join(dir, "socket"), unix.S_IFSOCK|0o644, 0)
		},
		"given a socket, deep": func(dir string) error {
			return errors.Join(os.Mkdir(dir+"/new", 0o755), unix.Mknod(dir+"/new/socket", unix.S_IFSOCK|0o644, 0))
		},
	} {
		s, staged := w.staged(second)
		must(t, take(staged.Dir.Path()))
		if err := s.Sync(t.Context(), staged); err == nil {
			t.Errorf("%s: there is no error", name)
		}
		if r, ok := s.(strategy.Reverter); ok {
			_, err := r.Revert(t.Context(), name)
			must(t, err)
		}
		if len(old) > 0 {
			w.wants(s.Live(), old)
		} else if _, err := os.Lstat(s.Live()); err == nil {
			t.Errorf("%s: dest is there", name)
		}
	}
}

// testMode: the mode of dest is the target's, whatever the archive has; else
// the archive's, else 0755.
func testMode(t *testing.T, w *World) {
	mode := fs.FileMode(0o711)
	withRoot := files{"./": "", "index.html": "one"}
	for _, c := range []struct {
		tree files
		mode *fs.FileMode
		want fs.FileMode
	}{{first, &mode, 0o711}, {withRoot, &mode, 0o711}, {first, nil, 0o755}, {withRoot, nil, 0o700}} {
		if w.Case.Once {
			must(t, os.RemoveAll(w.Dest))
		}
		w.Log.Lines = nil
		s, err := w.Deploy(c.tree, func(t *strategy.Target) { t.DestMode = c.mode })
		must(t, err)
		info, err := os.Stat(s.Live())
		must(t, err)
		if info.Mode().Perm() != c.want {
			t.Errorf("mode is %v, want %v", info.Mode(), c.want)
		}
		if warned := w.said("set dest_mode"); warned != (c.want == 0o700) {
			t.Errorf("mode %v: warned: %v", c.want, warned)
		}
	}
}
