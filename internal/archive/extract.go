package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"
)

// disk is the target that writes below a directory. dirs holds the metadata of
// the directories, which is set at the end: a directory may be read-only and
// hold files.
type disk struct {
	tree  *tree
	rules *rules
	dirs  map[string]meta
}

// parent opens the directory an entry goes into.
func (x *disk) parent(path string) (*level, string, error) {
	dir, base := splitPath(path)
	l, err := x.tree.at(dir, true)
	return l, base, err
}

// place runs create, and once more after removing what is in its way: a later
// entry replaces an earlier one, save for a directory with something in it.
func (x *disk) place(path string, create func(l *level, base string) error) error {
	l, base, err := x.parent(path)
	if err != nil {
		return err
	}
	if err = create(l, base); !errors.Is(err, fs.ErrExist) {
		return err
	}
	err = l.root.Remove(base)
	if errors.Is(err, fs.ErrExist) || errors.Is(err, syscall.ENOTEMPTY) {
		return notEmpty()
	}
	if err != nil {
		return err
	}
	delete(x.dirs, path) // the tree holds only the parent and above open
	return create(l, base)
}

func (x *disk) dir(path string, m meta) error {
	if path == "" {
		x.dirs[path] = m
		return nil
	}
	l, base, err := x.parent(path)
	if err != nil {
		return err
	}
	if fi, lerr := l.root.Lstat(base); lerr != nil || !fi.IsDir() {
		err = x.place(path, func(l *level, base string) error { return l.root.Mkdir(base, 0o700) })
	}
	x.dirs[path] = m
	return err
}

func (x *disk) file(path string, m meta, content *Content) error {
	return x.place(path, func(l *level, base string) error {
		f, err := l.root.OpenFile(base, os.O_CREATE|os.O_EXCL|os.O_WRONLY, x.rules.openMode(m))
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
		return x.touch(l, base, m)
	})
}

func (x *disk) touch(l *level, base string, m meta) error {
	d, err := l.dir()
	if err != nil {
		return err
	}
	return setTime(d, base, m.mtime)
}

func (x *disk) symlink(path, to string, m meta) error {
	return x.place(path, func(l *level, base string) error {
		if err := l.root.Symlink(to, base); err != nil {
			return err
		}
		if x.rules.owners {
			if err := l.root.Lchown(base, m.uid, m.gid); err != nil {
				return err
			}
		}
		return x.touch(l, base, m)
	})
}

func (x *disk) hardlink(path, old string) error {
	if err := x.tree.regular(old); err != nil || old == path {
		return err
	}
	return x.place(path, func(*level, string) error {
		return x.tree.open[0].root.Link(old, path)
	})
}

func (x *disk) fifo(path string, m meta) error {
	return x.place(path, func(l *level, base string) error {
		d, err := l.dir()
		if err != nil {
			return err
		}
		if err := mkfifo(d, base, x.rules.openMode(m)); err != nil {
			return err
		}
		if err := x.applyFIFO(l, base, m); err != nil {
			return err
		}
		return setTime(d, base, m.mtime)
	})
}

func (x *disk) applyFIFO(l *level, base string, m meta) error {
	if !x.rules.exact {
		return nil
	}
	f, err := l.root.OpenFile(base, os.O_RDONLY|syscall.O_NONBLOCK, 0) // there is no writer to wait for
	if err != nil {
		return err
	}
	defer f.Close()
	return x.rules.applyFile(f, m)
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
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("extract: %w", err)
		}
		l, err := x.tree.at(p, false)
		if err != nil {
			return fmt.Errorf("archive entry %q: %w", p, err)
		}
		f, err := l.dir()
		if err == nil {
			err = x.rules.applyDir(f, x.dirs[p])
		}
		if err != nil {
			return fmt.Errorf("archive entry %q: %w", p, err)
		}
	}
	return nil
}
