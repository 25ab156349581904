// Package confined reaches names in open directories: one name at a time, by
// the directory's descriptor, and never through a symlink, whoever changes
// what is there meanwhile.
//
// Its words: fd is the descriptor of an open directory, name is one component
// in it. A Walk opens the directories on the way to a path, for what works
// through a whole tree. All of this is below package os, for what it has no
// method for and where a file must cost few calls of the system; what needs
// neither takes an os.Root.
//
// Errors are those of the system, without a path: the caller knows which.
//
// It imports no other package of this module.
package confined

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// permMask is what chmod(2) sets.
const permMask = 0o7777

// retry repeats what a signal interrupted, as package os does.
func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

func openat(fd int, name string, flags int) (int, error) {
	for {
		n, err := unix.Openat(fd, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// OpenDir opens a directory to read it.
func OpenDir(fd int, name string) (int, error) {
	return openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY)
}

// MakeDir makes a directory for the caller alone and opens it. What it opens is
// what it made, or something else of the caller's that only the caller can get
// into.
func MakeDir(fd int, name string) (int, error) {
	if err := unix.Mkdirat(fd, name, 0o700); err != nil {
		return -1, err
	}
	dir, err := OpenDir(fd, name)
	if err != nil {
		return -1, err
	}
	var st unix.Stat_t
	if err = unix.Fstat(dir, &st); err == nil && (int(st.Uid) != os.Geteuid() || st.Mode&0o077 != 0) {
		err = ErrReplaced
	}
	if err != nil {
		_ = unix.Close(dir)
		return -1, err
	}
	return dir, nil
}

// ErrReplaced says that a name does not stand for what it did a moment ago.
var ErrReplaced = errors.New("something else has taken its place")

// OpenFile opens a regular file to read it. It does not wait for a FIFO that
// has taken its place.
func OpenFile(fd int, name string) (*os.File, error) {
	n, err := openat(fd, name, unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err = unix.Fstat(n, &st); err == nil && FileType(&st) != 0 {
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

// Create makes a regular file, which must not be there, to write it. mode is
// before the umask.
func Create(fd int, name string, mode fs.FileMode) (*os.File, error) {
	n, err := create(fd, name, mode)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(n), name), nil
}

// Lstat tells what stands at a name.
func Lstat(fd int, name string, st *unix.Stat_t) error {
	for {
		err := unix.Fstatat(fd, name, st, unix.AT_SYMLINK_NOFOLLOW)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// MaxTarget is what the target of a symlink may have, with one to spare.
const MaxTarget = 4097

// Readlink gives the target of a symlink. It reads into buf.
func Readlink(fd int, name string, buf []byte) ([]byte, error) {
	n, err := unix.Readlinkat(fd, name, buf)
	if err != nil {
		return nil, err
	}
	return buf[:n], nil
}

// Unlink removes a file or an empty directory.
func Unlink(fd int, name string) error {
	err := unix.Unlinkat(fd, name, 0)
	if !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EPERM) { // EPERM: POSIX, and so macOS
		return err
	}
	if derr := unix.Unlinkat(fd, name, unix.AT_REMOVEDIR); !errors.Is(derr, unix.ENOTDIR) {
		err = derr
	}
	return err
}

// IsMissing tells that a path has nothing, or that a parent of it is no
// directory.
func IsMissing(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
}

// Writable runs f, and once more with the directory open at fd made writable
// if it is the caller's and was not: root needs none of this.
func Writable(fd int, f func() error) error {
	err := f()
	if !errors.Is(err, unix.EACCES) {
		return err
	}
	var st unix.Stat_t
	if serr := unix.Fstat(fd, &st); serr != nil || st.Mode&0o700 == 0o700 {
		return err
	}
	if unix.Fchmod(fd, uint32(st.Mode)&permMask|0o700) != nil {
		return err
	}
	err = f()
	return errors.Join(err, unix.Fchmod(fd, uint32(st.Mode)&permMask))
}

// renameChecked looks before it renames, for systems that can't do both in
// one.
func renameChecked(from int, name string, to int, newName string) error {
	var st unix.Stat_t
	if Lstat(to, newName, &st) == nil {
		return unix.EEXIST
	}
	return unix.Renameat(from, name, to, newName)
}

// otherDevice tells whether what is at name lies on another file system than
// the directory open at fd.
func otherDevice(fd int, name string) bool {
	var in, st unix.Stat_t
	return unix.Fstat(fd, &in) == nil && Lstat(fd, name, &st) == nil && in.Dev != st.Dev
}
