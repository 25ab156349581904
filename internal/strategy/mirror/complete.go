package mirror

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"stretcher/internal/archive"
	"stretcher/internal/disk"
	"stretcher/internal/disk/confined"
)

// finished makes sure that what is no directory stands ready in staging.
func (a *application) finished(fd int, name string, e *archive.Entry) error {
	var err error
	if e.Mode.IsRegular() {
		err = a.checkFile(fd, name, e)
	} else {
		err = a.special(fd, name, e)
	}
	if err == nil && a.acl != nil {
		if err = a.acl.InheritAt(fd, name); err == nil {
			err = a.note(fd, name, e)
		}
	}
	switch {
	case errors.Is(err, ErrStale):
		return fmt.Errorf("%q %w", e.Path, err)
	case err != nil:
		return fmt.Errorf("staged %q: %w", e.Path, err)
	}
	return nil
}

// checkFile looks whether the content is there, and makes a file with several
// names, as an unpacked tree has them, one of its own. What is not there was
// not staged, because dest had it then.
func (a *application) checkFile(fd int, name string, e *archive.Entry) error {
	if seen := a.soon.Take(e.Path); seen != nil && seen.Nlink == 1 && seen.Size == e.Size {
		return nil
	}
	var st unix.Stat_t
	if err := confined.Lstat(fd, name, &st); errors.Is(err, unix.ENOENT) {
		return ErrStale
	} else if err != nil {
		return err
	}
	if confined.FileType(&st) != 0 || st.Size != e.Size {
		return errors.New("it is not what the table says")
	}
	if st.Nlink == 1 {
		return nil
	}
	temp := a.opts.temp()
	return confined.Writable(fd, func() error {
		if err := a.copyAs(fd, name, fd, temp); err != nil {
			return err
		}
		if a.opts.Groups { // which copies do not keep
			if err := confined.Set(fd, temp, metaOf(e), confined.Owner|confined.Mode); err != nil {
				return err
			}
		}
		return unix.Renameat(fd, temp, fd, name)
	})
}

// special makes a symlink or FIFO.
func (a *application) special(fd int, name string, e *archive.Entry) error {
	create := func() error {
		if e.Mode&fs.ModeSymlink != 0 {
			return unix.Symlinkat(e.Link, fd, name)
		}
		return confined.Mkfifo(fd, name, 0o600)
	}
	return confined.Writable(fd, func() error {
		err := create()
		if errors.Is(err, unix.EEXIST) {
			if err = confined.Unlink(fd, name); err == nil {
				err = create()
			}
		}
		if err != nil {
			return err
		}
		return confined.Set(fd, name, metaOf(e), a.opts.parts())
	})
}

// complete makes a directory of staging, with all below it, what it is to be in
// dest.
func (a *application) complete(i int) error {
	if err := context.Cause(a.ctx); err != nil {
		return err
	}
	e := &a.table[i]
	fd, err := a.from.At(e.Path, true)
	if err != nil {
		return fmt.Errorf("open staged %q: %w", e.Path, err)
	}
	names, err := a.from.List(fd)
	if err != nil {
		return fmt.Errorf("read staged %q: %w", e.Path, err)
	}
	dirs, err := a.fill(i, fd, names)
	if err != nil {
		return err
	}
	for _, k := range dirs {
		if err := a.complete(k); err != nil {
			return err
		}
	}
	if fd, err = a.from.At(e.Path, false); err != nil {
		return fmt.Errorf("open staged %q: %w", e.Path, err)
	}
	return a.setDir(fd, e)
}

// fill finishes what lies in a directory of staging, which holds names: it
// removes what is excluded and gives back the directories to go into.
func (a *application) fill(i, fd int, names []string) (dirs []int, err error) {
	discard := func(name string) error { return a.discard(fd, name) }
	err = a.table.along(i, names, discard, func(k int, name string, found bool) error {
		e := &a.table[k]
		switch {
		case a.opts.excluded(e.Path, e.Mode.IsDir()):
			if found {
				return discard(name)
			}
		case e.Mode.IsDir():
			dirs = append(dirs, k)
		default:
			return a.finished(fd, name, e)
		}
		return nil
	})
	return dirs, err
}

func (a *application) discard(fd int, name string) error {
	err := confined.Writable(fd, func() error { return disk.RemoveAt(fd, name) })
	if err != nil {
		return fmt.Errorf("remove staged %q: %w", name, err)
	}
	return nil
}
