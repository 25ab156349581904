package disk

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"stretcher/internal/disk/confined"
)

// ReplaceRegular makes a file at a path that somebody named, of what write
// writes: completely or not at all, in the place of the file that is there.
// What is there and no file is ErrIrregular, and stays as it is. Symlinks are
// followed as OpenRegular follows them. The name of the file while it is
// written begins with temp.
func ReplaceRegular(path, temp string, perm fs.FileMode, write func(io.Writer) error) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	w, base, err := walkToFile(abs)
	if err != nil {
		return err
	}
	defer w.close()
	r := replacement{dir: w.last().fd, base: base, temp: temp + rand.Text()}
	if err := r.judge(w.inTarget); err != nil {
		return &fs.PathError{Op: "replace", Path: path, Err: err}
	}
	return r.make(perm, write)
}

// replacement is one call of ReplaceRegular.
type replacement struct {
	dir        int
	base, temp string
}

// judge refuses to replace what is no file.
func (r replacement) judge(inTarget bool) error {
	var st unix.Stat_t
	err := confined.Lstat(r.dir, r.base, &st)
	switch {
	case errors.Is(err, fs.ErrNotExist) && inTarget:
		return ErrDangling
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG:
		return ErrIrregular
	}
	return err
}

func (r replacement) make(perm fs.FileMode, write func(io.Writer) error) (err error) {
	f, err := confined.Create(r.dir, r.temp, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = unix.Unlinkat(r.dir, r.temp, 0)
		}
	}()
	if err = errors.Join(write(f), f.Chmod(perm), f.Close()); err != nil {
		return err
	}
	if err = r.judge(false); err != nil { // it may have taken a while
		return err
	}
	return os.NewSyscallError("rename", unix.Renameat(r.dir, r.temp, r.dir, r.base))
}
