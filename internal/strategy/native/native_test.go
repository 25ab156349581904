package native

import (
	"archive/tar"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stretcher/internal/archive"
	"stretcher/internal/disk"
	"stretcher/internal/strategy"
	"stretcher/internal/strategy/mirror"
	"stretcher/internal/strategy/strategytest"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/runid"
)

func TestStrategy(t *testing.T) {
	strategytest.Run(t, strategytest.Case{Definition: Definition(), Keeps: strategy.Archive})
}

// TestStrategyWhole stages all of the tree.
func TestStrategyWhole(t *testing.T) {
	d := Definition()
	d.New = func(t strategy.Target) (strategy.Strategy, error) {
		t.Whole = true
		return Definition().New(t)
	}
	strategytest.Run(t, strategytest.Case{Definition: d, Keeps: strategy.Archive})
}

// world is a dest and what a run knows of it.
type world struct {
	t    *testing.T
	top  string
	dest string
	log  strategytest.Log
}

func newWorld(t *testing.T) *world {
	t.Helper()
	top, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	return &world{t: t, top: top, dest: filepath.Join(top, "dest")}
}

// Private makes a directory where runs make it.
func (w *world) Private(what string, where strategy.Where) (*disk.Dir, error) {
	place, err := w.Above(where)
	if err != nil {
		return nil, err
	}
	defer place.Close()
	return place.Make(runid.TempPrefix(runID)+"0", 0o700)
}

// Above opens the place for one.
func (w *world) Above(where strategy.Where) (*disk.Dir, error) {
	dest, err := disk.OpenDest(w.dest)
	if err != nil {
		return nil, err
	}
	defer dest.Close()
	return disk.Private(disk.Wanted{
		What: "directory", Size: -1, Dest: dest, SameDevice: where.SameDevice, Candidates: []string{w.top},
	})
}

// Drop is not asked for.
func (*world) Drop(*disk.Dir) error { return errors.New("dropped") }

const runID = "01900000-0000-7000-8000-000000000001"

// new is the strategy of a run.
func (w *world) new(change func(*strategy.Target)) *native {
	w.t.Helper()
	dest, err := disk.OpenDest(w.dest)
	must(w.t, err)
	w.t.Cleanup(func() { _ = dest.Close() })
	target := strategy.Target{
		Strategy: Name, Run: runID, Dest: dest,
		Source: strategy.Source{Origin: func() string { return "test" }},
		Tools:  strategy.Tools{Log: &w.log, Place: w},
		Others: func() []strategy.Deployments { return nil },
	}
	if change != nil {
		change(&target)
	}
	return &native{t: target}
}

// stage stages the files of an archive, given as path and text in turn. A text
// that begins with "->" makes a symlink.
func (w *world) stage(n *native, words ...string) *strategy.Staged {
	w.t.Helper()
	f, err := os.Create(filepath.Join(w.t.TempDir(), "archive"))
	must(w.t, err)
	defer f.Close()
	tw := tar.NewWriter(f)
	for pair := range slices.Chunk(words, 2) {
		h := &tar.Header{Name: pair[0], Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(pair[1])), ModTime: stamp}
		if link, ok := strings.CutPrefix(pair[1], "->"); ok {
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, link, 0
		}
		must(w.t, tw.WriteHeader(h))
		if h.Typeflag == tar.TypeReg {
			_, err = tw.Write([]byte(pair[1]))
			must(w.t, err)
		}
	}
	must(w.t, tw.Close())
	staged, err := n.Stage(w.t.Context(), archive.FileInput(f, false))
	must(w.t, err)
	w.t.Cleanup(func() {
		_ = staged.Close()
		_ = os.RemoveAll(filepath.Join(w.top, runid.TempPrefix(runID)+"0"))
		_ = os.RemoveAll(filepath.Join(w.dest, runid.TempPrefix(runID)+"0"))
	})
	return &staged
}

var stamp = time.Unix(1_600_000_000, 0)

// fill makes a file of dest.
func (w *world) fill(path, text string) {
	w.t.Helper()
	name := filepath.Join(w.dest, path)
	must(w.t, os.MkdirAll(filepath.Dir(name), 0o755))
	must(w.t, os.WriteFile(name, []byte(text), 0o644))
	must(w.t, os.Chtimes(name, stamp, stamp))
}

func (w *world) wants(path, text string) {
	w.t.Helper()
	if b, err := os.ReadFile(filepath.Join(w.dest, path)); err != nil || string(b) != text {
		w.t.Errorf("%s holds %q, %v, want %q", path, b, err, text)
	}
}

func inode(t *testing.T, root *os.Root, name string) fs.FileInfo {
	t.Helper()
	info, err := root.Lstat(name)
	must(t, err)
	return info
}

// TestStagedOnly: what dest has is not staged.
func TestStagedOnly(t *testing.T) {
	for _, whole := range []bool{false, true} {
		w := newWorld(t)
		w.fill("same", "same")
		n := w.new(func(t *strategy.Target) { t.Whole = whole })
		staged := w.stage(n, "same", "same", "new", "new")
		_, err := staged.Dir.Root().Lstat("same")
		if (err == nil) != whole {
			t.Errorf("whole: %v, what dest has is staged: %v", whole, err)
		}
		inode(t, staged.Dir.Root(), "new")
		must(t, n.Sync(t.Context(), staged))
		w.wants("same", "same")
		w.wants("new", "new")
	}
}

// TestContent: a file of the same size and time, but another content, is
// another.
func TestContent(t *testing.T) {
	for _, checksum := range []bool{false, true} {
		for _, whole := range []bool{false, true} {
			w := newWorld(t)
			w.fill("f", "old")
			n := w.new(func(t *strategy.Target) { t.Native.Checksum, t.Whole = checksum, whole })
			must(t, n.Sync(t.Context(), w.stage(n, "f", "new")))
			w.wants("f", "new")
		}
	}
}

// TestExcludeListInDest: a list that has not changed is not staged where
// symlinks lead to it, and found in dest.
func TestExcludeListInDest(t *testing.T) {
	w := newWorld(t)
	w.fill("etc/real", "*.pid\n")
	w.fill("a.pid", "1")
	n := w.new(func(t *strategy.Target) { t.ExcludeFrom = "list" })
	staged := w.stage(n, "etc/real", "*.pid\n", "list", "->etc/link", "etc/link", "->real")
	must(t, n.Sync(t.Context(), staged))
	w.wants("a.pid", "1")
	if string(staged.Excludes) != "*.pid\n" {
		t.Errorf("the list is %q", staged.Excludes)
	}
}

// TestLog: each change is said, but not thousands of them.
func TestLog(t *testing.T) {
	w := newWorld(t)
	w.fill("gone", "1")
	w.fill("f", "old")
	words := []string{"f", "newer"}
	for i := range 30 {
		words = append(words, "n"+string(rune('a'+i)), "x")
	}
	n := w.new(nil)
	must(t, n.Sync(t.Context(), w.stage(n, words...)))
	said := strings.Join(w.log.Lines, "\n")
	for _, want := range []string{
		"read 31 entries", "sync: change f (size)\n", "\nsync: and 12 more\n",
		`sync to "` + w.dest + `": 30 to add, 1 to change, 1 to delete, 35 B to write`,
	} {
		if !strings.Contains(said, want) {
			t.Errorf("the log has no %q:\n%s", want, said)
		}
	}
	if n := strings.Count(said, "\nsync: "); n != maxNamed+1 {
		t.Errorf("%d lines of changes", n)
	}
}

// TestStale has dest change while it is deployed to.
func TestStale(t *testing.T) {
	w := newWorld(t)
	w.fill("f", "x")
	n := w.new(nil)
	staged := w.stage(n, "f", "x")
	must(t, os.Remove(filepath.Join(w.dest, "f")))
	err := n.Sync(t.Context(), staged)
	if !errors.Is(err, mirror.ErrStale) || failure.Hint(err) == "" {
		t.Errorf("err = %v, hint %q", err, failure.Hint(err))
	}
}

// TestDefinition: the strategy's key, and who reads its patterns.
func TestDefinition(t *testing.T) {
	d := Definition()
	if d.Name != "native" || !slices.Equal(d.Sections, []string{"native"}) || !d.Patterns || d.Deployments != nil {
		t.Errorf("%+v", d)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
