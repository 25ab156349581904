package disk

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"stretcher/internal/disk/confined"
)

// Publication is how PublishRegular makes a file.
type Publication struct {
	Temp  string      // what the name of the file begins with, while it needs one
	Perm  fs.FileMode // before the umask, unless Exact
	New   bool        // fs.ErrExist where something is there
	Write func(io.Writer) error
	Exact bool // Perm holds whatever the umask says: others read the file
}

// PublishRegular is ReplaceIf for a file that others wait for: it has no
// name before it is whole and on disk, where the file system has files without
// a name, and what kills the process leaves nothing.
func PublishRegular(path string, p Publication) error {
	r, done, err := replacing(path, p.Temp, nil)
	if err != nil {
		return err
	}
	defer done()
	file, named, err := r.open(p.Perm)
	if err != nil {
		return at("write", path, err)
	}
	defer file.Close()
	if p.Exact {
		err = file.Chmod(p.Perm)
	}
	if err == nil {
		err = p.Write(file)
	}
	if err == nil {
		err = r.publish(file, named, p.New)
	}
	if err != nil {
		if named {
			_ = unix.Unlinkat(r.dir, r.temp, 0)
		}
		return at("write", path, err)
	}
	return nil
}

// open makes the file, without a name where that can be.
func (r replacement) open(perm fs.FileMode) (file *os.File, named bool, err error) {
	file, err = nameless(r.dir, perm)
	if err == nil {
		return file, false, nil
	}
	file, err = confined.Create(r.dir, r.temp, perm)
	return file, true, err
}

// publish gives a file that is whole its name.
func (r replacement) publish(file *os.File, named, isNew bool) error {
	if err := file.Sync(); err != nil {
		return err
	}
	if err := r.judge(false); err != nil { // it may have taken a while
		return err
	}
	if err := r.name(file, named, isNew); err != nil {
		return err
	}
	dir, err := confined.OpenDir(r.dir, ".")
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	return unix.Fsync(dir)
}

// name links the file where nothing is there, and else renames it over what is.
func (r replacement) name(file *os.File, named, isNew bool) error {
	if !named {
		err := linkNameless(file, r.dir, r.base)
		if isNew || !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := linkNameless(file, r.dir, r.temp); err != nil {
			return err
		}
	}
	var err error
	if isNew {
		err = confined.RenameNew(r.dir, r.temp, r.dir, r.base)
	} else {
		err = unix.Renameat(r.dir, r.temp, r.dir, r.base)
	}
	if err != nil && !named {
		_ = unix.Unlinkat(r.dir, r.temp, 0)
	}
	return err
}
