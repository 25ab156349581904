package mirror

import (
	"errors"
	"io/fs"
	"strconv"

	"golang.org/x/sys/unix"

	"stretcher/internal/archive"
)

// utimeNow stands for the current time in a Timespec's Nsec.
const utimeNow = unix.UTIME_NOW

// exchange swaps two paths in one step, where the file system can.
func exchange(fd1 int, name1 string, fd2 int, name2 string) error {
	return unix.Renameat2(fd1, name1, fd2, name2, unix.RENAME_EXCHANGE)
}

func mkfifo(fd int, name string) error {
	return unix.Mkfifoat(fd, name, 0o600)
}

// setMeta sets what differs, w, where somebody else may be able to rename: on
// what it has opened, which is of the entry's type and no symlink that leads
// elsewhere. A time is all that it sets by name.
func setMeta(fd int, name string, e *archive.Entry, w what) error {
	if w&(isOwner|isMode) != 0 {
		n, err := openat(fd, name, unix.O_PATH|unix.O_NOFOLLOW)
		if err != nil {
			return err
		}
		err = setOpened(n, e, w)
		_ = unix.Close(n)
		if err != nil {
			return err
		}
	}
	if w&isTime == 0 {
		return nil
	}
	return setTime(fd, name, e.MTime)
}

// setOpened is for a descriptor by which a file can't be read. chown may clear
// the setuid bit.
func setOpened(fd int, e *archive.Entry, w what) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if fileType(&st) != e.Mode.Type() {
		return errors.New("something else has taken its place")
	}
	if w&isOwner != 0 && hasOwner(e) {
		if err := unix.Fchownat(fd, "", int(e.UID), int(e.GID), unix.AT_EMPTY_PATH); err != nil {
			return err
		}
	}
	if e.Mode&fs.ModeSymlink != 0 {
		return nil
	}
	err := unix.Fchmodat(fd, "", perm(e.Mode), unix.AT_EMPTY_PATH)
	if errors.Is(err, unix.EOPNOTSUPP) { // before 6.6
		err = unix.Chmod("/proc/self/fd/"+strconv.Itoa(fd), perm(e.Mode))
	}
	return err
}

// isMount tells whether the directory at name is a mount point. Bind mounts may
// have one device with what they lie in; kernels since 5.8 know them all the
// same.
func isMount(fd int, name string) bool {
	var st unix.Statx_t
	err := unix.Statx(fd, name, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, 0, &st)
	if err != nil || st.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT == 0 {
		return otherDevice(fd, name)
	}
	return st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}
