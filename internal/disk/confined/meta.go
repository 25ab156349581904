package confined

import (
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Meta is what can be set of what stands at a name.
type Meta struct {
	Mode     fs.FileMode // its type too
	UID, GID uint32      // NoID stays as it is
	MTime    int64       // in nanoseconds since 1970
	Of       ID          // what Set sets owner and mode of; zero = whatever of that type is there
}

// ID tells what has been looked at from all else that may take its place. The zero ID is
// that of nothing.
type ID struct{ dev, ino uint64 }

// IDOf is that of what st is of.
func IDOf(st *unix.Stat_t) ID { return ID{uint64(st.Dev), st.Ino} }

// isOf tells whether m is to be set of what st is of.
func (m *Meta) isOf(st *unix.Stat_t) bool {
	return FileType(st) == m.Mode.Type() && (m.Of == ID{} || m.Of == IDOf(st))
}

// NoID is no owner.
const NoID = ^uint32(0)

// What is a set of parts of a Meta.
type What uint8

// The parts of a Meta.
const (
	Owner What = 1 << iota
	Mode
	Time
)

// All is what the caller may set: root alone sets owners.
func All() What {
	if os.Geteuid() == 0 {
		return Owner | Mode | Time
	}
	return Mode | Time
}

// MetaOf is what stands at a path.
func MetaOf(st *unix.Stat_t) Meta {
	return Meta{Mode: FileMode(st), UID: st.Uid, GID: st.Gid, MTime: st.Mtim.Nano()}
}

func (m *Meta) hasOwner() bool { return m.UID != NoID || m.GID != NoID }

// FileType is the type of what stands at a path. Devices and sockets are
// fs.ModeIrregular alike.
func FileType(st *unix.Stat_t) fs.FileMode {
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
	return fs.ModeIrregular
}

// Perm is a mode as chmod(2) takes it.
func Perm(m fs.FileMode) uint32 {
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

// FileMode is the reverse of Perm and FileType.
func FileMode(st *unix.Stat_t) fs.FileMode {
	bits := uint32(st.Mode)
	m := FileType(st) | fs.FileMode(bits&0o777)
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

// SetOpen sets parts of what is open at fd, in the order in which the one does
// not undo the other: chown may clear the setuid bit, and the mode may take
// away the right to do the rest. A time it sets only of a directory.
func SetOpen(fd int, m Meta, w What) error {
	if w&Owner != 0 && m.hasOwner() {
		if err := Chown(fd, int(m.UID), int(m.GID)); err != nil {
			return err
		}
	}
	if w&Time != 0 && m.Mode.IsDir() {
		if err := SetTime(fd, ".", unix.NsecToTimespec(m.MTime)); err != nil {
			return err
		}
	}
	if w&Mode == 0 {
		return nil
	}
	return unix.Fchmod(fd, Perm(m.Mode))
}

// SetMade sets parts of an open file that the caller has made, whose name in fd is
// name: only what it does not have already. It tells what the file is then.
func SetMade(f *os.File, fd int, name string, m Meta, w What) (st unix.Stat_t, err error) {
	return setMade(int(f.Fd()), fd, name, m, w)
}

func setMade(file, fd int, name string, m Meta, w What) (st unix.Stat_t, err error) {
	if w&Time != 0 {
		err = SetTime(fd, name, unix.NsecToTimespec(m.MTime))
	}
	if err == nil {
		err = unix.Fstat(file, &st)
	}
	if err != nil || m.isMet(&st, w) {
		return st, err
	}
	if err = SetOpen(file, m, w&^Time); err == nil {
		err = unix.Fstat(file, &st)
	}
	return st, err
}

// isMet tells whether a file has the owner and mode, as far as they are wanted.
func (m *Meta) isMet(st *unix.Stat_t, w What) bool {
	isOwned := (m.UID == NoID || m.UID == st.Uid) && (m.GID == NoID || m.GID == st.Gid)
	return (w&Owner == 0 || isOwned) && (w&Mode == 0 || Perm(m.Mode) == uint32(st.Mode)&permMask)
}

// SetFile sets parts of an open file, whose name in fd is name.
func SetFile(f *os.File, fd int, name string, m Meta, w What) error {
	if err := SetOpen(int(f.Fd()), m, w&^Time); err != nil || w&Time == 0 {
		return err
	}
	return SetTime(fd, name, unix.NsecToTimespec(m.MTime))
}

// SetTime sets the modification time, of a symlink itself, and the access time
// to now. TimeNow as nanoseconds stands for now.
func SetTime(fd int, name string, mtime unix.Timespec) error {
	return unix.UtimesNanoAt(fd, name, []unix.Timespec{{Nsec: TimeNow}, mtime}, unix.AT_SYMLINK_NOFOLLOW)
}
