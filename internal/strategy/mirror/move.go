package mirror

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"
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
// caller may set them, and times, but without hard links.
func copyNode(from int, name string, to int, as string) error {
	var st unix.Stat_t
	if err := lstat(from, name, &st); err != nil {
		return err
	}
	e := entryOf(as, &st)
	var err error
	switch {
	case e.Mode.IsRegular():
		err = copyFile(from, name, to, as)
	case e.Mode.IsDir():
		err = copyDir(from, name, to, as)
	case uint32(st.Mode)&unix.S_IFMT == unix.S_IFLNK:
		var target []byte
		if target, err = readlink(from, name, make([]byte, maxTarget)); err == nil {
			err = unix.Symlinkat(string(target), to, as)
		}
	default:
		err = mkfifo(to, as)
	}
	if err != nil {
		return err
	}
	return setAll(to, as, &e, unix.Geteuid() == 0)
}

func copyFile(from int, name string, to int, as string) error {
	src, err := openFile(from, name)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := createFile(to, as)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Close())
}

func copyDir(from int, name string, to int, as string) error {
	if err := unix.Mkdirat(to, as, 0o700); err != nil {
		return err
	}
	src, err := newWalkAt(from, name)
	if err != nil {
		return err
	}
	defer src.close()
	dst, err := newWalkAt(to, as)
	if err != nil {
		return err
	}
	defer dst.close()
	names, err := src.list(src.root())
	for _, n := range names {
		if err == nil {
			err = copyNode(src.root(), n, dst.root(), n)
		}
	}
	return err
}

// removeNode removes a path with all below it.
func removeNode(fd int, name string) error {
	err := unlink(fd, name)
	if !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, unix.EEXIST) && !errors.Is(err, unix.EACCES) {
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
