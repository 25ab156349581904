package disk

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"stretcher/internal/disk/confined"
)

// Rename renames an entry of one open directory to a name in another, as
// rename(2) does: in the place of a file, a symlink or an empty directory.
func Rename(from *os.Root, name string, to *os.Root, newName string) error {
	return between(from, name, to, newName, unix.Renameat)
}

// RenameNew renames an entry of one open directory to a name in another, which
// must not exist; if it does, nothing happens and the error is fs.ErrExist.
// rename(2) by itself replaces an empty directory.
func RenameNew(from *os.Root, name string, to *os.Root, newName string) error {
	return between(from, name, to, newName, confined.RenameNew)
}

// Exchange swaps two entries in one step. The error is unix.EINVAL or
// unix.ENOSYS where the system or the file system can't.
func Exchange(a *os.Root, name string, b *os.Root, other string) error {
	return between(a, name, b, other, confined.Exchange)
}

type renameCall func(from int, name string, to int, newName string) error

func between(from *os.Root, name string, to *os.Root, newName string, call renameCall) error {
	if err := errors.Join(component(name), component(newName)); err != nil {
		return err
	}
	a, err := opened(from)
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := opened(to)
	if err != nil {
		return err
	}
	defer b.Close()
	if err := call(int(a.Fd()), name, int(b.Fd()), newName); err != nil {
		return &os.LinkError{Op: "rename", Old: name, New: newName, Err: err}
	}
	return nil
}
