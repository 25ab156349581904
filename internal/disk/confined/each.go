package confined

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// Visit is told of a path below a directory, and what stands there. A directory that
// can't be read comes a second time, with the error. What can't be looked at comes with
// the error, and an empty st. Its own error ends the walk, but fs.SkipDir leaves out
// what is in a directory.
type Visit func(path string, st *unix.Stat_t, err error) error

// Each visits all that is below an open directory, whatever the names are: each directory
// before what is in it, names sorted. Symlinks are not followed. What goes meanwhile may be
// left out. The error is that of visit, that of reading the directory itself, or the
// cause of the context's end.
func Each(ctx context.Context, root *os.Root, visit Visit) error {
	w, err := NewWalk(root)
	if err != nil {
		return err
	}
	defer w.Close()
	names, err := list(w, "")
	if err != nil {
		return err
	}
	return below(ctx, w, "", names, visit)
}

// list gives the names in a directory.
func list(w *Walk, dir string) ([]string, error) {
	fd, err := w.At(dir, false)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	names, err := w.List(fd)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: dir, Err: err}
	}
	return slices.Clone(names), nil // they are good until the next List
}

// below visits names in a directory, and what is below them.
func below(ctx context.Context, w *Walk, dir string, names []string, visit Visit) error {
	for _, name := range names {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if err := one(ctx, w, dir, name, visit); err != nil {
			return err
		}
	}
	return nil
}

func one(ctx context.Context, w *Walk, dir, name string, visit Visit) error {
	path := Join(dir, name)
	var st unix.Stat_t
	fd, err := w.At(dir, false)
	if err == nil {
		err = Lstat(fd, name, &st)
	}
	switch {
	case IsMissing(err):
		return nil
	case err != nil:
		return unlessSkipped(visit(path, new(unix.Stat_t), &fs.PathError{Op: "lstat", Path: path, Err: err}))
	}
	if err := visit(path, &st, nil); err != nil || FileType(&st) != fs.ModeDir {
		return unlessSkipped(err)
	}
	names, err := list(w, path)
	switch {
	case IsMissing(err):
		return nil
	case err != nil:
		return unlessSkipped(visit(path, &st, err))
	}
	return below(ctx, w, path, names, visit)
}

func unlessSkipped(err error) error {
	if errors.Is(err, fs.SkipDir) {
		return nil
	}
	return err
}
