package releases

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"stretcher/internal/disk"
)

// copyTo copies a tree under a temporary name, then renames it. What an
// earlier copy that was killed has left there is removed.
func (l *linker) copyTo(ctx context.Context, from *os.Root, name string, to *os.Root, newName string) error {
	if err := sweep(to, sharedLeftovers); err != nil {
		return err
	}
	temp := newShared + l.id
	if err := copyTree(ctx, from, name, to, temp); err != nil {
		_ = disk.RemoveAll(to, temp)
		return copyError(err)
	}
	if l.sync {
		if err := syncRoot(to); err != nil {
			return err
		}
	}
	return move(to, temp, to, newName)
}

func copyError(err error) error { return fmt.Errorf("copy to %q: %w", sharedName, err) }

// isCopied tells whether a file of that type can be copied.
func isCopied(mode fs.FileMode) bool {
	return mode.IsDir() || mode.IsRegular() || mode&fs.ModeSymlink != 0
}

// uncopied is the error for what can't be copied.
func uncopied(name string, mode fs.FileMode) error {
	return fmt.Errorf("%q is %s", name, kind(mode))
}

// copier copies a tree into a directory that somebody else may write in: it
// reaches all that it has made by descriptors, and only one name at a time.
type copier struct{ ctx context.Context }

// copyTree copies a file, a symlink or a directory with all in it, with mode,
// owner and time.
func copyTree(ctx context.Context, from *os.Root, name string, to *os.Root, newName string) error {
	return copier{ctx}.copy(name, from, name, to, newName)
}

// copy copies one name; rel is what messages call it.
func (c copier) copy(rel string, from *os.Root, name string, to *os.Root, newName string) error {
	if err := context.Cause(c.ctx); err != nil {
		return err
	}
	info, err := from.Lstat(name)
	if err != nil {
		return err
	}
	switch mode := info.Mode(); {
	case mode.IsDir():
		err = c.dir(rel, info, from, name, to, newName)
	case mode.IsRegular():
		err = c.file(info, from, name, to, newName)
	case mode&fs.ModeSymlink != 0:
		return c.symlink(info, from, name, to, newName)
	default:
		return uncopied(rel, mode)
	}
	if err != nil {
		return err
	}
	return setTime(to, newName, info.ModTime())
}

// setTime sets the time of what a name stands for, be it a symlink.
func setTime(in *os.Root, name string, t time.Time) error {
	dir, err := in.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	at := unix.NsecToTimespec(t.UnixNano())
	return unix.UtimesNanoAt(int(dir.Fd()), name, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW)
}

func (c copier) dir(rel string, info fs.FileInfo, from *os.Root, name string, to *os.Root, newName string) error {
	in, lock, err := openUnlocked(from, name)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := to.Mkdir(newName, 0o700); err != nil {
		return err
	}
	out, err := openDir(to, newName)
	if err != nil {
		return err
	}
	defer out.Close()
	if err := isNew(out); err != nil {
		return err
	}
	entries, err := fs.ReadDir(in.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := c.copy(path.Join(rel, e.Name()), in, e.Name(), out, e.Name()); err != nil {
			return err
		}
	}
	f, err := out.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	return errors.Join(setMeta(f, info), lock())
}

// isNew refuses a directory that is not the one just made.
func isNew(dir *os.Root) error {
	info, err := dir.Stat(".")
	if err != nil {
		return err
	}
	entries, err := fs.ReadDir(dir.FS(), ".")
	if err != nil {
		return err
	}
	if uid := info.Sys().(*syscall.Stat_t).Uid; int(uid) != os.Geteuid() || len(entries) > 0 {
		return fmt.Errorf("%q has been replaced by somebody", path.Base(dir.Name()))
	}
	return nil
}

func (copier) file(info fs.FileInfo, from *os.Root, name string, to *os.Root, newName string) error {
	in, _, err := openFile(from, name)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := to.OpenFile(newName, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = setMeta(out, info)
	}
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	return err
}

func (copier) symlink(info fs.FileInfo, from *os.Root, name string, to *os.Root, newName string) error {
	target, err := from.Readlink(name)
	if err != nil {
		return err
	}
	if err := to.Symlink(target, newName); err != nil || os.Geteuid() != 0 {
		return err
	}
	st := info.Sys().(*syscall.Stat_t)
	return to.Lchown(newName, int(st.Uid), int(st.Gid))
}

// setMeta gives an open file or directory the owner (as root) and mode of what
// it is a copy of.
func setMeta(f *os.File, info fs.FileInfo) error {
	if os.Geteuid() == 0 {
		st := info.Sys().(*syscall.Stat_t)
		if err := f.Chown(int(st.Uid), int(st.Gid)); err != nil {
			return err
		}
	}
	return f.Chmod(settable(info.Mode()))
}
