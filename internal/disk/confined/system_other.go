//go:build unix && !linux

package confined

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

// TimeNow stands for the current time in a Timespec's Nsec (sys/stat.h).
const TimeNow = -1

// openBelow is not there: each name on the way is opened.
func openBelow(int, string) (int, error) { return -1, unix.ENOSYS }

// Exchange swaps two names in one step. This system is not asked to: the
// caller does it in several.
func Exchange(int, string, int, string) error { return unix.ENOSYS }

// RenameNew renames to a name that must have nothing.
func RenameNew(from int, name string, to int, newName string) error {
	return renameChecked(from, name, to, newName)
}

// Mkfifo is not there: these systems have no mkfifoat(2) to call, and a path
// might lead elsewhere.
func Mkfifo(int, string, fs.FileMode) error { return unix.ENOTSUP }

// Set sets parts of what stands at a name, if it is what m is of, as far as that can be
// told here: something else may take its place then.
func Set(fd int, name string, m Meta, w What) error {
	if (m.Of != ID{}) && w&(Owner|Mode) != 0 {
		var st unix.Stat_t
		if err := Lstat(fd, name, &st); err != nil {
			return err
		}
		if !m.isOf(&st) {
			return ErrReplaced
		}
	}
	if w&Owner != 0 && m.hasOwner() {
		if err := ChownAt(fd, name, int(m.UID), int(m.GID)); err != nil {
			return err
		}
	}
	if w&Mode != 0 && m.Mode&fs.ModeSymlink == 0 { // which has no mode of its own
		if err := unix.Fchmodat(fd, name, Perm(m.Mode), unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
	}
	if w&Time == 0 {
		return nil
	}
	return SetTime(fd, name, unix.NsecToTimespec(m.MTime))
}

// IsMountedFile is false: these systems mount on directories alone.
func IsMountedFile(int, string) bool { return false }

// IsMount tells whether the directory at name is a mount point.
func IsMount(fd int, name string) bool { return otherDevice(fd, name) }
