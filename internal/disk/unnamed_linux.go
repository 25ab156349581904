package disk

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Unnamed makes a file in dir that has no name and is gone when it is closed:
// O_TMPFILE of open(2), where the file system has it.
func Unnamed(dir string) (*os.File, error) {
	f, err := os.OpenFile(dir, os.O_RDWR|unix.O_TMPFILE, 0o600)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EISDIR) {
		return unlinked(dir)
	}
	return f, err
}
