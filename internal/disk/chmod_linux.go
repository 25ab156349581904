package disk

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// chmodAt changes the mode of a directory that can't be opened for reading,
// never by a symlink. O_PATH and /proc do on each kernel what fchmodat2(2),
// which knows AT_SYMLINK_NOFOLLOW, does on new ones.
func chmodAt(dir int, name string, mode os.FileMode) error {
	fd, err := retry(func() (int, error) { return unix.Openat(dir, name, passing, 0) })
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return os.Chmod("/proc/self/fd/"+strconv.Itoa(fd), mode)
}
