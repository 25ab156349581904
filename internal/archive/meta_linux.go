package archive

import (
	"os"

	"golang.org/x/sys/unix"
)

// utimeNow stands for the current time in a Timespec's Nsec.
const utimeNow = unix.UTIME_NOW

// mkfifo creates a FIFO in dir.
func mkfifo(dir *os.File, name string, mode os.FileMode) error {
	if err := unix.Mkfifoat(int(dir.Fd()), name, uint32(mode.Perm())); err != nil {
		return &os.PathError{Op: "mkfifoat", Path: name, Err: err}
	}
	return nil
}
