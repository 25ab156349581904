//go:build unix && !linux

package disk

import "golang.org/x/sys/unix"

// passing opens a directory, and never a symlink.
const passing = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC

// readLink returns a symlink's target and owner. It looks before and after:
// here a symlink can't be opened. The error is EINVAL when it is none.
func readLink(dir int, name string) (target string, owner int, err error) {
	var before, after unix.Stat_t
	if err := unix.Fstatat(dir, name, &before, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return "", 0, err
	}
	if before.Mode&unix.S_IFMT != unix.S_IFLNK {
		return "", 0, unix.EINVAL
	}
	buf := make([]byte, unix.PathMax+1)
	n, err := unix.Readlinkat(dir, name, buf)
	if err != nil {
		return "", 0, err
	}
	if err := unix.Fstatat(dir, name, &after, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return "", 0, err
	}
	if before.Dev != after.Dev || before.Ino != after.Ino || before.Uid != after.Uid {
		return "", 0, unix.ESTALE
	}
	return string(buf[:n]), int(after.Uid), nil
}
