//go:build linux

package disk

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"stretcher/internal/testparts"
)

func TestOpenDest(t *testing.T) {
	top := tempDir(t)
	must(t, os.MkdirAll(filepath.Join(top, "data/web"), 0o755))
	must(t, os.WriteFile(filepath.Join(top, "file"), nil, 0o644))
	for name, target := range map[string]string{
		"link": "data/web", "srv": "data", "dangling": "data/none", "tofile": "file", "root": "/",
	} {
		must(t, os.Symlink(target, filepath.Join(top, name)))
	}
	for _, c := range []struct {
		path, real string
		there      bool
		err        error
	}{
		{"data/web", "data/web", true, nil},
		{"data/web/", "data/web", true, nil},
		{"link", "data/web", true, nil},
		{"srv/web", "data/web", true, nil},
		{"srv/new", "data/new", false, nil},
		{"new", "new", false, nil},
		{"srv", "data", true, nil},
		{"none/new", "", false, ErrNoParent},
		{"file/new", "", false, ErrNoParent},
		{"dangling", "", false, ErrDangling},
		{"dangling/new", "", false, ErrNoParent},
		{"file", "", false, ErrNotDir},
		{"tofile", "", false, ErrNotDir},
	} {
		d, err := OpenDest(filepath.Join(top, c.path))
		if !errors.Is(err, c.err) {
			t.Errorf("OpenDest(%q): %v, want %v", c.path, err, c.err)
		}
		if err != nil {
			continue
		}
		if d.Real() != filepath.Join(top, c.real) || (d.Dir != nil) != c.there || d.IsMount {
			t.Errorf("OpenDest(%q): %q, %v, mount: %v", c.path, d.Real(), d.Dir, d.IsMount)
		}
		if d.Path() != filepath.Join(top, c.path) {
			t.Errorf("its path is %q", d.Path())
		}
		if d.Dir != nil && d.Dir.Path() != d.Real() {
			t.Errorf("it is open at %q", d.Dir.Path())
		}
		must(t, d.Close())
	}
	if _, err := OpenDest(filepath.Join(top, "root")); err == nil {
		t.Error("a dest that is / was opened")
	}
}

// mounted mounts an empty file system, or skips the test.
func mounted(t *testing.T, dir string) {
	t.Helper()
	testparts.Mount(t, "none", dir, "tmpfs", 0, "")
}

func TestOpenDestMount(t *testing.T) {
	top := tempDir(t)
	must(t, os.Mkdir(filepath.Join(top, "a"), 0o755))
	mounted(t, filepath.Join(top, "a"))
	d, err := OpenDest(filepath.Join(top, "a"))
	must(t, err)
	defer d.Close()
	if !d.IsMount || d.Dir.Device() == d.Parent.Device() {
		t.Errorf("mount: %v", d.IsMount)
	}
}

func TestRemoveAllMount(t *testing.T) {
	for _, bind := range []bool{false, true} {
		top := tempDir(t)
		for _, dir := range []string{"tree/a/mount", "tree/b/c", "other/kept"} {
			must(t, os.MkdirAll(filepath.Join(top, dir), 0o755))
		}
		mount := filepath.Join(top, "tree/a/mount")
		if bind {
			testparts.Bind(t, filepath.Join(top, "other"), mount)
		} else {
			mounted(t, mount)
			must(t, os.Mkdir(filepath.Join(mount, "kept"), 0o755))
		}
		root := rootAt(t, top)
		if err := RemoveAll(root, "tree"); !errors.Is(err, ErrMount) {
			t.Errorf("bind: %v: %v", bind, err)
		}
		if _, err := os.Stat(filepath.Join(mount, "kept")); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join(top, "tree/b")); err == nil {
			t.Error("what could be removed is there")
		}
		must(t, unix.Unmount(mount, 0))
		must(t, RemoveAll(root, "tree"))
	}
}

// TestOpenDestDir: a dest that is open is opened again as it is, whatever has
// its name by then; one that has come since is opened by its name, and not
// through a symlink.
func TestOpenDestDir(t *testing.T) {
	top := tempDir(t)
	path := filepath.Join(top, "dest")
	missing, err := OpenDest(path)
	must(t, err)
	defer missing.Close()
	must(t, os.MkdirAll(filepath.Join(path, "old"), 0o755))
	there, err := OpenDest(path)
	must(t, err)
	for _, d := range []*Dest{missing, there} {
		holds(t, d, "old")
	}
	must(t, os.Rename(path, path+".away"))
	must(t, os.MkdirAll(filepath.Join(path, "new"), 0o755))
	holds(t, missing, "new")
	holds(t, there, "old")
	must(t, os.RemoveAll(path))
	must(t, os.Symlink("dest.away", path))
	if dir, err := missing.OpenDir(); err == nil {
		t.Errorf("a symlink was followed: %q", dir.Path())
	}
	again, err := there.OpenDir()
	must(t, err)
	must(t, there.Close())
	if _, err := again.Root().Stat("old"); err != nil {
		t.Errorf("it was closed with the other: %v", err)
	}
	must(t, again.Close())
}

func holds(t *testing.T, d *Dest, name string) {
	t.Helper()
	dir, err := d.OpenDir()
	must(t, err)
	defer dir.Close()
	if _, err := dir.Root().Stat(name); err != nil {
		t.Error(err)
	}
}
