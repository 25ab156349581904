package releases

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"stretcher/internal/disk"
)

// descend opens a directory below root, "." for root itself, and follows no
// symlink on the way. It calls missing (nil = an error) to make a directory
// that isn't there; at is its parent, rel its path from root.
func descend(root *os.Root, dir string, missing func(at *os.Root, rel string) error) (*os.Root, error) {
	at, err := root.OpenRoot(".")
	if err != nil || dir == "." {
		return at, err
	}
	rel := ""
	for elem := range strings.SplitSeq(dir, "/") {
		rel = path.Join(rel, elem)
		next, err := step(at, elem, func() error {
			if missing == nil {
				return fs.ErrNotExist
			}
			return missing(at, rel)
		})
		_ = at.Close()
		if err != nil {
			return nil, fmt.Errorf("%q: %w", rel, err)
		}
		at = next
	}
	return at, nil
}

// step opens the directory elem of at.
func step(at *os.Root, elem string, missing func() error) (*os.Root, error) {
	dir, err := openDir(at, elem)
	if !errors.Is(err, fs.ErrNotExist) {
		return dir, err
	}
	if err := missing(); err != nil {
		return nil, err
	}
	return openDir(at, elem)
}

// openDir opens a directory in another one, which others may write in: it
// follows no symlink and waits for no FIFO, whatever is put there meanwhile.
func openDir(in *os.Root, name string) (*os.Root, error) {
	info, err := in.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, notDir(info.Mode())
	}
	dir, err := in.OpenRoot(name + "/.") // a directory, or an error
	if err != nil {
		return nil, err
	}
	opened, err := dir.Stat(".")
	if err == nil && !os.SameFile(info, opened) {
		err = fmt.Errorf("%q has been replaced by somebody", name)
	}
	if err != nil {
		_ = dir.Close()
		return nil, err
	}
	return dir, nil
}

// openFile opens a regular file for reading in the same way, and tells what it
// is.
func openFile(in *os.Root, name string) (*os.File, fs.FileInfo, error) {
	info, err := in.Lstat(name)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("it is %s, not a file", kind(info.Mode()))
	}
	f, err := in.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	opened, err := f.Stat()
	if err == nil && !os.SameFile(info, opened) {
		err = fmt.Errorf("%q has been replaced by somebody", name)
	}
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	return f, opened, nil
}

// notDirError says that something else stands where a directory should.
type notDirError struct{ mode fs.FileMode }

// Error names what it is.
func (e *notDirError) Error() string { return fmt.Sprintf("it is %s, not a directory", kind(e.mode)) }

func notDir(mode fs.FileMode) error { return &notDirError{mode} }

// at gives the error of a name in an open directory the directory's path.
func at(dir string, err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return &fs.PathError{Op: strings.TrimSuffix(path.Op, "at"), Path: filepath.Join(dir, path.Path), Err: path.Err}
	case errors.As(err, &link):
		name := filepath.Join(dir, link.New)
		return &os.LinkError{Op: strings.TrimSuffix(link.Op, "at"), Old: link.Old, New: name, Err: link.Err}
	}
	return err
}

// lookup says what name below root is.
func lookup(root *os.Root, name string) (fs.FileInfo, error) {
	parent, err := descend(root, path.Dir(name), nil)
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	return parent.Lstat(path.Base(name))
}

// openUnlocked is openDir for a directory of the caller's own that it may
// neither read nor write, perhaps: it may until lock has been called.
func openUnlocked(in *os.Root, name string) (dir *os.Root, lock func() error, err error) {
	info, err := in.Lstat(name)
	if err != nil {
		return nil, nil, err
	}
	was := settable(info.Mode())
	if !info.IsDir() || was&0o700 == 0o700 {
		dir, err = openDir(in, name)
		return dir, func() error { return nil }, err
	}
	if err := in.Chmod(name, was|0o700); err != nil {
		return nil, nil, err
	}
	if dir, err = openDir(in, name); err != nil {
		return nil, nil, err
	}
	return dir, func() error { return dir.Chmod(".", was) }, nil
}

// writable runs f while the caller may write in dir.
func writable(dir *os.Root, f func() error) error {
	info, err := dir.Stat(".")
	if err != nil {
		return err
	}
	was := settable(info.Mode())
	if was&0o300 == 0o300 {
		return f()
	}
	if err := dir.Chmod(".", was|0o700); err != nil {
		return err
	}
	return errors.Join(f(), dir.Chmod(".", was))
}

// keepTime changes what is in a directory and leaves its time as it is, as the
// archive has it.
func keepTime(in *os.Root, dir string, change func() error) error {
	info, err := in.Stat(dir)
	if err != nil {
		return err
	}
	return errors.Join(change(), in.Chtimes(dir, time.Time{}, info.ModTime()))
}

// settable is the part of a mode that chmod sets.
func settable(mode fs.FileMode) fs.FileMode {
	return mode & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)
}

// moveDir renames a directory to a new name in another directory. For that
// others than root must be allowed to write in it: its ".." changes.
func moveDir(from *os.Root, name string, to *os.Root, newName string) error {
	dir, lock, err := openUnlocked(from, name)
	if err != nil {
		return err
	}
	defer dir.Close()
	return errors.Join(disk.RenameNew(from, name, to, newName), lock())
}

// linkAt hard-links a file of one directory into another.
func linkAt(from *os.Root, name string, to *os.Root, newName string) error {
	return inBoth(from, to, func(f, t *os.File) error {
		return unix.Linkat(int(f.Fd()), name, int(t.Fd()), newName, 0) // a symlink is not followed
	})
}

// inBoth opens two directories for what os.Root has no method for.
func inBoth(from, to *os.Root, do func(f, t *os.File) error) error {
	f, err := from.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	t, err := to.Open(".")
	if err != nil {
		return err
	}
	defer t.Close()
	return do(f, t)
}

// syncRoot puts everything on dir's file system on the disk.
func syncRoot(dir *os.Root) error {
	f, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	return syncFS(f)
}
