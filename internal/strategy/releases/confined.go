package releases

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
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
	info, err := at.Lstat(elem)
	if errors.Is(err, fs.ErrNotExist) {
		if err := missing(); err != nil {
			return nil, err
		}
		info, err = at.Lstat(elem)
	}
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, notDir(info.Mode())
	}
	return at.OpenRoot(elem)
}

func notDir(mode fs.FileMode) error {
	return fmt.Errorf("it is %s, not a directory", kind(mode))
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

// writable runs f while the caller may write in dir.
func writable(dir *os.Root, f func() error) error {
	mode, err := loosen(dir, ".")
	if err != nil {
		return err
	}
	err = f()
	if mode.loose {
		err = errors.Join(err, dir.Chmod(".", mode.was))
	}
	return err
}

// removeIn removes a tree in a directory, whatever its directories' modes.
func removeIn(in *os.Root, name string) error {
	err := in.RemoveAll(name)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	_ = fs.WalkDir(in.FS(), name, func(p string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			_, _ = loosen(in, p) // called before the directory is read
		}
		return nil
	})
	return in.RemoveAll(name)
}

// renameIn renames from one directory to another. The new name must not exist.
func renameIn(from *os.Root, name string, to *os.Root, newName string) error {
	return inBoth(from, to, func(f, t *os.File) error {
		if err := renameAt(f, name, t, newName); err != nil {
			return &os.LinkError{Op: "rename", Old: filepath.Join(from.Name(), name), New: newName, Err: err}
		}
		return nil
	})
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

// copyTo copies a tree under a temporary name, then renames it. What an
// earlier copy that was killed has left there is removed.
func (l *linker) copyTo(ctx context.Context, from *os.Root, name string, to *os.Root, newName string, mode fs.FileMode) error {
	left, err := fs.ReadDir(to.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range left {
		if sharedLeftovers.MatchString(e.Name()) {
			if err := removeIn(to, e.Name()); err != nil {
				return err
			}
		}
	}
	temp := newShared + l.id
	if err := copyTree(ctx, from, name, to, temp); err != nil {
		_ = removeIn(to, temp)
		return copyError(err)
	}
	if l.sync {
		if err := syncRoot(to); err != nil {
			return err
		}
	}
	if err := to.Rename(temp, newName); err != nil {
		return err
	}
	return to.Chmod(newName, mode)
}

// copyTree copies a file, a symlink or a directory with all in it, with mode,
// owner and time.
func copyTree(ctx context.Context, from *os.Root, name string, to *os.Root, newName string) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	info, err := from.Lstat(name)
	if err != nil {
		return err
	}
	switch mode := info.Mode(); {
	case mode.IsDir():
		err = copyDir(ctx, from, name, to, newName)
	case mode.IsRegular():
		err = copyFile(from, name, to, newName)
	case mode&fs.ModeSymlink != 0:
		var target string
		if target, err = from.Readlink(name); err == nil {
			err = to.Symlink(target, newName)
		}
	default:
		return uncopied(name, mode)
	}
	if err != nil {
		return err
	}
	return copyMeta(info, to, newName)
}

// uncopied is the error for what can't be copied.
func uncopied(name string, mode fs.FileMode) error {
	return fmt.Errorf("%q is %s", name, kind(mode))
}

func copyError(err error) error { return fmt.Errorf("copy to %q: %w", sharedName, err) }

func copyDir(ctx context.Context, from *os.Root, name string, to *os.Root, newName string) error {
	if err := to.Mkdir(newName, 0o700); err != nil {
		return err
	}
	entries, err := fs.ReadDir(from.FS(), name)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := copyTree(ctx, from, path.Join(name, e.Name()), to, path.Join(newName, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(from *os.Root, name string, to *os.Root, newName string) error {
	in, err := from.Open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := to.OpenFile(newName, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	return err
}

// copyMeta sets owner (as root), mode and time of what was copied.
func copyMeta(info fs.FileInfo, to *os.Root, name string) error {
	if os.Geteuid() == 0 {
		st := info.Sys().(*syscall.Stat_t)
		if err := to.Lchown(name, int(st.Uid), int(st.Gid)); err != nil {
			return err
		}
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		return nil
	}
	if err := to.Chmod(name, settable(info.Mode())); err != nil {
		return err
	}
	return to.Chtimes(name, info.ModTime(), info.ModTime())
}
