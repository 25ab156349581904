package mirror

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"stretcher/internal/disk"
	"stretcher/internal/disk/confined"
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

// whole moves all of staging to where dest is missing.
func (a *application) whole() error {
	if a.dest.Parent == nil {
		return fmt.Errorf("open the directory above: %w", fs.ErrNotExist)
	}
	fd, err := confined.Open(a.dest.Parent)
	if err == nil {
		a.acl, err = confined.DefaultACL(fd)
		_ = unix.Close(fd)
	}
	if err != nil {
		return fmt.Errorf("ACL of the directory above: %w", err)
	}
	a.soon = confined.LookAhead(a.staging.Dir, a.table.paths(&a.opts, byLevel))
	if err := a.complete(0); err != nil {
		return err
	}
	if a.staging.Parent == nil {
		return a.wholeCopy()
	}
	err = confined.Writable(a.from.Root(), func() error {
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
	fd, err := confined.Open(parent)
	if err != nil {
		return fmt.Errorf("open the directory above: %w", err)
	}
	defer unix.Close(fd)
	if err = disk.RemoveAll(parent, temp); err == nil {
		err = confined.Copier{}.CopyDir(a.ctx, a.from.Root(), fd, temp)
	}
	if err == nil {
		err = disk.RenameNew(parent, temp, parent, a.dest.Name)
	}
	if err != nil {
		_ = disk.RemoveAll(parent, temp)
	}
	return err
}
