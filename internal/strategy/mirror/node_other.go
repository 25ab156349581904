//go:build !linux

package mirror

import (
	"golang.org/x/sys/unix"

	"stretcher/internal/archive"
)

// utimeNow stands for the current time in a Timespec's Nsec (sys/stat.h).
const utimeNow = -1

// exchange swaps two paths in one step. This system is not asked to: the
// caller does it in several.
func exchange(int, string, int, string) error { return unix.ENOSYS }

// mkfifo is not there: these systems have no mkfifoat(2) to call, and a path
// might lead elsewhere.
func mkfifo(int, string) error { return unix.ENOTSUP }

// setMeta sets what differs, w, of what stands at a name. chown may clear the
// setuid bit.
func setMeta(fd int, name string, e *archive.Entry, w what) error {
	if w&isOwner != 0 {
		if err := setOwner(fd, name, e); err != nil {
			return err
		}
	}
	if w&(isOwner|isMode) != 0 {
		if err := setMode(fd, name, e.Mode); err != nil {
			return err
		}
	}
	if w&isTime == 0 {
		return nil
	}
	return setTime(fd, name, e.MTime)
}

// isMount tells whether the directory at name is a mount point.
func isMount(fd int, name string) bool { return otherDevice(fd, name) }
