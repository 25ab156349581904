package mirror

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"stretcher/internal/archive"
	"stretcher/internal/disk/confined"
)

// FromDir reads a tree as a table of entries: a staged tree that Apply can
// take everything from. With Options.Checksum, it is Options.Tree.
func FromDir(ctx context.Context, dir *os.Root) ([]archive.Entry, error) {
	return FromDirOf(ctx, dir, 0)
}

// FromDirOf is FromDir for a tree that has about n entries: a table that need
// not grow takes half the memory.
func FromDirOf(ctx context.Context, dir *os.Root, n int) ([]archive.Entry, error) {
	w, err := confined.NewWalk(dir)
	if err != nil {
		return nil, fmt.Errorf("read tree: %w", err)
	}
	defer w.Close()
	var st unix.Stat_t
	if err := unix.Fstat(w.Root(), &st); err != nil {
		return nil, fmt.Errorf("read tree: %w", err)
	}
	r := &reader{ctx: ctx, walk: w, list: make([]archive.Entry, 0, n+1)}
	r.list = append(r.list, entryOf("", &st))
	if err := r.read(""); err != nil {
		return nil, fmt.Errorf("read tree: %w", err)
	}
	slices.SortFunc(r.list, func(a, b archive.Entry) int { return strings.Compare(a.Path, b.Path) })
	return r.list, nil
}

// reader fills a table.
type reader struct {
	ctx  context.Context
	walk *confined.Walk
	list []archive.Entry
	buf  [confined.MaxTarget]byte
}

func (r *reader) read(dir string) error {
	if err := context.Cause(r.ctx); err != nil {
		return err
	}
	fd, err := r.walk.At(dir, false)
	if err != nil {
		return fmt.Errorf("open %q: %w", dir, err)
	}
	names, err := r.walk.List(fd)
	if err != nil {
		return fmt.Errorf("read %q: %w", dir, err)
	}
	first := len(r.list)
	for _, name := range names {
		if err := r.add(fd, confined.Join(dir, name), name); err != nil {
			return err
		}
	}
	for i, end := first, len(r.list); i < end; i++ {
		if r.list[i].Mode.IsDir() {
			if err := r.read(r.list[i].Path); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *reader) add(fd int, path, name string) error {
	var st unix.Stat_t
	if err := confined.Lstat(fd, name, &st); err != nil {
		return fmt.Errorf("stat %q: %w", path, err)
	}
	e := entryOf(path, &st)
	switch e.Mode.Type() {
	case fs.ModeIrregular:
		return fmt.Errorf("%q is a device or a socket", path)
	case fs.ModeSymlink:
		target, err := confined.Readlink(fd, name, r.buf[:])
		if err != nil {
			return fmt.Errorf("read link %q: %w", path, err)
		}
		e.Link = string(target)
	}
	r.list = append(r.list, e)
	return nil
}
