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
	dir := t.TempDir()
	for _, size := range []int64{-1, 0, 1} {
		if err := Room(dir, size); err != nil {
			t.Errorf("Room(%d) = %v", size, err)
		}
	}
	err := Room(dir, 1<<60)
	if !errors.Is(err, ErrNoRoom) || !strings.Contains(err.Error(), "1.0 EiB needed") {
		t.Errorf("err = %v", err)
	}
	if err := Room(dir+"/missing", 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("err = %v", err)
	}
}

func TestRenameNew(t *testing.T) {
	for name, rename := range map[string]func(string, string) error{"RenameNew": RenameNew, "renameChecked": renameChecked} {
		for _, kind := range []string{"nothing", "empty directory", "file", "dangling symlink"} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				dir := t.TempDir()
				from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
				must(t, os.Mkdir(from, 0o755))
				switch kind {
				case "empty directory":
					must(t, os.Mkdir(to, 0o755))
				case "file":
					must(t, os.WriteFile(to, nil, 0o644))
				case "dangling symlink":
					must(t, os.Symlink("nowhere", to))
				}
				err := rename(from, to)
				if kind == "nothing" {
					must(t, err)
				} else if !errors.Is(err, fs.ErrExist) {
					t.Errorf("err = %v, want ErrExist", err)
				}
			})
		}
	}
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
	must(t, os.Chmod(filepath.Join(tree, "a/b"), 0o500))
	must(t, os.Chmod(filepath.Join(tree, "a"), 0o500))
	must(t, os.Chmod(other, 0o500))
	t.Cleanup(func() { _ = os.Chmod(other, 0o700) })
	asUser(t, dir, func() { must(t, RemoveAll(tree)) })
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
		if err := RemoveAll(name); err != nil {
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
