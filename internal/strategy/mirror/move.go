package mirror

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"stretcher/internal/archive"
)

// move is the way of a name from a directory of staging to the one of dest.
type move struct {
	from, to int // open directories
	name     string
	swap     bool // a directory is replaced, or replaces something else
}

// move carries it out. A directory has to be writable when its parent changes.
func (a *application) move(m move, isDirectory bool) error {
	run := func() error { return a.rename(m) }
	if isDirectory || m.swap {
		run = func() error {
			return a.loosened(m.from, m.name, func() error { return a.loosened(m.to, m.name, func() error { return a.rename(m) }) })
		}
	}
	err := a.writable(m.from, func() error { return a.writable(m.to, run) })
	if errors.Is(err, unix.EXDEV) {
		return a.writable(m.to, func() error { return a.moveCopy(m) })
	}
	return err
}

// loosened is writable for a directory that may be there by that name.
func (a *application) loosened(fd int, name string, f func() error) error {
	err := f()
	if !errors.Is(err, unix.EACCES) {
		return err
	}
	dir, oerr := openat(fd, name, openDir|unix.O_NOFOLLOW)
	if oerr != nil {
		return err
	}
	defer unix.Close(dir)
	return a.writable(dir, f)
}

func (a *application) rename(m move) error {
	if !m.swap {
		return unix.Renameat(m.from, m.name, m.to, m.name)
	}
	return a.exchange(m.from, m.name, m.to, m.name)
}

// exchange swaps what is at two paths. Where that takes several renames,
// the new one is missing between two of them.
func (a *application) exchange(from int, name string, to int, place string) error {
	err := exchange(from, name, to, place)
	if !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EINVAL) {
		return err
	}
	return a.exchangeSlow(from, name, to, place)
}

func (a *application) exchangeSlow(from int, name string, to int, place string) error {
	temp := a.opts.temp()
	if err := unix.Renameat(to, place, from, temp); err != nil {
		return err
	}
	if err := unix.Renameat(from, name, to, place); err != nil {
		return errors.Join(err, unix.Renameat(from, temp, to, place))
	}
	return unix.Renameat(from, temp, from, name)
}

// moveCopy is for a place on another file system than staging: the content is
// copied beside it.
func (a *application) moveCopy(m move) error {
	temp := a.opts.temp()
	err := copyAs(m.from, m.name, m.to, temp)
	switch {
	case err != nil:
	case m.swap:
		err = a.exchange(m.to, temp, m.to, m.name)
	default:
		err = unix.Renameat(m.to, temp, m.to, m.name)
	}
	if err != nil {
		_ = removeNode(m.to, temp)
		return err
	}
	if m.swap {
		return removeNode(m.to, temp)
	}
	return nil
}

// copyAs is copyNode to a temporary name, which a killed process may have left.
func copyAs(from int, name string, to int, temp string) error {
	if err := removeNode(to, temp); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	return copyNode(from, name, to, temp)
}

// copyNode copies a path with all below it, with modes, owners as far as the
// caller may set them, and times, but without hard links. What it makes it
// knows by descriptor from then on: somebody else may be able to rename where
// it is made.
func copyNode(from int, name string, to int, as string) error {
	var st unix.Stat_t
	if err := lstat(from, name, &st); err != nil {
		return err
	}
	e := entryOf(as, &st)
	switch {
	case e.Mode.IsRegular():
		return copyFile(from, name, to, &e)
	case e.Mode.IsDir():
		src, err := openat(from, name, openDir|unix.O_NOFOLLOW)
		if err != nil {
			return err
		}
		defer unix.Close(src)
		return copyTree(src, to, as)
	case uint32(st.Mode)&unix.S_IFMT == unix.S_IFLNK:
		target, err := readlink(from, name, make([]byte, maxTarget))
		if err != nil {
			return err
		}
		if err = unix.Symlinkat(string(target), to, as); err != nil {
			return err
		}
	default:
		if err := mkfifo(to, as); err != nil {
			return err
		}
	}
	w := isMode | isTime
	if unix.Geteuid() == 0 {
		w |= isOwner
	}
	return setMeta(to, as, &e, w)
}

func copyFile(from int, name string, to int, e *archive.Entry) error {
	src, err := openFile(from, name)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := createFile(to, e.Path)
	if err != nil {
		return err
	}
	if _, err = io.Copy(dst, src); err == nil {
		err = setFile(dst, to, e.Path, e, unix.Geteuid() == 0)
	}
	return errors.Join(err, dst.Close())
}

// copyTree copies an open directory with all below it.
func copyTree(from, to int, as string) error {
	var st unix.Stat_t
	if err := unix.Fstat(from, &st); err != nil {
		return err
	}
	dir, err := makeDir(to, as)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	names, err := new(walk).list(from)
	for _, name := range names {
		if err == nil {
			err = copyNode(from, name, dir, name)
		}
	}
	if err != nil {
		return err
	}
	e := entryOf(as, &st)
	if unix.Geteuid() == 0 {
		if err := unix.Fchown(dir, int(e.UID), int(e.GID)); err != nil {
			return err
		}
	}
	if err := unix.Fchmod(dir, perm(e.Mode)); err != nil {
		return err
	}
	return setTime(dir, ".", e.MTime)
}

// makeDir makes a directory for the caller alone and opens it. What it opens is
// what it made, or something else of the caller's that only the caller can get
// into.
func makeDir(fd int, name string) (int, error) {
	if err := unix.Mkdirat(fd, name, 0o700); err != nil {
		return -1, err
	}
	dir, err := openat(fd, name, openDir|unix.O_NOFOLLOW)
	if err != nil {
		return -1, err
	}
	var st unix.Stat_t
	if err = unix.Fstat(dir, &st); err == nil && (int(st.Uid) != unix.Geteuid() || st.Mode&0o077 != 0) {
		err = errors.New("another directory has taken its place")
	}
	if err != nil {
		_ = unix.Close(dir)
		return -1, err
	}
	return dir, nil
}

// removeNode removes a path with all below it, but for mount points.
func removeNode(fd int, name string) error {
	err := unlink(fd, name)
	switch {
	case errors.Is(err, unix.EBUSY), errors.Is(err, unix.EACCES) && isMount(fd, name):
		return fmt.Errorf("%q is a mount point: %w", name, err)
	case !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, unix.EEXIST) && !errors.Is(err, unix.EACCES):
		return err
	}
	w, err := newWalkAt(fd, name)
	if err != nil {
		return err
	}
	defer w.close()
	_ = unix.Fchmod(w.root(), 0o700) // it may be read-only, and goes anyway
	names, err := w.list(w.root())
	for _, n := range names {
		if err == nil {
			err = removeNode(w.root(), n)
		}
	}
	if err != nil {
		return err
	}
	return unix.Unlinkat(fd, name, unix.AT_REMOVEDIR)
}
