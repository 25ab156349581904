package tree

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
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

func read(t testing.TB, dir string) Tree {
	t.Helper()
	tr, err := Read(t.Context(), dir, func(path string, _ bool) bool { return strings.HasSuffix(path, ".pid") })
	must(t, err)
	return tr
}

func TestNoDrift(t *testing.T) {
	dir := plant(t)
	before := read(t, dir)
	name := filepath.Join(t.TempDir(), "saved")
	must(t, Record{before, []byte("*.pid")}.Save(name))
	loaded, err := Load(name)
	must(t, err)
	if len(loaded.Tree) != 6 || string(loaded.Excludes) != "*.pid" {
		t.Errorf("%d entries: %+v", len(loaded.Tree), loaded)
	}
	// What is skipped may change, and the time of its directory with it.
	must(t, os.WriteFile(filepath.Join(dir, "other.pid"), nil, 0o644))
	must(t, os.Chtimes(dir, time.Unix(1, 0), time.Unix(1, 0)))
	if drift := Compare(loaded.Tree, read(t, dir)); drift != nil {
		t.Errorf("drift = %v", drift)
	}
}

func TestDrift(t *testing.T) {
	for what, spoil := range map[string]func(dir string) error{
		"file missing": func(d string) error { return os.Remove(d + "/file") },
		"new extra":    func(d string) error { return os.WriteFile(d+"/new", nil, 0o644) },
		"file size":    func(d string) error { return os.WriteFile(d+"/file", []byte("more content"), 0o644) },
		"file time":    func(d string) error { return os.Chtimes(d+"/file", time.Time{}, time.Unix(9, 0)) },
		"file mode":    func(d string) error { return os.Chmod(d+"/file", 0o600) },
		". mode":       func(d string) error { return os.Chmod(d, 0o700) },
		"file type":    func(d string) error { return errors.Join(os.Remove(d+"/file"), os.Mkdir(d+"/file", 0o755)) },
		"link link":    func(d string) error { return errors.Join(os.Remove(d+"/link"), os.Symlink("x", d+"/link")) },
		"sub/deep missing": func(d string) error {
			return os.Remove(d + "/sub/deep")
		},
	} {
		t.Run(what, func(t *testing.T) {
			dir := plant(t)
			before := read(t, dir)
			must(t, spoil(dir))
			drift := Compare(before, read(t, dir))
			if len(drift) != 1 || drift[0].Path+" "+drift[0].What != what {
				t.Errorf("drift = %v", drift)
			}
		})
	}
}

func TestOwnerDrift(t *testing.T) {
	a := Tree{{Path: "x", UID: 1}}
	b := Tree{{Path: "x", GID: 1}}
	if drift := Compare(a, b); fmt.Sprint(drift) != "[{x owner}]" {
		t.Errorf("drift = %v", drift)
	}
}

func TestSymlinkedRootIsFollowed(t *testing.T) {
	dir := plant(t)
	link := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink(dir, link))
	before := read(t, link)
	must(t, os.Remove(dir+"/file"))
	if drift := Compare(before, read(t, link)); fmt.Sprint(drift) != "[{file missing}]" {
		t.Errorf("drift = %v", drift)
	}
}

func TestReadErrors(t *testing.T) {
	if _, err := Read(t.Context(), filepath.Join(t.TempDir(), "missing"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("err = %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Read(ctx, plant(t), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
}

func TestLoadErrors(t *testing.T) {
	name := filepath.Join(t.TempDir(), "saved")
	if _, err := Load(name); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("err = %v", err)
	}
	must(t, Record{Tree: Tree{{Path: "."}}}.Save(name))
	data, err := os.ReadFile(name)
	must(t, err)
	for n := range data {
		must(t, os.WriteFile(name, data[:n], 0o600))
		if _, err := Load(name); err == nil {
			t.Errorf("%d of %d bytes were loaded", n, len(data))
		}
	}
	if err := (Record{}).Save("/no/such/dir/x"); err == nil {
		t.Error("saved to nowhere")
	}
}

func BenchmarkCheck15000(b *testing.B) {
	dir := b.TempDir()
	for i := range 15_000 {
		sub := filepath.Join(dir, fmt.Sprint(i/100))
		must(b, os.MkdirAll(sub, 0o755))
		must(b, os.WriteFile(filepath.Join(sub, fmt.Sprint(i)), nil, 0o644))
	}
	name := filepath.Join(b.TempDir(), "saved")
	must(b, Record{Tree: read(b, dir)}.Save(name))
	for b.Loop() {
		saved, err := Load(name)
		must(b, err)
		if Compare(saved.Tree, read(b, dir)) != nil {
			b.Fatal("drift")
		}
	}
}
