package disk

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"stretcher/internal/disk/confined"
)

// MountIn returns the path of something that is mounted on what is called name
// in an open directory, or below it; "" when there is nothing. Bind mounts
// count, and so do mounts on files. Where the caller may not look, there is
// nothing: RemoveAll stops at mounts all the same.
func MountIn(parent *os.Root, name string) (string, error) {
	if err := component(name); err != nil {
		return "", err
	}
	dir, err := opened(parent)
	if err != nil {
		return "", err
	}
	defer dir.Close()
	return mountAt(int(dir.Fd()), name, name)
}

// mountAt looks at what is called name in dir. path is for the result.
func mountAt(dir int, name, path string) (string, error) {
	fd, err := confined.OpenDir(dir, name)
	if confined.IsMissing(err) || errors.Is(err, unix.EACCES) {
		return "", nil
	}
	if err != nil {
		return "", &os.PathError{Op: "open", Path: path, Err: err}
	}
	if confined.IsMount(dir, name) {
		_ = unix.Close(fd)
		return path, nil
	}
	file := os.NewFile(uintptr(fd), path)
	defer file.Close()
	entries, err := file.ReadDir(-1)
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		found := ""
		below := path + "/" + e.Name()
		if e.IsDir() {
			found, err = mountAt(fd, e.Name(), below)
		} else if confined.IsMountedFile(fd, e.Name()) {
			found = below
		}
		if found != "" || err != nil {
			return found, err
		}
	}
	return "", nil
}
