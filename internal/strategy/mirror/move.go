package mirror

import (
	"errors"

	"golang.org/x/sys/unix"

	"stretcher/internal/disk"
	"stretcher/internal/disk/confined"
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
			return a.loosened(m.from, m.name,
				func() error { return a.loosened(m.to, m.name, func() error { return a.rename(m) }) })
		}
	}
	err := confined.Writable(m.from, func() error { return confined.Writable(m.to, run) })
	if errors.Is(err, unix.EXDEV) {
		return confined.Writable(m.to, func() error { return a.moveCopy(m) })
	}
	return err
}

// loosened is writable for a directory that may be there by that name.
func (a *application) loosened(fd int, name string, f func() error) error {
	err := f()
	if !errors.Is(err, unix.EACCES) {
		return err
	}
	dir, oerr := confined.OpenDir(fd, name)
	if oerr != nil {
		return err
	}
	defer unix.Close(dir)
	return confined.Writable(dir, f)
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
	err := confined.Exchange(from, name, to, place)
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
	err := a.copyAs(m.from, m.name, m.to, temp)
	switch {
	case err != nil:
	case m.swap:
		err = a.exchange(m.to, temp, m.to, m.name)
		if errors.Is(err, unix.EXDEV) {
			return a.replace(m.to, temp, m.name)
		}
	default:
		err = unix.Renameat(m.to, temp, m.to, m.name)
	}
	if err != nil {
		_ = disk.RemoveAt(m.to, temp)
		return err
	}
	if m.swap {
		return disk.RemoveAt(m.to, temp)
	}
	return nil
}

// replace puts what is called temp in the place of a directory that can't be
// renamed: overlayfs renames none of its lower layers. The directory is removed
// first. Killed in between, it is there in part or missing, and the next run
// goes on. So it does after an error, which leaves nothing of temp.
func (a *application) replace(dir int, temp, name string) error {
	a.changed = true
	err := disk.RemoveAt(dir, name)
	if err == nil {
		err = unix.Renameat(dir, temp, dir, name)
	}
	if err != nil {
		_ = disk.RemoveAt(dir, temp)
	}
	return err
}

// copyAs copies to a temporary name, which a killed process may have left.
func (a *application) copyAs(from int, name string, to int, temp string) error {
	if err := disk.RemoveAt(to, temp); err != nil {
		return err
	}
	return confined.Copier{}.Copy(a.ctx, from, name, to, temp)
}
