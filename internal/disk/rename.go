package disk

import (
	"os"

	"golang.org/x/sys/unix"
)

// renameChecked looks before it renames, for systems that can't do both in
// one.
func renameChecked(from, to string) error {
	if _, err := os.Lstat(to); err == nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: unix.EEXIST}
	}
	return os.Rename(from, to)
}
