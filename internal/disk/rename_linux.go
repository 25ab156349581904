package disk

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// RenameNew renames from to to, which must not exist; if it does, nothing
// happens and the error is fs.ErrExist. rename(2) by itself replaces an empty
// directory; RENAME_NOREPLACE of renameat2(2) does not.
func RenameNew(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL) {
		return renameChecked(from, to) // a file system without it
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}
