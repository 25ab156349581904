package disk

import (
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// unnamedIn uses O_TMPFILE of open(2), where the file system has it.
func unnamedIn(d *os.File, root *os.Root) (*os.File, error) {
	fd, err := retry(func() (int, error) {
		return unix.Openat(int(d.Fd()), ".", unix.O_RDWR|unix.O_TMPFILE|unix.O_CLOEXEC, 0o600)
	})
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EISDIR) {
		return unlinked(root)
	}
	if err != nil {
		name := root.Name()
		if real, unknown := os.Readlink(name); unknown == nil { // where it is the descriptor's
			name = real
		}
		return nil, &os.PathError{Op: "write", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), "a file without a name"), nil
}

// Link gives a file that Unnamed made a name in an open directory on the same
// file system. It fails when the name is there, or the file system has no files
// without a name.
func Link(file *os.File, dir *os.Root, name string) error {
	if err := component(name); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &st); err != nil {
		return &os.PathError{Op: "stat", Path: file.Name(), Err: err}
	}
	if st.Nlink > 0 { // a second name would leave it to whoever has the first
		return &os.LinkError{Op: "link", Old: file.Name(), New: name, Err: unix.EMLINK}
	}
	return link(file, dir, name)
}

// LinkOwn is Link for a file that may have a name already, as long as that helps
// nobody: it belongs to root or the caller, and is for its owner alone, as
// Unnamed makes it.
func LinkOwn(file *os.File, dir *os.Root, name string) error {
	if err := component(name); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &st); err != nil {
		return &os.PathError{Op: "stat", Path: file.Name(), Err: err}
	}
	if step := newStep(&st); !trusted(step.uid) || step.mode&0o077 != 0 {
		return &os.LinkError{Op: "link", Old: file.Name(), New: name, Err: unix.EPERM}
	}
	return link(file, dir, name)
}

func link(file *os.File, dir *os.Root, name string) error {
	d, err := opened(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	// AT_EMPTY_PATH needs a capability; the name in /proc does not: open(2).
	old := "/proc/self/fd/" + strconv.Itoa(int(file.Fd()))
	if err := unix.Linkat(unix.AT_FDCWD, old, int(d.Fd()), name, unix.AT_SYMLINK_FOLLOW); err != nil {
		return &os.LinkError{Op: "link", Old: file.Name(), New: name, Err: err}
	}
	return nil
}
