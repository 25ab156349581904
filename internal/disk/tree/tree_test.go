package tree

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// plant makes a small tree with every type of entry.
func plant(t testing.TB) string {
	dir := filepath.Join(t.TempDir(), "tree")
	must(t, os.MkdirAll(filepath.Join(dir, "sub/deep"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "file"), []byte("content"), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "sub/a\nb \xff"), nil, 0o600))
	must(t, os.Symlink("file", filepath.Join(dir, "link")))
	must(t, os.WriteFile(filepath.Join(dir, "run.pid"), []byte("1"), 0o644))
	return dir
}

// open opens a directory until the test ends.
func open(t testing.TB, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	must(t, err)
	t.Cleanup(func() { _ = root.Close() })
	return root
}

func skipPids(path string, _ bool) bool { return strings.HasSuffix(path, ".pid") }

// save records the tree at dir.
func save(t testing.TB, dir string) (name string) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "saved")
	must(t, Save(t.Context(), open(t, dir), Recorded{Skip: skipPids, Excludes: []byte("*.pid")}, name))
	return name
}

// check compares, and says what differs.
func check(t testing.TB, name, dir string) string {
	t.Helper()
	drifts, err := Check(t.Context(), name, open(t, dir), func(excludes []byte) (Skip, error) {
		if string(excludes) != "*.pid" {
			t.Errorf("excludes: %q", excludes)
		}
		return skipPids, nil
	})
	must(t, err)
	return fmt.Sprint(drifts.Total, drifts.First)
}

func TestNoDrift(t *testing.T) {
	dir := plant(t)
	name := save(t, dir)
	// What is skipped may change, and the time of its directory with it.
	must(t, os.WriteFile(filepath.Join(dir, "other.pid"), nil, 0o644))
	must(t, os.Chtimes(dir, time.Unix(1, 0), time.Unix(1, 0)))
	if drift := check(t, name, dir); drift != "0 []" {
		t.Errorf("drift = %v", drift)
	}
}

// TestPaths: what is said of the paths of a tree does not change its record.
func TestPaths(t *testing.T) {
	dir := plant(t)
	read := func(paths iter.Seq[string]) string {
		name := filepath.Join(t.TempDir(), "saved")
		must(t, Save(t.Context(), open(t, dir), Recorded{Skip: skipPids, Paths: paths}, name))
		text, err := os.ReadFile(name)
		must(t, err)
		return string(text)
	}
	var paths []string
	must(t, walk(t.Context(), open(t, dir), skipPids, nil, func(e *Entry, _ spot) error {
		if e.Path != "." {
			paths = append(paths, e.Path)
		}
		return nil
	}))
	back := slices.Clone(paths)
	slices.Reverse(back)
	want := read(nil)
	for said, paths := range map[string][]string{
		"the right ones": paths, "none": {}, "some": paths[len(paths)/2:], "backwards": back,
		"others": append([]string{".", "", "/", "../x", "none/none"}, paths...),
	} {
		if got := read(slices.Values(paths)); got != want {
			t.Errorf("%s: %q, want %q", said, got, want)
		}
	}
}

func TestDrift(t *testing.T) {
	for what, spoil := range map[string]func(dir string) error{
		"file missing":     func(d string) error { return os.Remove(d + "/file") },
		"new extra":        func(d string) error { return os.WriteFile(d+"/new", nil, 0o644) },
		"zz extra":         func(d string) error { return os.WriteFile(d+"/zz", nil, 0o644) },
		"sub! extra":       func(d string) error { return os.WriteFile(d+"/sub!", nil, 0o644) },
		"sub/deep/x extra": func(d string) error { return os.WriteFile(d+"/sub/deep/x", nil, 0o644) },
		"file size":        func(d string) error { return os.WriteFile(d+"/file", []byte("more content"), 0o644) },
		"file time":        func(d string) error { return os.Chtimes(d+"/file", time.Time{}, time.Unix(9, 0)) },
		"file mode":        func(d string) error { return os.Chmod(d+"/file", 0o600) },
		". mode":           func(d string) error { return os.Chmod(d, 0o700) },
		"file type":        func(d string) error { return errors.Join(os.Remove(d+"/file"), os.Mkdir(d+"/file", 0o755)) },
		"link link":        func(d string) error { return errors.Join(os.Remove(d+"/link"), os.Symlink("x", d+"/link")) },
		"sub/deep missing": func(d string) error { return os.Remove(d + "/sub/deep") },
	} {
		t.Run(what, func(t *testing.T) {
			dir := plant(t)
			name := save(t, dir)
			must(t, spoil(dir))
			if drift := check(t, name, dir); drift != "1 [{"+what+"}]" {
				t.Errorf("drift = %v", drift)
			}
		})
	}
}

func TestManyDrifts(t *testing.T) {
	dir := plant(t)
	name := save(t, dir)
	must(t, os.RemoveAll(dir+"/sub")) // 3 entries
	must(t, os.WriteFile(dir+"/a", nil, 0o644))
	must(t, os.Remove(dir+"/link"))
	if drift := check(t, name, dir); drift != "5 [{a extra} {link missing} {sub missing}]" {
		t.Errorf("drift = %v", drift)
	}
}

func TestOwnerDrift(t *testing.T) {
	for _, b := range []Entry{{Path: "x", GID: 1}, {Path: "x", UID: 2}} {
		if what := difference(&Entry{Path: "x"}, &b); what != "owner" {
			t.Errorf("%+v: %q", b, what)
		}
	}
}

// TestOrder: before is the order of walk, whatever the names are.
func TestOrder(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a/b/c", "a/b!", "a!", "a-b/x", "a", "ab", "é/\xff", "b\n/c", "b", ".x", "!"} {
		must(t, os.MkdirAll(filepath.Join(dir, name+"_/"+name), 0o755))
	}
	last := ""
	n := 0
	root, err := os.OpenRoot(dir)
	must(t, err)
	defer root.Close()
	must(t, walk(t.Context(), root, nil, nil, func(e *Entry, _ spot) error {
		if last != "" && (!before(last, e.Path) || before(e.Path, last)) {
			t.Errorf("%q comes before %q", last, e.Path)
		}
		last = e.Path
		n++
		return nil
	}))
	if n < 20 {
		t.Errorf("%d entries", n)
	}
}

func TestSymlinkedRootIsFollowed(t *testing.T) {
	dir := plant(t)
	link := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink(dir, link))
	name := save(t, link)
	must(t, os.Remove(dir+"/file"))
	if drift := check(t, name, link); drift != "1 [{file missing}]" {
		t.Errorf("drift = %v", drift)
	}
}

func TestSaveErrors(t *testing.T) {
	to := filepath.Join(t.TempDir(), "saved")
	closed := open(t, t.TempDir())
	must(t, closed.Close())
	if err := Save(t.Context(), closed, Recorded{}, to); !errors.Is(err, os.ErrClosed) {
		t.Errorf("err = %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Save(ctx, open(t, plant(t)), Recorded{}, to); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
	if left, _ := filepath.Glob(to + "*"); left != nil {
		t.Errorf("left behind: %q", left)
	}
	if err := Save(t.Context(), open(t, plant(t)), Recorded{}, "/no/such/dir/x"); err == nil {
		t.Error("saved to nowhere")
	}
}

func TestCheckErrors(t *testing.T) {
	dir := plant(t)
	all := func([]byte) (Skip, error) { return nil, nil }
	root, name := open(t, dir), filepath.Join(t.TempDir(), "saved")
	if _, err := Check(t.Context(), name, root, all); !errors.Is(err, os.ErrNotExist) || !errors.Is(err, ErrRecord) {
		t.Errorf("err = %v", err)
	}
	must(t, Save(t.Context(), root, Recorded{}, name))
	closed := open(t, dir)
	must(t, closed.Close())
	if _, err := Check(t.Context(), name, closed, all); !errors.Is(err, os.ErrClosed) || errors.Is(err, ErrRecord) {
		t.Errorf("err = %v", err)
	}
	data, err := os.ReadFile(name)
	must(t, err)
	for n := range data {
		must(t, os.WriteFile(name, data[:n], 0o600))
		if _, err := Check(t.Context(), name, root, all); !errors.Is(err, ErrRecord) {
			t.Errorf("%d of %d bytes were taken for a record: %v", n, len(data), err)
		}
	}
}

// What is no file of the caller's is no record, and nothing waits for it.
func TestNoRecord(t *testing.T) {
	dir := plant(t)
	name := save(t, dir)
	all := func([]byte) (Skip, error) { return nil, nil }
	for what, put := range map[string]func(path string) error{
		"a FIFO":       func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a directory":  func(path string) error { return os.Mkdir(path, 0o700) },
		"a symlink":    func(path string) error { return os.Symlink(name, path) },
		"to itself":    func(path string) error { return os.Symlink(path, path) },
		"somebody's":   func(path string) error { return errors.Join(os.Link(name, path), os.Chown(path, 12345, -1)) },
		"not there":    func(string) error { return nil },
		"not readable": func(path string) error { return os.WriteFile(path, nil, 0) },
	} {
		path := filepath.Join(t.TempDir(), "record")
		if err := put(path); errors.Is(err, os.ErrPermission) {
			continue // only root gives files away
		} else if err != nil {
			t.Fatal(err)
		}
		if _, err := Check(t.Context(), path, open(t, dir), all); !errors.Is(err, ErrRecord) {
			t.Errorf("%s: Check: err = %v", what, err)
		}
		if _, err := LoadContents(path, open(t, dir)); !errors.Is(err, ErrRecord) {
			t.Errorf("%s: LoadContents: err = %v", what, err)
		}
		if sum := Checksum(path); sum != "" {
			t.Errorf("%s: checksum %q", what, sum)
		}
	}
}

// What an earlier run has left where a record is written is not written to.
func TestSaveOverLeftovers(t *testing.T) {
	dir, other := plant(t), filepath.Join(t.TempDir(), "other")
	must(t, os.WriteFile(other, []byte("other"), 0o600))
	for what, put := range map[string]func(path string) error{
		"a FIFO":      func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a symlink":   func(path string) error { return os.Symlink(other, path) },
		"a hard link": func(path string) error { return os.Link(other, path) },
	} {
		name := filepath.Join(t.TempDir(), "record")
		must(t, put(name+".new"))
		must(t, Save(t.Context(), open(t, dir), Recorded{Skip: skipPids, Excludes: []byte("*.pid")}, name))
		if drift := check(t, name, dir); drift != "0 []" {
			t.Errorf("%s: drift = %v", what, drift)
		}
	}
	if data, _ := os.ReadFile(other); string(data) != "other" {
		t.Errorf("another file was written to: %q", data)
	}
}

func BenchmarkCheck15000(b *testing.B) {
	dir := b.TempDir()
	for i := range 15_000 {
		sub := filepath.Join(dir, fmt.Sprint(i/100))
		must(b, os.MkdirAll(sub, 0o755))
		must(b, os.WriteFile(filepath.Join(sub, fmt.Sprint(i)), nil, 0o644))
	}
	name := save(b, dir)
	for b.Loop() {
		if drift := check(b, name, dir); drift != "0 []" {
			b.Fatal(drift)
		}
	}
}

// TestOtherThanSeen: what becomes something else while a tree is recorded does not
// prevent that, also where it was looked at before.
func TestOtherThanSeen(t *testing.T) {
	for kind, is := range map[string]func(path string) error{
		"symlink":   func(path string) error { return os.Symlink("x", path) },
		"directory": func(path string) error { return os.Mkdir(path, 0o755) },
		"file":      func(path string) error { return os.WriteFile(path, nil, 0o644) },
	} {
		dir := t.TempDir()
		var paths []string
		for i := range 600 {
			paths = append(paths, fmt.Sprintf("f%05d", i))
			must(t, os.WriteFile(filepath.Join(dir, paths[i]), nil, 0o644))
		}
		z := filepath.Join(dir, "z")
		must(t, is(z))
		r := Recorded{Paths: slices.Values(append(paths, "z")), Skip: func(path string, _ bool) bool {
			if path == paths[0] {
				time.Sleep(50 * time.Millisecond) // long enough to look at some
				must(t, os.Remove(z))
				must(t, os.WriteFile(z, []byte("another"), 0o644))
			}
			return false
		}}
		if err := Save(t.Context(), open(t, dir), r, filepath.Join(t.TempDir(), "saved")); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}
