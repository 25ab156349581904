package disk

import (
	"bytes"

	"golang.org/x/sys/unix"
)

// passing opens a directory that the caller may pass through, also where it
// may not be read, and never a symlink.
const passing = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC

// readLink returns a symlink's target and owner, both of the same symlink. The
// error is EINVAL when it is none.
func readLink(dir int, name string) (target string, owner int, err error) {
	fd, err := retry(func() (int, error) { return unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0) })
	if err != nil {
		return "", 0, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return "", 0, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		return "", 0, unix.EINVAL
	}
	buf := make([]byte, unix.PathMax+1)
	n, err := unix.Readlinkat(fd, "", buf)
	return string(bytes.Clone(buf[:max(n, 0)])), int(st.Uid), err
}
