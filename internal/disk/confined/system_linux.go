package confined

import (
	"errors"
	"io/fs"
	"strconv"

	"golang.org/x/sys/unix"
)

// TimeNow stands for the current time in a Timespec's Nsec.
const TimeNow = unix.UTIME_NOW

// openBelow opens a directory by a path of several names, none of which may be
// a symlink: one call, however deep. unix.ENOSYS or unix.EPERM is the answer
// of a kernel before 5.6, or of who filters calls and does not know this one.
func openBelow(fd int, path string) (int, error) {
	how := unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	}
	return retry(func() (int, error) { return unix.Openat2(fd, path, &how) })
}

// Exchange swaps two names in one step. The error is unix.EINVAL or
// unix.ENOSYS where the system or the file system can't.
func Exchange(a int, name string, b int, other string) error {
	return unix.Renameat2(a, name, b, other, unix.RENAME_EXCHANGE)
}

// RenameNew renames to a name that must have nothing, not even an empty
// directory, which rename(2) replaces.
func RenameNew(from int, name string, to int, newName string) error {
	err := unix.Renameat2(from, name, to, newName, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL) {
		return renameChecked(from, name, to, newName) // a file system without it
	}
	return err
}

// Mkfifo makes a FIFO. mode is before the umask.
func Mkfifo(fd int, name string, mode fs.FileMode) error {
	return unix.Mkfifoat(fd, name, Perm(mode))
}

// Set sets parts of what stands at a name where somebody else may be able to
// rename: on what it has opened, which is of m's type, and what m is of. A time is all
// that it sets by name. What is there instead is ErrReplaced.
func Set(fd int, name string, m Meta, w What) error {
	if w&(Owner|Mode) != 0 {
		n, err := openat(fd, name, unix.O_PATH)
		if err != nil {
			return err
		}
		err = setPath(n, m, w)
		_ = unix.Close(n)
		if err != nil {
			return err
		}
	}
	if w&Time == 0 {
		return nil
	}
	return SetTime(fd, name, unix.NsecToTimespec(m.MTime))
}

// setPath is for a descriptor by which a file can't be read.
func setPath(fd int, m Meta, w What) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if !m.isOf(&st) {
		return ErrReplaced
	}
	if w&Owner != 0 && m.hasOwner() {
		err := unix.Fchownat(fd, "", int(m.UID), int(m.GID), unix.AT_EMPTY_PATH)
		if err := owned(int(m.UID), int(m.GID), err); err != nil {
			return err
		}
	}
	if w&Mode == 0 || m.Mode&fs.ModeSymlink != 0 { // which has no mode of its own
		return nil
	}
	err := unix.Fchmodat(fd, "", Perm(m.Mode), unix.AT_EMPTY_PATH)
	if errors.Is(err, unix.EOPNOTSUPP) { // before 6.6
		err = unix.Chmod("/proc/self/fd/"+strconv.Itoa(fd), Perm(m.Mode))
	}
	return err
}

// IsMountedFile tells whether something is mounted on what is no directory at
// name. Kernels before 5.8 can't tell: the device is no sign there, since on
// overlayfs it is not that of the directory.
func IsMountedFile(fd int, name string) bool {
	var st unix.Statx_t
	err := unix.Statx(fd, name, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, 0, &st)
	return err == nil && st.Attributes_mask&st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}

// IsMount tells whether the directory at name is a mount point. Bind mounts may
// have one device with what they lie in; kernels since 5.8 know them all the
// same.
func IsMount(fd int, name string) bool {
	var st unix.Statx_t
	err := unix.Statx(fd, name, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, 0, &st)
	if err != nil || st.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT == 0 {
		return otherDevice(fd, name)
	}
	return st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}
