package releases

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// syncFS puts everything on f's file system on the disk.
func syncFS(f *os.File) error {
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return &os.PathError{Op: "syncfs", Path: f.Name(), Err: err}
	}
	return nil
}

// renameAt renames from one directory to another, where the name must be new.
func renameAt(fromDir *os.File, from string, toDir *os.File, to string) error {
	err := unix.Renameat2(int(fromDir.Fd()), from, int(toDir.Fd()), to, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL) { // a file system without the flag
		return unix.Renameat(int(fromDir.Fd()), from, int(toDir.Fd()), to)
	}
	return err
}

// clone makes an empty file share all blocks of another: ioctl_ficlone(2).
func clone(to, from *os.File) error {
	return unix.IoctlFileClone(int(to.Fd()), int(from.Fd()))
}

// scratch makes a file without a name in dir: there is nothing to remove
// after a kill.
func scratch(dir *os.Root) (*os.File, error) {
	return dir.OpenFile(".", os.O_RDWR|unix.O_TMPFILE, 0o600)
}
