package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"golang.org/x/sys/unix"

	"stretcher/internal/disk/confined"
)

// disk is the target that writes below a directory. dirs holds the metadata of
// the directories, which is set at the end: a directory may be read-only and
// hold files.
type disk struct {
	tree  *tree
	rules *rules
	tally *tally
	dirs  map[string]meta
}

// parent opens the directory an entry goes into.
func (x *disk) parent(path string) (fd int, base string, err error) {
	dir, base := confined.Split(path)
	fd, err = x.tree.at(dir, true)
	return fd, base, err
}

// place runs create, and once more after removing what is in its way: a later
// entry replaces an earlier one, save for a directory with something in it.
func (x *disk) place(path string, create func(fd int, base string) error) error {
	fd, base, err := x.parent(path)
	if err != nil {
		return err
	}
	if err = create(fd, base); !errors.Is(err, fs.ErrExist) {
		return err
	}
	err = confined.Unlink(fd, base)
	if errors.Is(err, fs.ErrExist) || errors.Is(err, unix.ENOTEMPTY) {
		return notEmpty()
	}
	if err != nil {
		return err
	}
	delete(x.dirs, path) // the tree holds only the parent and above open
	return create(fd, base)
}

func (x *disk) dir(path string, m meta) error {
	if path == "" {
		x.dirs[path] = m
		return nil
	}
	fd, base, err := x.parent(path)
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if confined.Lstat(fd, base, &st) != nil || confined.FileType(&st) != fs.ModeDir {
		err = x.place(path, func(fd int, base string) error { return unix.Mkdirat(fd, base, 0o700) })
	}
	x.dirs[path] = m
	return err
}

func (x *disk) file(path string, m meta, content *Content) error {
	return x.place(path, func(fd int, base string) error {
		f, err := confined.Create(fd, base, x.rules.openMode(m))
		if err != nil {
			return err
		}
		err = content.CopyTo(f)
		if err == nil {
			err = x.rules.applyFile(f, m)
		}
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return err
		}
		return confined.SetTime(fd, base, m.mtime)
	})
}

func (x *disk) symlink(path, to string, m meta) error {
	return x.place(path, func(fd int, base string) error {
		if err := unix.Symlinkat(to, fd, base); err != nil {
			return err
		}
		if x.rules.owners {
			if err := confined.ChownAt(fd, base, m.uid, m.gid); err != nil {
				return err
			}
		}
		return confined.SetTime(fd, base, m.mtime)
	})
}

func (x *disk) hardlink(path, old string) error {
	l, err := x.tree.linked(old)
	if err != nil || old == path {
		return err
	}
	if confined.FileType(&l.st) == fs.ModeSymlink {
		to, err := l.target()
		if err != nil {
			return err
		}
		if err := x.rules.symlinkTo(to, path); err != nil {
			return err
		}
	} else if err := x.tally.link(l.st.Size); err != nil {
		return err
	}
	return x.place(path, func(fd int, base string) error { return unix.Linkat(l.fd, l.base, fd, base, 0) })
}

func (x *disk) fifo(path string, m meta) error {
	return x.place(path, func(fd int, base string) error {
		if err := confined.Mkfifo(fd, base, x.rules.openMode(m)); err != nil {
			return err
		}
		to, parts := confined.Meta{Mode: fs.ModeNamedPipe | m.mode, UID: uint32(m.uid), GID: uint32(m.gid)}, confined.What(0)
		if x.rules.owners {
			parts |= confined.Owner
		}
		if x.rules.exact {
			parts |= confined.Mode
		}
		if err := confined.Set(fd, base, to, parts); err != nil {
			return err
		}
		return confined.SetTime(fd, base, m.mtime)
	})
}

// finish applies the directories' metadata, the deepest first: a child sorts
// after its parent.
func (x *disk) finish(ctx context.Context) error {
	paths := make([]string, 0, len(x.dirs))
	for p := range x.dirs {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	for _, p := range slices.Backward(paths) {
		if err := context.Cause(ctx); err != nil {
			return fmt.Errorf("extract: %w", err)
		}
		fd, err := x.tree.at(p, false)
		if err == nil {
			err = x.rules.applyDir(fd, x.dirs[p])
		}
		if err != nil {
			return fmt.Errorf("archive entry %q: %w", p, err)
		}
	}
	return nil
}
