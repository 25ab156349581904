// Package disk does the few things with file systems that package os leaves
// out: how much room there is, a rename that replaces nothing, and the
// removal of a tree that does not let itself be removed.
//
// It imports no other package of this module.
package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"
)

// ErrNoRoom: a file system has too little room.
var ErrNoRoom = errors.New("not enough room")

// reserve is left free on every file system, in bytes: others write there too.
const reserve = 1 << 20

// Room returns an error when dir's file system has no room for size bytes
// (ErrNoRoom) or dir can't be looked at. A negative size, unknown, needs only
// the directory.
func Room(dir string, size int64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
	free := int64(st.Bavail) * int64(st.Bsize)
	if size >= 0 && free < size+reserve {
		return fmt.Errorf("%q: %w: %s needed, %s free", dir, ErrNoRoom, humanize.IBytes(uint64(size)), humanize.IBytes(uint64(free)))
	}
	return nil
}

// RemoveAll removes a tree. Unlike os.RemoveAll it also removes directories
// that the caller owns but may not write, as unpacked archives have them.
func RemoveAll(dir string) error {
	removeParts(dir)
	err := os.RemoveAll(dir)
	if err == nil || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	// Inside an os.Root: what is removed was unpacked from an archive, and a
	// symlink in it must not lead the chmod elsewhere.
	if root, openErr := os.OpenRoot(filepath.Dir(dir)); openErr == nil {
		unlock(root, filepath.Base(dir))
		_ = root.Close()
	}
	return os.RemoveAll(dir)
}

const (
	manyParts = 16 // keep all workers busy until the end
	removers  = 4
)

// removeParts removes much of a tree, several directories of it at a time.
// What it can't, it leaves.
func removeParts(dir string) {
	if info, err := os.Lstat(dir); err != nil || !info.IsDir() {
		return // a symlink goes, not what it leads to
	}
	parts := subdirs(dir)
	for len(parts) > 0 && len(parts) < manyParts {
		var next []string
		for _, p := range parts {
			next = append(next, subdirs(p)...)
		}
		if len(next) < len(parts) {
			break
		}
		parts = next
	}
	work := make(chan string)
	var done sync.WaitGroup
	for range min(removers, runtime.GOMAXPROCS(0), len(parts)) {
		done.Go(func() {
			for p := range work {
				_ = os.RemoveAll(p)
			}
		})
	}
	for _, p := range parts {
		work <- p
	}
	close(work)
	done.Wait()
}

// subdirs are the directories in dir, symlinks to such excluded.
func subdirs(dir string) (dirs []string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.IsDir() {
			dirs = append(dirs, filepath.Join(dir, e.Name()))
		}
	}
	return dirs
}

// unlock makes dir and all directories below it writable, as far as it can.
func unlock(root *os.Root, dir string) {
	info, err := root.Lstat(dir)
	if err != nil || !info.IsDir() {
		return
	}
	_ = root.Chmod(dir, info.Mode().Perm()|0o700)
	f, err := root.Open(dir)
	if err != nil {
		return
	}
	entries, _ := f.ReadDir(-1)
	_ = f.Close()
	for _, e := range entries {
		if e.IsDir() {
			unlock(root, filepath.Join(dir, e.Name()))
		}
	}
}
