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

// ReplaceIf makes a file at a path that somebody named, of what write writes:
// completely or not at all, in the place of the file that is there. What is there
// and no file is ErrIrregular, and stays as it is. Symlinks are followed as
// OpenRegular follows them. The name of the file while it is written begins with
// temp; errors name the path. It asks may about a file that is there, open for
// reading: before anything is written, and again before it is replaced. An error of
// may's leaves the file as it is; nil allows all.
func ReplaceIf(path, temp string, perm fs.FileMode, may func(io.Reader) error, write func(io.Writer) error) error {
	r, done, err := replacing(path, temp, may)
	if err != nil {
		return err
	}
	defer done()
	return r.make(path, perm, write)
}

// replacing opens the directory of a file that is about to be replaced, and judges
// what is there. done closes the directory.
func replacing(path, temp string, may func(io.Reader) error) (r replacement, done func(), err error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return r, nil, err
	}
	w, base, err := walkToFile(abs)
	if err != nil {
		return r, nil, at("write", path, err)
	}
	r = replacement{dir: w.last().fd, base: base, temp: temp + rand.Text(), may: may}
	if err := r.judge(w.inTarget); err != nil {
		w.close()
		return r, nil, at("replace", path, err)
	}
	return r, w.close, nil
}

// at is an error of the system that names the path which the caller knows.
func at(op, path string, err error) error {
	var file *fs.PathError
	var call *os.SyscallError
	switch {
	case errors.As(err, &file):
		err = file.Err
	case errors.As(err, &call):
		err = call.Err
	}
	return &fs.PathError{Op: op, Path: path, Err: err}
}

// replacement is one call of ReplaceIf or PublishRegular.
type replacement struct {
	dir        int
	base, temp string
	may        func(io.Reader) error // nil: any file may be replaced
}

// judge refuses to replace what is no file, or what may not be replaced.
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
	case err != nil || r.may == nil:
		return err
	}
	f, err := openIn(r.dir, r.base, r.base, os.O_RDONLY, 0, false)
	if err != nil {
		return err
	}
	defer f.Close()
	return r.may(f)
}

func (r replacement) make(path string, perm fs.FileMode, write func(io.Writer) error) (err error) {
	f, err := confined.Create(r.dir, r.temp, 0o600)
	if err != nil {
		return at("write", path, err)
	}
	defer func() {
		if err != nil {
			_ = unix.Unlinkat(r.dir, r.temp, 0)
		}
	}()
	written := write(f)
	var file *fs.PathError
	if errors.As(written, &file) && file.Path == r.temp { // a name that nobody knows
		written = at("write", path, file)
	}
	if err = errors.Join(f.Chmod(perm), f.Close()); err != nil {
		err = at("write", path, err)
	}
	if err = errors.Join(written, err); err != nil {
		return err
	}
	if err = r.judge(false); err == nil { // it may have taken a while
		err = unix.Renameat(r.dir, r.temp, r.dir, r.base)
	}
	if err != nil {
		err = at("replace", path, err)
	}
	return err
}

// ReplacePrivate is ReplaceIf for what not everybody may read. The file is its
// owner's alone, unless the one that it takes the place of, which must be of the
// same owner and have no other name, lets others read it: those it lets still.
func ReplacePrivate(path, temp string, write func(io.Writer) error) error {
	r, done, err := replacing(path, temp, nil)
	if err != nil {
		return err
	}
	defer done()
	perm, group := r.readers()
	return r.make(path, perm, func(w io.Writer) error {
		if f, ok := w.(*os.File); ok && group >= 0 {
			if err := f.Chown(-1, group); err != nil {
				return err
			}
		}
		return write(w)
	})
}

// readers tells who may read the file that is there: by a mode, and by a group, -1
// where it doesn't count.
func (r replacement) readers() (perm fs.FileMode, group int) {
	var st unix.Stat_t
	if err := confined.Lstat(r.dir, r.base, &st); err != nil ||
		st.Mode&unix.S_IFMT != unix.S_IFREG || int(st.Uid) != os.Geteuid() || st.Nlink != 1 {
		return 0o600, -1
	}
	perm, group = fs.FileMode(st.Mode)&0o644|0o600, -1
	if perm&0o040 != 0 {
		group = int(st.Gid)
	}
	return perm, group
}
