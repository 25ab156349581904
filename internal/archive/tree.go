package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"stretcher/internal/disk/confined"
)

// tree is the root and a walk below it that never follows a symlink.
type tree struct {
	walk *confined.Walk
	from *confined.Walk // to the targets of hard links, which are not where the links are
}

func newTree(root *os.Root, implied os.FileMode, grant func() error) (*tree, error) {
	walk, err := confined.NewWalk(root)
	if err != nil {
		return nil, fmt.Errorf("open extraction root: %w", err)
	}
	walk.Mode, walk.Grant = implied, grant
	from, err := confined.NewWalk(root)
	if err != nil {
		walk.Close()
		return nil, fmt.Errorf("open extraction root: %w", err)
	}
	return &tree{walk: walk, from: from}, nil
}

func (t *tree) close() {
	t.walk.Close()
	t.from.Close()
}

// at opens the directory path, creating what is missing when create is set.
// The descriptor is good until the next call.
func (t *tree) at(path string, create bool) (int, error) {
	fd, err := t.walk.At(path, create)
	if err != nil {
		return -1, t.explain(path, err)
	}
	return fd, nil
}

// explain tells what stands where a directory must be.
func (t *tree) explain(path string, err error) error {
	if f := (*fault)(nil); errors.As(err, &f) { // a limit
		return err
	}
	reached, fd := t.walk.Reached()
	start := len(reached)
	if start > 0 {
		start++
	}
	end := len(path)
	if i := strings.IndexByte(path[start:], '/'); i >= 0 {
		end = start + i
	}
	var st unix.Stat_t
	if confined.Lstat(fd, path[start:end], &st) == nil {
		if fault := checkParent(path[:end], confined.FileMode(&st)); fault != nil {
			return fault
		}
	}
	return &fs.PathError{Op: "open", Path: path[:end], Err: err}
}

// linked is what a hard link is made to: a file or symlink at a path without a
// symlink on the way. fd is good until the next call.
type linked struct {
	fd   int
	base string
	st   unix.Stat_t
}

func (t *tree) linked(path string) (l linked, err error) {
	dir, base := confined.Split(path)
	l.base = base
	if l.fd, err = t.from.At(dir, false); err == nil {
		err = confined.Lstat(l.fd, base, &l.st)
	}
	switch {
	case confined.IsMissing(err):
		return l, notEarlier(path)
	case err != nil:
		return l, fmt.Errorf("hard link target %q: %w", path, err)
	case confined.FileType(&l.st) != 0 && confined.FileType(&l.st) != fs.ModeSymlink:
		return l, notEarlier(path)
	}
	return l, nil
}

// target is that of a symlink.
func (l *linked) target() (string, error) {
	b, err := confined.Readlink(l.fd, l.base, make([]byte, confined.MaxTarget))
	return string(b), err
}
