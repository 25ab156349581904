package mirror

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"stretcher/internal/archive"
)

// permMask is what chmod(2) sets.
const permMask = 0o7777

// openat repeats what a signal interrupted, as package os does.
func openat(fd int, name string, flags int) (int, error) {
	for {
		n, err := unix.Openat(fd, name, flags|unix.O_CLOEXEC, 0)
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// openFile opens a regular file to read it. It does not wait for a FIFO that
// has taken its place.
func openFile(fd int, name string) (*os.File, error) {
	n, err := openat(fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err = unix.Fstat(n, &st); err == nil && fileType(&st) != 0 {
		err = unix.EINVAL
	}
	if err == nil {
		err = unix.SetNonblock(n, false)
	}
	if err != nil {
		_ = unix.Close(n)
		return nil, err
	}
	return os.NewFile(uintptr(n), name), nil
}

// createFile makes a regular file that only the caller can open.
func createFile(fd int, name string) (*os.File, error) {
	n, err := unix.Openat(fd, name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(n), name), nil
}

func lstat(fd int, name string, st *unix.Stat_t) error {
	for {
		err := unix.Fstatat(fd, name, st, unix.AT_SYMLINK_NOFOLLOW)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// isMissing tells that a path has nothing, or that a parent of it is no
// directory.
func isMissing(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
}

func fileType(st *unix.Stat_t) fs.FileMode {
	switch uint32(st.Mode) & unix.S_IFMT {
	case unix.S_IFREG:
		return 0
	case unix.S_IFDIR:
		return fs.ModeDir
	case unix.S_IFLNK:
		return fs.ModeSymlink
	case unix.S_IFIFO:
		return fs.ModeNamedPipe
	}
	return fs.ModeIrregular // devices and sockets: no entry is like them
}

// perm is a mode as chmod(2) takes it.
func perm(m fs.FileMode) uint32 {
	bits := uint32(m.Perm())
	if m&fs.ModeSetuid != 0 {
		bits |= unix.S_ISUID
	}
	if m&fs.ModeSetgid != 0 {
		bits |= unix.S_ISGID
	}
	if m&fs.ModeSticky != 0 {
		bits |= unix.S_ISVTX
	}
	return bits
}

// fileMode is the reverse of perm and fileType.
func fileMode(st *unix.Stat_t) fs.FileMode {
	bits := uint32(st.Mode)
	m := fileType(st) | fs.FileMode(bits&0o777)
	if bits&unix.S_ISUID != 0 {
		m |= fs.ModeSetuid
	}
	if bits&unix.S_ISGID != 0 {
		m |= fs.ModeSetgid
	}
	if bits&unix.S_ISVTX != 0 {
		m |= fs.ModeSticky
	}
	return m
}

func mtime(st *unix.Stat_t) int64 { return st.Mtim.Nano() }

// sameSecond compares times as rsync does.
func sameSecond(a, b int64) bool {
	return floorSecond(a) == floorSecond(b)
}

func floorSecond(ns int64) int64 { return time.Unix(0, ns).Unix() }

// entryOf is what stands at a path, but for the target of a symlink.
func entryOf(path string, st *unix.Stat_t) archive.Entry {
	e := archive.Entry{Path: path, Mode: fileMode(st), UID: st.Uid, GID: st.Gid, MTime: mtime(st)}
	if e.Mode.IsRegular() {
		e.Size = st.Size
	}
	return e
}

// owned tells whether a path has the owner of its entry.
func owned(e *archive.Entry, st *unix.Stat_t) bool {
	return (e.UID == archive.NoID || e.UID == st.Uid) && (e.GID == archive.NoID || e.GID == st.Gid)
}

// hasOwner tells whether there is an owner to set, or a group.
func hasOwner(e *archive.Entry) bool { return e.UID != archive.NoID || e.GID != archive.NoID }

// setAll gives what was just made at name its owner, mode and time, in the
// order in which the one does not undo the other.
func setAll(fd int, name string, e *archive.Entry, owners bool) error {
	if owners {
		if err := setOwner(fd, name, e); err != nil {
			return err
		}
	}
	if err := setMode(fd, name, e.Mode); err != nil {
		return err
	}
	return setTime(fd, name, e.MTime)
}

// setFile is setAll for a file that is open: name is its name in fd.
func setFile(f *os.File, fd int, name string, e *archive.Entry, owners bool) error {
	n := int(f.Fd())
	if owners && hasOwner(e) {
		if err := unix.Fchown(n, int(e.UID), int(e.GID)); err != nil {
			return err
		}
	}
	if err := unix.Fchmod(n, perm(e.Mode)); err != nil {
		return err
	}
	return setTime(fd, name, e.MTime)
}

func setOwner(fd int, name string, e *archive.Entry) error {
	if !hasOwner(e) {
		return nil
	}
	return unix.Fchownat(fd, name, int(e.UID), int(e.GID), unix.AT_SYMLINK_NOFOLLOW)
}

// setMode does nothing for a symlink, which has no mode of its own. Linux has
// only lately learned not to follow one that has taken the place of name.
func setMode(fd int, name string, mode fs.FileMode) error {
	if mode&fs.ModeSymlink != 0 {
		return nil
	}
	err := unix.Fchmodat(fd, name, perm(mode), unix.AT_SYMLINK_NOFOLLOW)
	if !errors.Is(err, unix.EOPNOTSUPP) {
		return err
	}
	n, err := openat(fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK)
	if err != nil {
		return err
	}
	defer unix.Close(n)
	return unix.Fchmod(n, perm(mode))
}

// setTime sets the modification time in nanoseconds since 1970, and the access
// time to now.
func setTime(fd int, name string, ns int64) error {
	times := []unix.Timespec{{Nsec: utimeNow}, unix.NsecToTimespec(ns)}
	return unix.UtimesNanoAt(fd, name, times, unix.AT_SYMLINK_NOFOLLOW)
}

// readlink gives the target of a symlink. It reads into buf.
func readlink(fd int, name string, buf []byte) ([]byte, error) {
	n, err := unix.Readlinkat(fd, name, buf)
	if err != nil {
		return nil, err
	}
	return buf[:n], nil
}
