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
	root *os.Root
	walk *confined.Walk
}

func newTree(root *os.Root, implied os.FileMode, grant func() error) (*tree, error) {
	walk, err := confined.NewWalk(root)
	if err != nil {
		return nil, fmt.Errorf("open extraction root: %w", err)
	}
	walk.Mode, walk.Grant = implied, grant
	return &tree{root: root, walk: walk}, nil
}

func (t *tree) close() { t.walk.Close() }

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

// regular gives the size of path, a regular file with no symlink on the way.
func (t *tree) regular(path string) (int64, error) {
	dir, base := confined.Split(path)
	fd, err := t.at(dir, false)
	if err == nil {
		var st unix.Stat_t
		if err = confined.Lstat(fd, base, &st); err == nil && confined.FileType(&st) == 0 {
			return st.Size, nil
		}
	}
	var f *fault
	if err == nil || errors.As(err, &f) || errors.Is(err, fs.ErrNotExist) {
		return 0, notEarlier(path)
	}
	return 0, fmt.Errorf("hard link target %q: %w", path, err)
}
