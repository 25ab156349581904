//go:build unix && !linux

package disk

import (
	"os"

	"golang.org/x/sys/unix"
)

// chmodAt changes the mode of a directory that can't be opened for reading,
// never by a symlink.
func chmodAt(dir int, name string, mode os.FileMode) error {
	return unix.Fchmodat(dir, name, uint32(mode.Perm()), unix.AT_SYMLINK_NOFOLLOW)
}
