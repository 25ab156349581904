package disk

import (
	"errors"

	"golang.org/x/sys/unix"
)

// renameNewAt uses RENAME_NOREPLACE of renameat2(2), where the file system
// has it.
func renameNewAt(from int, name string, to int, newName string) error {
	err := unix.Renameat2(from, name, to, newName, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL) {
		return renameChecked(from, name, to, newName)
	}
	return err
}

func exchangeAt(from int, name string, to int, newName string) error {
	return unix.Renameat2(from, name, to, newName, unix.RENAME_EXCHANGE)
}
