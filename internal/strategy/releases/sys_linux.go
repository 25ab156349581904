package releases

import (
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

// clone makes an empty file share all blocks of another: ioctl_ficlone(2).
func clone(to, from *os.File) error {
	return unix.IoctlFileClone(int(to.Fd()), int(from.Fd()))
}

// scratch makes a file without a name in dir: there is nothing to remove
// after a kill.
func scratch(dir *os.Root) (*os.File, error) {
	return dir.OpenFile(".", os.O_RDWR|unix.O_TMPFILE, 0o600)
}
