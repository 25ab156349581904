package mirror

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
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
	to, err := open(a.dest.Parent)
	if err != nil {
		return fmt.Errorf("open the directory above: %w", err)
	}
	defer unix.Close(to)
	if a.staging.Parent == nil {
		return a.wholeCopy(to)
	}
	from, err := open(a.staging.Parent)
	if err != nil {
		return fmt.Errorf("open the directory above staging: %w", err)
	}
	defer unix.Close(from)
	err = a.writable(a.from.root(), func() error { return renameNew(from, a.staging.Name, to, a.dest.Name) })
	if errors.Is(err, unix.EXDEV) {
		err = a.wholeCopy(to)
	}
	return err
}

// wholeCopy is for staging on another file system than the directory open at
// fd, which is to hold dest.
func (a *application) wholeCopy(fd int) error {
	temp := a.opts.temp()
	err := clearAs(fd, temp)
	if err == nil {
		err = copyTree(a.from.root(), fd, temp)
	}
	if err == nil {
		err = renameNew(fd, temp, fd, a.dest.Name)
	}
	if err != nil {
		_ = removeNode(fd, temp)
	}
	return err
}

// renameChecked looks before it renames, for systems that can't do both in
// one.
func renameChecked(from int, name string, to int, place string) error {
	var st unix.Stat_t
	if err := lstat(to, place, &st); err == nil {
		return unix.EEXIST
	}
	return unix.Renameat(from, name, to, place)
}

// otherDevice tells whether what is at name lies on another file system than
// the directory open at fd.
func otherDevice(fd int, name string) bool {
	var in, st unix.Stat_t
	return unix.Fstat(fd, &in) == nil && lstat(fd, name, &st) == nil && in.Dev != st.Dev
}
