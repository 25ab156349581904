package disk

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// unnamedIn uses O_TMPFILE of open(2), where the file system has it.
func unnamedIn(d *os.File, root *os.Root) (*os.File, error) {
	fd, err := retry(func() (int, error) {
		return unix.Openat(int(d.Fd()), ".", unix.O_RDWR|unix.O_TMPFILE|unix.O_CLOEXEC, 0o600)
	})
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EISDIR) {
		return unlinked(root)
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: root.Name(), Err: err}
	}
	return os.NewFile(uintptr(fd), "a file without a name"), nil
}
