package disk

import (
	"context"
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"stretcher/internal/disk/confined"
)

// MountIn returns the path of something that is mounted on what is called name
// in an open directory, or below it; "" when there is nothing. Bind mounts
// count, and so do mounts on files. Where the caller may not look, there is
// nothing: RemoveAll stops at mounts all the same.
func MountIn(ctx context.Context, parent *os.Root, name string) (string, error) {
	if err := component(name); err != nil {
		return "", err
	}
	walk, err := confined.NewWalk(parent)
	if err != nil {
		return "", err
	}
	defer walk.Close()
	mount, todo := mountAmong(walk.Root(), "", []string{name})
	for mount == "" && len(todo) > 0 {
		if cause := context.Cause(ctx); cause != nil {
			return "", cause
		}
		dir := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		names, fd, err := listAt(walk, dir)
		if err != nil {
			return "", &os.PathError{Op: "open", Path: dir, Err: err}
		}
		var more []string
		mount, more = mountAmong(fd, dir, names)
		todo = append(todo, more...)
	}
	return mount, nil
}

// listAt gives the names in a directory; none where the caller may not look.
func listAt(walk *confined.Walk, dir string) ([]string, int, error) {
	fd, err := walk.At(dir, false)
	if confined.IsMissing(err) || errors.Is(err, unix.EACCES) {
		return nil, -1, nil
	}
	if err != nil {
		return nil, -1, err
	}
	names, err := walk.List(fd)
	return names, fd, err
}

// mountAmong gives the path of the first of names in an open directory, dir,
// that something is mounted on, else the paths of those that are directories.
func mountAmong(fd int, dir string, names []string) (mount string, dirs []string) {
	for _, name := range names {
		var st unix.Stat_t
		if confined.Lstat(fd, name, &st) != nil {
			continue
		}
		isDir := st.Mode&unix.S_IFMT == unix.S_IFDIR
		path := confined.Join(dir, name)
		if isDir && confined.IsMount(fd, name) || !isDir && confined.IsMountedFile(fd, name) {
			return path, nil
		}
		if isDir {
			dirs = append(dirs, path)
		}
	}
	return "", dirs
}
