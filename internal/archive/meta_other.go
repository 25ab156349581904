//go:build !linux

package archive

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// utimeNow stands for the current time in a Timespec's Nsec (sys/stat.h).
const utimeNow = -1

// mkfifo creates a FIFO in dir, by path: these systems have no mkfifoat(2) to
// call. The walk to dir met no symlink.
func mkfifo(dir *os.File, name string, mode os.FileMode) error {
	path := filepath.Join(dir.Name(), name)
	if err := unix.Mkfifo(path, uint32(mode.Perm())); err != nil {
		return &os.PathError{Op: "mkfifo", Path: path, Err: err}
	}
	return nil
}

// processUmask has nothing better: these systems show the umask nowhere.
func processUmask() os.FileMode { return swapUmask() }
