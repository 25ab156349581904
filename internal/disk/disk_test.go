//go:build linux

package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRoom(t *testing.T) {
	dir := dirAt(t, t.TempDir())
	for _, size := range []int64{-1, 0, 1} {
		if err := dir.Room(size); err != nil {
			t.Errorf("Room(%d) = %v", size, err)
		}
	}
	err := dir.Room(1 << 60)
	if !errors.Is(err, ErrNoRoom) || !strings.Contains(err.Error(), "1.0 EiB needed") {
		t.Errorf("err = %v", err)
	}
}

func TestRenameNew(t *testing.T) {
	top := rootAt(t, t.TempDir())
	if err := RenameNew(top, "a/b", top, "c"); !errors.Is(err, unix.EINVAL) {
		t.Errorf("a path as a name: %v", err)
	}
	for _, kind := range []string{"nothing", "empty directory", "file", "dangling symlink"} {
		t.Run(kind, func(t *testing.T) {
			dir, other := rootAt(t, t.TempDir()), rootAt(t, t.TempDir())
			must(t, dir.Mkdir("from", 0o755))
			switch kind {
			case "empty directory":
				must(t, other.Mkdir("to", 0o755))
			case "file":
				must(t, other.WriteFile("to", nil, 0o644))
			case "dangling symlink":
				must(t, other.Symlink("nowhere", "to"))
			}
			err := RenameNew(dir, "from", other, "to")
			if kind == "nothing" {
				must(t, err)
			} else if !errors.Is(err, fs.ErrExist) {
				t.Errorf("err = %v, want ErrExist", err)
			}
		})
	}
}

func TestRename(t *testing.T) {
	dir, other := rootAt(t, t.TempDir()), rootAt(t, t.TempDir())
	must(t, dir.Symlink("new", "a"))
	must(t, other.Symlink("old", "b"))
	if err := Rename(dir, "a", other, "../b"); !errors.Is(err, unix.EINVAL) {
		t.Errorf("a path as a name: %v", err)
	}
	must(t, Rename(dir, "a", other, "b"))
	if target, err := other.Readlink("b"); err != nil || target != "new" {
		t.Errorf("the link leads to %q, %v", target, err)
	}
	if err := Rename(dir, "a", other, "b"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("err = %v, want ErrNotExist", err)
	}
}

func TestExchange(t *testing.T) {
	dir, other := rootAt(t, t.TempDir()), rootAt(t, t.TempDir())
	must(t, dir.WriteFile("a", []byte("a"), 0o644))
	must(t, other.Mkdir("b", 0o755))
	must(t, Exchange(dir, "a", other, "b"))
	if info, err := dir.Stat("a"); err != nil || !info.IsDir() {
		t.Errorf("a is %v, %v", info, err)
	}
	if text, err := other.ReadFile("b"); err != nil || string(text) != "a" {
		t.Errorf("b holds %q, %v", text, err)
	}
}

func rootAt(t *testing.T, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	must(t, err)
	t.Cleanup(func() { _ = root.Close() })
	return root
}

// TestRemoveAllReadOnly runs the removal as an ordinary user: root may remove
// anything.
func TestRemoveAllReadOnly(t *testing.T) {
	dir := t.TempDir()
	tree, other := filepath.Join(dir, "tree"), filepath.Join(dir, "other")
	must(t, os.MkdirAll(filepath.Join(tree, "a/b"), 0o755))
	must(t, os.MkdirAll(other, 0o755))
	must(t, os.WriteFile(filepath.Join(tree, "a/b/file"), nil, 0o444))
	must(t, os.Symlink(other, filepath.Join(tree, "a/link")))
	must(t, os.MkdirAll(filepath.Join(tree, "closed/c"), 0o755))
	must(t, os.Chmod(filepath.Join(tree, "closed"), 0))
	must(t, os.Chmod(filepath.Join(tree, "a/b"), 0o500))
	must(t, os.Chmod(filepath.Join(tree, "a"), 0o500))
	must(t, os.Chmod(other, 0o500))
	t.Cleanup(func() { _ = os.Chmod(other, 0o700) })
	asUser(t, dir, func() { must(t, RemoveAll(rootAt(t, dir), "tree")) })
	if _, err := os.Lstat(tree); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("tree is still there: %v", err)
	}
	if info, err := os.Stat(other); err != nil || info.Mode().Perm() != 0o500 {
		t.Errorf("what a symlink leads to was changed: %v, %v", info.Mode(), err)
	}
}

// asUser runs f with the file system rights of an ordinary user.
func asUser(t *testing.T, dir string, f func()) {
	t.Helper()
	if os.Getuid() != 0 {
		f()
		return
	}
	const nobody = 65534
	must(t, os.Chmod(filepath.Dir(dir), 0o755)) // made 0700 by the testing package
	must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		must(t, err)
		return os.Lchown(path, nobody, nobody)
	}))
	done := make(chan struct{})
	go func() { // its own thread, which ends with the goroutine
		defer close(done)
		runtime.LockOSThread()
		must(t, unix.Setfsuid(nobody)) // the capabilities over files go with it: credentials(7)
		f()
	}()
	<-done
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestRemoveAllParts: large trees go, also those that several workers share,
// and what symlinks lead to stays.
func TestRemoveAllParts(t *testing.T) {
	outside := t.TempDir()
	if err := os.MkdirAll(filepath.Join(outside, "kept/kept"), 0o755); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "tree")
	for i := range 40 {
		sub := filepath.Join(dir, "only", fmt.Sprint(i), "deep", "er")
		if err := os.MkdirAll(sub, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, link := range []string{sub + "/link", filepath.Join(dir, "only", fmt.Sprint(i), "link")} {
			if err := os.Symlink(outside, link); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.Symlink(outside, dir+"/only/link"); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(outside, link); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{dir, link} {
		if err := RemoveAll(rootAt(t, filepath.Dir(name)), filepath.Base(name)); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Lstat(name); !os.IsNotExist(err) {
			t.Errorf("%q is there: %v", name, err)
		}
	}
	if _, err := os.Stat(filepath.Join(outside, "kept/kept")); err != nil {
		t.Error(err)
	}
}
