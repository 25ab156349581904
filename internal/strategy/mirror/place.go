package mirror

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"stretcher/internal/disk"
)

// Place is a directory and where its name stands. Both are open: a plan is
// made and carried out below these, whatever becomes of the names that they
// were reached by.
type Place struct {
	Path   string   // for messages alone
	Parent *os.Root // the directory that holds the name
	Name   string   // one component
	Dir    *os.Root // the directory itself; nil: it is missing
}

// open gives a descriptor of a root, with a position of its own.
func open(root *os.Root) (int, error) {
	f, err := root.Open(".")
	if err != nil {
		return -1, err
	}
	defer f.Close()
	for {
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

// whole moves all of staging to where dest is missing.
func (a *application) whole() error {
	if err := a.complete(0); err != nil {
		return err
	}
	if a.dest.Parent == nil {
		return fmt.Errorf("open the directory above: %w", fs.ErrNotExist)
	}
	if a.staging.Parent == nil {
		return a.wholeCopy()
	}
	err := a.writable(a.from.root(), func() error {
		return disk.RenameNew(a.staging.Parent, a.staging.Name, a.dest.Parent, a.dest.Name)
	})
	if errors.Is(err, unix.EXDEV) {
		err = a.wholeCopy()
	}
	return err
}

// wholeCopy is for staging on another mount than the directory above dest.
func (a *application) wholeCopy() error {
	parent, temp := a.dest.Parent, a.opts.temp()
	fd, err := open(parent)
	if err != nil {
		return fmt.Errorf("open the directory above: %w", err)
	}
	defer unix.Close(fd)
	if err = disk.RemoveAll(parent, temp); err == nil {
		err = copyTree(a.from.root(), fd, temp)
	}
	if err == nil {
		err = disk.RenameNew(parent, temp, parent, a.dest.Name)
	}
	if err != nil {
		_ = disk.RemoveAll(parent, temp)
	}
	return err
}

// otherDevice tells whether what is at name lies on another file system than
// the directory open at fd.
func otherDevice(fd int, name string) bool {
	var in, st unix.Stat_t
	return unix.Fstat(fd, &in) == nil && lstat(fd, name, &st) == nil && in.Dev != st.Dev
}
